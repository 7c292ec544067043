"""Evaluation: rows are answered, answers judged, every metric with an interval.

    rows of a split ─encode─▶ examples ─Session.answer─▶ outputs ─metrics─▶ MetricResult per target column

What is masked in a row depends on (seed, task, row) alone, so two checkpoints are judged on the same questions.
"""

from __future__ import annotations

import logging
import math
import random
import time
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from ofa_instruction import Catalog, OFAWarning, PluginChoice, SlotPlan, default_catalog, parse_template
from ofa_instruction.binding import is_empty
from ofa_instruction.specs import MetricSpec, Options
from ofa_modalities.processor import NoAnswerError, SampleError
from ofa_modalities.segment import Example
from ofa_modalities.text.equality import EqualTexts
from ofa_models.generation.planning import answered_slots
from ofa_models.generation.unused import unused_options
from ofa_models.session import Session

from ofa_trainer.constants import Constant, ConstantAnswers
from ofa_trainer.limits import limited, part_of
from ofa_trainer.metrics.choosing import metrics_of, split_named
from ofa_trainer.metrics.infilling import shown_text
from ofa_trainer.metrics.lists import by_row, items_of
from ofa_trainer.metrics.metric import Judged, Scores
from ofa_trainer.mixture import row_rng
from ofa_trainer.plans import EvaluatePlan
from ofa_trainer.predictions import Prediction, save_predictions
from ofa_trainer.reporting.events import Figure, left_out
from ofa_trainer.source import Source
from ofa_trainer.sources.choosing import spread_indices
from ofa_trainer.sources.common import DataError
from ofa_trainer.sources.views import row_number
from ofa_trainer.task import Task
from ofa_trainer.workers import BadRow, bad_row, tell_bad_rows

if TYPE_CHECKING:
    from ofa_models._resolving import Resolved

logger = logging.getLogger(__name__)

LIMITED_BATCH_ROWS = 16
"""Rows that are answered between two looks at the clock, where there is a limit."""

_BAD_ROWS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricResult:
    """One metric of one target column. value with its interval low … high; values: of each row alone, float64 ``[R]``.

    baseline: of the constant answer that does best on training rows; None: there is none.
    """

    name: str
    column: str
    value: float
    low: float
    high: float
    higher_is_better: bool
    baseline: float | None = None
    baseline_name: str | None = None
    values: np.ndarray[Any, np.dtype[np.float64]]

    def __repr__(self) -> str:
        return f"MetricResult({_told({f'{self.column}/{self.name}': self})}, {len(self.values):,} rows)"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvaluation:
    """What was found for one task.

    rows: judged. bad: rows that could not be used. metrics: by ``column/metric``. judged: by target column, row by row.
    source, indices: where the judged rows came from. probabilities: of their whole answers.
    """

    rows: int
    bad: tuple[BadRow, ...]
    metrics: Mapping[str, MetricResult]
    judged: Mapping[str, tuple[Judged, ...]]
    source: Source
    indices: tuple[int, ...]
    probabilities: tuple[float, ...]
    unfinished: Mapping[str, int] = field(default_factory=dict)
    """Answers that were cut at their longest length, by target column; without those of which there are none."""

    def __repr__(self) -> str:
        return f"TaskEvaluation({self.rows:,} rows, {len(self.bad)} bad; {_told(self.metrics) or 'no metrics'})"

    def predictions(self, task: str | None = None) -> Iterator[Prediction]:
        """The judged rows in order, read again, with their answers. task: its name, where several are told apart."""
        for number, (index, probability) in enumerate(zip(self.indices, self.probabilities, strict=True)):
            row = self.source.read(index, 0)
            yield Prediction(
                row=row_number(self.source, index),
                inputs={column: value for column, value in row.items() if column not in self.judged},
                truths={column: row[column] for column in self.judged},
                answers={column: judged[number].answer for column, judged in self.judged.items()},
                scores={key: float(metric.values[number]) for key, metric in self.metrics.items()},
                probability=probability,
                task=task,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What an evaluation found, by task."""

    plan: EvaluatePlan
    tasks: Mapping[str, TaskEvaluation]

    def figures(self) -> dict[str, dict[str, Figure]]:
        """By task, by ``column/metric``: values, intervals and rows."""
        return {name: {key: _figure(one, task.rows) for key, one in task.metrics.items()} for name, task in self.tasks.items()}

    def complaint(self) -> str:
        """Which tasks judged nothing, and why, as the first bad rows say; empty where all judged something."""
        lines = []
        for name, task in self.tasks.items():
            if not task.rows:
                lines.append(f"task `{name}`: nothing was judged, none of {len(task.bad):,} {self.plan.split} rows can be used:")
                lines += [f"  {row}" for row in task.bad[:_BAD_ROWS_SHOWN]]
        return "\n".join(lines)

    def __repr__(self) -> str:
        told = "; ".join(f"{name}: {_told(one.metrics) or 'no metrics'}, {one.rows:,} rows" for name, one in self.tasks.items())
        short = f"{len(self.tasks)} tasks, {sum(one.rows for one in self.tasks.values()):,} rows"
        return f"Evaluation({self.plan.split}; {told if len(told) <= 120 else short})"

    def predictions(self) -> list[dict[str, object]]:
        """A row for each judged row, ready for a frame: ``row``, the other columns of the data, ``truth``, ``answer``, ``score``.

        See :meth:`ofa_trainer.predictions.Prediction.as_row`.
        """
        return [prediction.as_row() for prediction in self._predictions()]

    def save(self, path: str | Path) -> Path:
        """Write :meth:`predictions` as ``.csv`` or ``.jsonl``, answered media into files beside it. Raises ValueError."""
        return save_predictions(self._predictions(), path)

    def _predictions(self) -> Iterator[Prediction]:
        for name, task in self.tasks.items():
            yield from task.predictions(name if len(self.tasks) > 1 else None)


def _figure(one: MetricResult, rows: int) -> Figure:
    return Figure(
        value=one.value,
        low=one.low,
        high=one.high,
        rows=rows,
        higher_is_better=one.higher_is_better,
        baseline=one.baseline,
        baseline_name=one.baseline_name,
    )


def _told(metrics: Mapping[str, MetricResult]) -> str:
    return ", ".join(f"{key} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" for key, one in metrics.items())


def evaluate(
    session: Session,
    tasks: Sequence[Task],
    plan: EvaluatePlan | None = None,
    *,
    catalog: Catalog | None = None,
    constants: ConstantAnswers | None = None,
) -> Evaluation:
    """Answer and judge the rows of a split for every task.

    A task that the checkpoint was trained on by that name is asked as it was trained, and an OFAWarning tells where it now says
    another instruction. A task of another name is asked by its own instruction.
    A metric that fails is told and left out. constants: those that were found already, and what is found now.
    Raises DataError for a task without such rows, and where no row of any task could be judged; ValueError for a metric that
    does not judge a column.
    """
    constants = ConstantAnswers() if constants is None else constants
    plan, catalog = plan or EvaluatePlan(), catalog or default_catalog()
    programs = [_resolved(session, task, catalog).program for task in tasks]
    for message in unused_options(plan.generation, programs, session.checkpoint.plan.generation):
        warnings.warn(f"{message} (in any task that is judged)", OFAWarning, stacklevel=2)
    found = {}
    until = None if plan.seconds is None else time.perf_counter() + plan.seconds
    for number, task in enumerate(tasks):
        source = task.source(plan.split)
        if source is None:
            raise DataError(f"task `{task.name}` has no {plan.split} rows")
        if len(source) == 0:
            raise DataError(f"task `{task.name}`: the {plan.split} data holds no rows; they stand below the header, one a line")
        found[task.name] = _evaluate_task(session, task, source, plan, catalog, constants, part_of(until, len(tasks) - number))
    evaluation = Evaluation(plan=plan, tasks=found)
    if not any(task.rows for task in found.values()):
        raise DataError(evaluation.complaint())
    return evaluation


def _evaluate_task(
    session: Session,
    task: Task,
    source: Source,
    plan: EvaluatePlan,
    catalog: Catalog,
    constants: ConstantAnswers,
    until: float | None,
) -> TaskEvaluation:
    resolved = _resolved(session, task, catalog)
    if task.name in session.instructions:
        _tell_other_instruction(resolved, task, catalog)
    slots = answered_slots(resolved.plan)
    metrics = {slot.column: metrics_of(slot, task.metrics, catalog, repeated=_repeated(resolved, slot)) for slot in slots}
    _check_all_used(task, metrics)
    reads = {column: _reads(named, catalog) for column, named in metrics.items()}
    judged: dict[str, list[Judged]] = {slot.column: [] for slot in slots}
    candidates = {slot.column: _candidates(resolved, slot) for slot in slots}
    unfinished: Counter[str] = Counter()
    bad: list[BadRow] = []
    kept: list[int] = []
    probabilities: list[float] = []
    chosen = spread_indices(len(source), len(source) if plan.rows is None else plan.rows, plan.seed)
    batch_rows = plan.batch_rows
    if until is not None:  # any beginning of them is a spread part
        chosen = random.Random(plan.seed).sample(chosen, len(chosen))
        batch_rows = min(batch_rows, LIMITED_BATCH_ROWS)
    for start in range(0, len(chosen), batch_rows):
        if start and until is not None and time.perf_counter() >= until:
            break
        indices = chosen[start : start + batch_rows]
        good, rows, examples, references = _encode(resolved, task, source, indices, plan, bad, set().union(*reads.values()))
        root: Path | None = getattr(source, "root", None)
        generation = plan.generation if plan.slack is None else limited(plan.generation, resolved, references, plan.slack)
        outputs = session.answer(resolved, examples, generation=generation, rows=rows, root=root)
        unfinished.update(slot.column for output in outputs for slot in output.slots if not slot.finished)
        kept += good
        probabilities += [math.exp(output.log_probability) for output in outputs]
        for index, row, example, output, reference in zip(good, rows, examples, outputs, references, strict=True):
            for slot in slots:
                one = Judged(
                    answer=output[slot.column],
                    reference=reference[slot.column],
                    shown=shown_text(resolved.encoder, example, slot.column),
                    shown_is_cut=any(_reads_column(resolved, cut.line, slot.column) for cut in example.cuts),
                    root=root,
                    candidates=candidates[slot.column],
                    given={column: row[column] for column in reads[slot.column]},
                    row=row_number(source, index),
                    address=example.address,
                )
                judged[slot.column].append(one)
    for line in tell_bad_rows(bad, "evaluation"):
        logger.warning("%s", line)
    results: dict[str, MetricResult] = {}
    for slot in slots:
        for name, options in metrics[slot.column] if judged[slot.column] else ():
            metric = _BoundMetric.of(name, options, catalog, repeated=_repeated(resolved, slot))
            try:
                found = metric.result(slot.column, judged[slot.column], plan)
            except Exception as error:  # noqa: BLE001  (metrics are anybody's, and the others' figures are worth having)
                logger.warning("%s", left_out(f"task `{task.name}`: the metric `{name}` of `{slot.column}`", error))
                continue
            answered = judged[slot.column]
            constant = constants.constant(task, resolved, slot.column, metric.spec, metric.scores, answered)
            results[f"{slot.column}/{name}"] = metric.beside(found, constant, answered)
    return TaskEvaluation(
        rows=len(kept),
        bad=tuple(bad),
        metrics=results,
        judged={column: tuple(found) for column, found in judged.items()},
        unfinished=dict(unfinished),
        source=source,
        indices=tuple(kept),
        probabilities=tuple(probabilities),
    )


def _resolved(session: Session, task: Task, catalog: Catalog) -> Resolved:
    if task.name not in session.instructions:
        return session.resolve(str(parse_template(task.instruction, catalog=catalog)[0]))
    return session.resolve(task.name)


def _tell_other_instruction(resolved: Resolved, task: Task, catalog: Catalog) -> None:
    trained, given = resolved.plan.text, str(parse_template(task.instruction, catalog=catalog)[0])
    if given != trained:
        warnings.warn(
            f"task `{task.name}` is judged by the instruction that the checkpoint was trained on:\n"
            f"  {trained}\nand not by the one given now:\n  {given}",
            OFAWarning,
            stacklevel=2,
        )


def _encode(
    resolved: Resolved,
    task: Task,
    source: Source,
    indices: Sequence[int],
    plan: EvaluatePlan,
    bad: list[BadRow],
    needed: Collection[str],
) -> tuple[list[int], list[Mapping[str, object]], list[Example], list[dict[str, object]]]:
    """Rows that can be judged with their indices, encoded without their answers, and what should be answered.

    bad: grows by the rows that cannot be judged. needed: columns that metrics read beside them.
    """
    targets = [slot.column for slot in answered_slots(resolved.plan)]
    good: list[int] = []
    rows: list[Mapping[str, object]] = []
    examples: list[Example] = []
    references: list[dict[str, object]] = []
    split, root = ("test" if plan.split == "train" else plan.split), getattr(source, "root", None)
    for index in indices:
        address = source.address(index)
        try:
            row = source.read(index, 0)
            missing = [column for column in targets if is_empty(row.get(column))]
            if missing:
                raise NoAnswerError(missing[0], "there is no reference to judge by")
            missing = [column for column in needed if row.get(column) is None]
            if missing:
                raise SampleError(missing[0], "a metric of the task reads this column, and the row has none")
            example = resolved.encoder.encode(
                resolved.task,
                row,
                split=split,
                rng=row_rng(plan.seed, task.name, 0, index),
                address=address,
                with_targets=False,
                alternative=resolved.alternative,
                root=root,
            )
            reference = resolved.encoder.references(row, example, split=split, root=root)
        except SampleError as error:
            bad.append(bad_row(task.name, address, error))
            continue
        good.append(index)
        rows.append(row)
        examples.append(example)
        references.append(reference)
    return good, rows, examples, references


def _reads_column(resolved: Resolved, line: int, column: str) -> bool:
    slot = resolved.encoder.slots[line].slot
    return slot.side == "source" and slot.column == column


def _candidates(resolved: Resolved, slot: SlotPlan) -> EqualTexts | None:
    """What an answer may be, where it is from a closed set."""
    rule = resolved.program.slots[slot.index].rule
    return None if rule is None or rule.tree is None else EqualTexts(rule.answers)


def _repeated(resolved: Resolved, slot: SlotPlan) -> bool:
    return resolved.program.slots[slot.index].depth > 0


def _reads(named: Sequence[tuple[str, dict[str, Any]]], catalog: Catalog) -> tuple[str, ...]:
    """Columns that the metrics of an answer read beside it."""
    columns: dict[str, None] = {}
    for name, options in named:
        plugin = catalog.metric(name)
        columns.update(dict.fromkeys(plugin.spec.reads(catalog.options_of(plugin, "ofa.metrics", options))))
    return tuple(columns)


def _check_all_used(task: Task, metrics: Mapping[str, list[tuple[str, dict[str, Any]]]]) -> None:
    used = {name for named in metrics.values() for name, _ in named}
    for item in task.metrics or ():
        name, _ = split_named(item)
        if name not in used:
            raise ValueError(f"task `{task.name}`: the metric `{name}` judges none of its answers ({', '.join(metrics)})")


@dataclass(frozen=True, slots=True, kw_only=True)
class _BoundMetric:
    """A metric with its options, for answers that are lists or none."""

    spec: MetricSpec
    options: Options
    repeated: bool

    @classmethod
    def of(cls, name: str, options: dict[str, Any], catalog: Catalog, *, repeated: bool) -> _BoundMetric:
        """Raises CatalogError."""
        plugin = catalog.metric(name)
        choice = PluginChoice(name=plugin.spec.name, distribution=plugin.distribution, options=options)
        return cls(spec=plugin.spec, options=catalog.validate(choice, "ofa.metrics"), repeated=repeated)

    def scores(self, judged: Sequence[Judged]) -> Scores:
        """What the metric finds, a line for each row."""
        if not self.repeated or self.spec.lists != "items":
            return cast("Scores", self.spec.load()(judged, self.options))
        items, owners = items_of(judged)
        return by_row(cast("Scores", self.spec.load()(items, self.options)), owners, len(judged))

    def result(self, column: str, judged: Sequence[Judged], plan: EvaluatePlan) -> MetricResult:
        """The figure of a column with its interval."""
        scores = self.scores(judged)
        interval = scores.interval(level=plan.level, num_resamples=plan.resamples, seed=plan.seed)
        return MetricResult(
            name=self.spec.name,
            column=column,
            value=scores.value,
            low=interval.low,
            high=interval.high,
            higher_is_better=self.spec.higher_is_better,
            values=scores.values,
        )

    def beside(self, result: MetricResult, constant: Constant | None, judged: Sequence[Judged]) -> MetricResult:
        """The figure with that of a constant answer beside it."""
        if constant is None:
            return result
        try:
            baseline = self.scores([constant.to(row) for row in judged]).value
        except Exception as error:  # noqa: BLE001  (metrics are anybody's; a baseline is worth no figure)
            logger.info("no constant baseline for the metric `%s`: %s", self.spec.name, error)
            return result
        return replace(result, baseline=baseline, baseline_name=constant.name)
