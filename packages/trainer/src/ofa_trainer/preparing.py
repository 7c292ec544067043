"""Preparing a run: everything that is decided before the first step, from the tasks and their training rows.

compile ─▶ closed sets ─▶ tokenizer ─▶ vocabulary ─▶ assets ─▶ encoder ─▶ model plan ─▶ TrainPlan
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

from ofa_instruction import Catalog, OFAWarning, SlotPlan, TaskPlan
from ofa_modalities.closed_set import check_candidates, closed_set_plan, collect_candidates
from ofa_modalities.encoder import TaskEncoder
from ofa_modalities.fitting import (
    ColumnValues,
    collect_texts,
    column_depths,
    fit_assets,
    fit_vocabulary,
    items_below,
    texts_of_rows,
)
from ofa_modalities.processor import SampleError
from ofa_modalities.program import Assets
from ofa_modalities.tokenizer import TextTokenizer, load_tokenizer, train_tokenizer
from ofa_modalities.vocabulary import Vocabulary
from ofa_models.assets import asset_digests
from ofa_models.plans import ModelPlan, Precision

from ofa_trainer.looking import look_at_boxes
from ofa_trainer.metrics.choosing import check_metric, columns_read, metric_columns
from ofa_trainer.mixture import Mixture
from ofa_trainer.plans import TrainerOptions
from ofa_trainer.problems import nearest
from ofa_trainer.readiness import check_trainable, only_answer, told_by_case
from ofa_trainer.row_transforms.columns import reach_of
from ofa_trainer.source import Source
from ofa_trainer.sources.choosing import spread_rows, spread_texts, unseen_columns
from ofa_trainer.sources.common import DataError, missing_column
from ofa_trainer.sources.views import column_of
from ofa_trainer.task import DataSplit, Task
from ofa_trainer.train_plan import DataPlan, TaskRunPlan, TrainPlan
from ofa_trainer.unused import unused_trainer_options

logger = logging.getLogger(__name__)

MAX_FIT_CHARACTERS = 20_000_000
MAX_REPEATS = 64
"""Of the texts of a short task, when a tokenizer is trained."""
ClosedSets = dict[str, dict[str, tuple[str, ...]]]
FitReport = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run, decided."""

    tasks: tuple[Task, ...]
    plans: tuple[TaskPlan, ...]
    closed_sets: ClosedSets
    assets: Assets
    vocabulary: Vocabulary
    encoder: TaskEncoder
    mixture: Mixture
    model_plan: ModelPlan
    train_plan: TrainPlan
    catalog: Catalog

    def __repr__(self) -> str:
        return f"Prepared({self.mixture!r}, {self.vocabulary!r})"


def prepare(
    tasks: Sequence[Task],
    model_plan: ModelPlan,
    options: TrainerOptions,
    catalog: Catalog,
    *,
    tokenizer: TextTokenizer | None = None,
    closed_sets: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
    assets: Assets | None = None,
    fitting: FitReport | None = None,
    max_items: int | None = None,
) -> Prepared:
    """Decide a run. ``tokenizer``, ``closed_sets`` and ``assets`` are those of a run that is resumed.

    fitting: told ``(asset, done, total)`` while a processor fits something to the rows. max_items: of a repeat; answers stop
        there.
    Raises InstructionError for what does not compile, DataError for data that does not fit the instructions, ValueError.
    """
    _check_names(tasks)
    plans = compile_tasks(tasks, model_plan.backend, catalog)
    for task, plan in zip(tasks, plans, strict=True):
        for metric in task.metrics or ():
            check_metric(metric, plan, catalog)
        for transform in task.transforms:
            reach_of(transform, plan)
    for task, plan in zip(tasks, plans, strict=True):
        _check_mapping(task, plan, catalog)
        check_columns(task, plan)
        check_columns(task, plan, "valid")
        _check_metric_columns(task, plan, catalog)
        _tell_boxes(task, plan)
        for shared in task.shared_rows():
            logger.warning("task `%s`: %s; give held-out rows as `valid`", task.name, shared)
    _tell_unused(tasks, options)
    sets = {
        task.name: dict((closed_sets or {}).get(task.name) or _closed_sets(task, plan, options.fit_rows, options.seed))
        for task, plan in zip(tasks, plans, strict=True)
    }
    plans = tuple(
        plan.model_copy(
            update={"closed_sets": tuple(closed_set_plan(name, values) for name, values in sorted(sets[plan.name].items()))}
        )
        for plan in plans
    )
    tokenizer = tokenizer or _tokenizer(tasks, plans, catalog, sets, options)
    vocabulary = Vocabulary(fit_vocabulary(plans, catalog, sets, tokenizer), tokenizer)
    fitted = fit_assets(
        plans,
        catalog,
        _column_values(tasks, options.fit_rows, options.seed),
        known=assets,
        seed=options.seed,
        hosts=frozenset(options.hosts),
        progress=fitting,
    )
    encoder = TaskEncoder(
        plans,
        catalog,
        vocabulary,
        sets,
        assets=fitted,
        max_row_tokens=options.row_limit,
        hosts=frozenset(options.hosts),
        max_items=max_items,
    )
    features = {name: need.unit_features for name, need in encoder.streams.items()}
    complete = model_plan.complete(vocabulary_size=vocabulary.size, tasks=plans, unit_features=features, untied=encoder.untied)
    _check_model(model_plan, complete)
    complete = complete.model_copy(update={"precision": _precision(model_plan, options)})
    mixture = make_mixture(tasks, options)
    return Prepared(
        tasks=tuple(tasks),
        plans=plans,
        closed_sets=sets,
        assets=fitted,
        vocabulary=vocabulary,
        encoder=encoder,
        mixture=mixture,
        model_plan=complete,
        train_plan=_train_plan(tasks, plans, complete, vocabulary, fitted, mixture, options),
        catalog=catalog,
    )


def _tell_unused(tasks: Sequence[Task], options: TrainerOptions) -> None:
    weighted = any(task.weight is not None for task in tasks)
    validates = any(task.source("valid") is not None for task in tasks)
    for message in unused_trainer_options(options, weighted=weighted, validates=validates):
        logger.warning("%s", message)


def _check_model(given: ModelPlan, complete: ModelPlan) -> None:
    """A plan that is complete already must be that of these tasks. Raises ValueError that says what differs."""
    differing = [name for name in ModelPlan.model_fields if getattr(given, name) != getattr(complete, name)]
    if given.is_complete and differing:
        raise ValueError(
            f"the model's plan is complete and does not fit these tasks: it differs in {', '.join(differing)}; "
            f'give a model that is not built yet, such as GeneralistModel("{given.size}")'
        )


def _precision(model_plan: ModelPlan, options: TrainerOptions) -> Precision:
    """The trainer's; an unbuilt model that asks for another than the default one is told."""
    asked = model_plan.precision
    if not model_plan.is_complete and asked not in (ModelPlan.model_fields["precision"].default, options.precision):
        warnings.warn(
            f"the model's precision `{asked}` is not used: training decides, with `{options.precision}`; "
            f'write Trainer(precision="{asked}") instead',
            OFAWarning,
            stacklevel=2,
        )
    return options.precision


def compile_tasks(tasks: Sequence[Task], backend: str, catalog: Catalog) -> tuple[TaskPlan, ...]:
    """Plans under the backend's profile. Raises InstructionError, and ValueError for what cannot be trained."""
    profile = catalog.backend(backend).spec
    plans = tuple(task.compile(profile, catalog) for task in tasks)
    for plan in plans:
        check_trainable(plan)
    return plans


def make_mixture(tasks: Sequence[Task], options: TrainerOptions) -> Mixture:
    """The mixture of the training rows. Raises ValueError where some tasks have a weight and some have none."""
    weights = {task.name: task.weight for task in tasks if task.weight is not None}
    return Mixture(
        {task.name: len(training_rows(task)) for task in tasks},
        seed=options.seed,
        weights=weights or None,
        kind=options.mixture,
        temperature=options.temperature,
    )


def loss_shares(tasks: Sequence[Task], mixture: Mixture) -> tuple[float, ...]:
    """λ of each task: as the tasks say, else their shares of the mixture. Raises ValueError where only some say."""
    weights = [task.loss_weight for task in tasks if task.loss_weight is not None]
    if not weights:
        return mixture.shares
    if len(weights) != len(tasks):
        missing = ", ".join(f"`{task.name}`" for task in tasks if task.loss_weight is None)
        raise ValueError(f"either all tasks have a loss_weight or none has; without one: {missing}")
    return tuple(weight / sum(weights) for weight in weights)


def training_rows(task: Task) -> Source:
    """A task's training rows."""
    return cast("Source", task.source("train"))


def _check_names(tasks: Sequence[Task]) -> None:
    names = [task.name for task in tasks]
    if not names:
        raise ValueError("training needs at least one task")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two tasks are called `{twice[0]}`")


def slots_of(plan: TaskPlan) -> Iterator[SlotPlan]:
    """Slots of all alternatives."""
    return chain.from_iterable(instruction.slots for instruction in plan.instructions)


def check_columns(task: Task, plan: TaskPlan, split: DataSplit = "train") -> None:
    """Compare the columns of the rows with the instruction. Raises DataError, naming the nearest, for one that no row has."""
    source = task.source(split)
    if source is None or (split == "train" and task.transform is not None):
        return
    wanted = dict.fromkeys(slot.column for slot in slots_of(plan))
    missing, seen = unseen_columns(source, wanted)
    if not seen and len(source):
        try:
            source.read(0, 0)
        except SampleError as error:
            raise DataError(f"task `{task.name}`, {split}: no row can be read; the first one: {error}") from error
    for column in missing:
        told = missing_column(column, task.columns.get(column, column), seen, source.address(0))
        raise DataError(f"task `{task.name}`, {split}: {told}")


def _check_metric_columns(task: Task, plan: TaskPlan, catalog: Catalog) -> None:
    """Raises DataError where no validation row has a column that a metric reads beside the answer."""
    source, wanted = task.source("valid"), metric_columns(plan, task.metrics or (), catalog)
    missing, seen = unseen_columns(source, wanted) if source is not None and wanted else ([], [])
    if missing:
        told = f"a metric reads the column `{missing[0]}`, and no row has one; there are: {' '.join(seen)}"
        raise DataError(f"task `{task.name}`, valid: {told}")


def _tell_boxes(task: Task, plan: TaskPlan) -> None:
    """Warn of boxes that look like another form than the one they are read in."""
    for split in ("train", "valid"):
        source = task.source(split)
        if source is not None and task.transform is None:
            for told in look_at_boxes(plan, source):
                logger.warning("task `%s`, %s rows: %s", task.name, split, told)
                return  # The other split would say the same again.


def _check_mapping(task: Task, plan: TaskPlan, catalog: Catalog) -> None:
    """``columns`` maps what somebody reads. Raises ValueError, naming the nearest. A ``transform`` may read anything."""
    read = columns_read(plan, task.metrics or (), catalog)
    for column, stored in task.columns.items():
        if column not in read and task.transform is None:
            raise ValueError(
                f"task `{task.name}`: `columns` maps `{column}` to `{stored}`, and nothing reads `{column}`;"
                f" {nearest(column, sorted(read))}"
            )


def _closed_sets(task: Task, plan: TaskPlan, fit_rows: int, seed: int) -> dict[str, tuple[str, ...]]:
    """Candidates by set name: the task's own, else the distinct values of the slot's column in training."""
    found: dict[str, tuple[str, ...]] = {}
    wanted = {slot.closed_set: slot.column for slot in slots_of(plan) if slot.closed_set is not None}
    for name, column in wanted.items():
        given = task.closed_sets.get(name) or task.closed_sets.get(column)
        if given is not None:
            found[name] = check_candidates(given, name)
            continue
        values = _column(task, column, fit_rows, seed)
        depth = column_depths(plan)[column]
        found[name] = collect_candidates(item for value in values for item in items_below(value, depth, splits=True))
        if not found[name]:
            raise DataError(f"task `{task.name}`: the column `{column}` holds no text to make the closed set `{name}` of")
        if told := told_by_case(column, found[name]):
            logger.warning("task `%s`: %s", task.name, told)
    if only := only_answer(plan, found):
        raise DataError(f"task `{task.name}`: {only}")
    unused = sorted(set(task.closed_sets) - {*wanted, *wanted.values()})
    if unused:
        raise ValueError(
            f"task `{task.name}`: no slot uses the closed set `{unused[0]}`; "
            f"write `closed_set` or `closed_set={unused[0]}` in a slot"
        )
    return found


def _column(task: Task, column: str, fit_rows: int, seed: int) -> Iterable[object]:
    source = training_rows(task)
    whole = None if task.transform is not None else column_of(source, column)
    if whole is not None:
        return whole
    if len(source) > fit_rows:
        logger.warning(
            "task `%s`: the closed set of `%s` is read from %d of %d rows; give closed_sets or raise fit_rows for all",
            task.name,
            column,
            fit_rows,
            len(source),
        )
    return (row.get(column) for row in spread_rows(source, fit_rows, seed))


def _column_values(tasks: Sequence[Task], fit_rows: int, seed: int) -> ColumnValues:
    """The raw values of a task's column in up to ``fit_rows`` training rows."""
    by_name = {task.name: task for task in tasks}

    def values(task: str, column: str) -> Iterator[tuple[object, Path | None]]:
        source = training_rows(by_name[task])
        root: Path | None = getattr(source, "root", None)
        return ((row[column], root) for row in spread_rows(source, fit_rows, seed) if row.get(column) is not None)

    return values


def _tokenizer(
    tasks: Sequence[Task], plans: Sequence[TaskPlan], catalog: Catalog, sets: ClosedSets, options: TrainerOptions
) -> TextTokenizer:
    if options.tokenizer is not None:
        return load_tokenizer(options.tokenizer)
    most = MAX_FIT_CHARACTERS // len(plans)
    texts = [_texts(task, plan, catalog, sets, options, most) for task, plan in zip(tasks, plans, strict=True)]
    return train_tokenizer(balanced(texts), options.tokenizer_size)


def _texts(task: Task, plan: TaskPlan, catalog: Catalog, sets: ClosedSets, options: TrainerOptions, most: int) -> list[str]:
    """What the tokenizer learns of a task: its fixed texts, and about ``most`` characters of its rows."""
    rows = spread_rows(training_rows(task), options.fit_rows, options.seed)
    fixed = list(collect_texts([plan], catalog, {}, sets))
    return fixed + spread_texts(texts_of_rows(plan, catalog, rows), most, options.seed)


def balanced(texts: Sequence[Sequence[str]]) -> Iterator[str]:
    """The texts of several tasks, those of short ones said again until they weigh about as much as those of the longest.

    Merges go to what is frequent: without this, long articles leave a task of short names with pieces of a few letters.

    >>> list(balanced([["a cat"], ["a long story"]]))
    ['a cat', 'a cat', 'a long story']
    """
    lengths = [sum(map(len, task)) for task in texts]
    for task, length in zip(texts, lengths, strict=True):
        for _ in range(min(MAX_REPEATS, max(lengths) // max(length, 1)) if length else 0):
            yield from task


def _train_plan(
    tasks: Sequence[Task],
    plans: Sequence[TaskPlan],
    model_plan: ModelPlan,
    vocabulary: Vocabulary,
    assets: Assets,
    mixture: Mixture,
    options: TrainerOptions,
) -> TrainPlan:
    runs = []
    for task, plan, share, loss_share in zip(tasks, plans, mixture.shares, loss_shares(tasks, mixture), strict=True):
        valid = task.source("valid")
        runs.append(
            TaskRunPlan(
                plan=plan,
                train=_data_plan(training_rows(task)),
                valid=None if valid is None else _data_plan(valid),
                share=share,
                loss_share=loss_share,
                metrics=task.metrics,
                transforms=task.transforms,
            )
        )
    return TrainPlan(
        options=options, model=model_plan, vocabulary=vocabulary.plan, assets=asset_digests(assets), tasks=tuple(runs)
    )


def _data_plan(source: Source) -> DataPlan:
    return DataPlan(kind=type(source).__name__, rows=len(source), digest=source.fingerprint())
