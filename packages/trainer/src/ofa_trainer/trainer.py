"""The trainer: tasks and a model in, a trained model out.

Trainer(steps=500).fit(GeneralistModel("tiny"), [caption, vqa], output="runs/both").save("checkpoint")
"""

from __future__ import annotations

import contextlib
import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from ofa_instruction import Catalog, default_catalog
from ofa_modalities.batch import PackedBatch
from ofa_modalities.packing import fill_batches
from ofa_modalities.segment import Example
from ofa_models.checkpoint import WEIGHTS, load_weights, save_checkpoint
from ofa_models.devices import resolve_device
from ofa_models.files import file_error
from ofa_models.generation.unused import unused_options
from ofa_models.plans import GenerationOptions, InferPlan, ModelPlan
from ofa_models.zoo import GeneralistModel, build_model
from pydantic import ValidationError
from torch import Tensor, nn

from ofa_trainer.best import measure_of
from ofa_trainer.checkpointing import CHECKPOINT, RUN_FILE, TENSORS_FILE, RunState, clean
from ofa_trainer.constants import ConstantAnswers
from ofa_trainer.criterion import CriterionContext
from ofa_trainer.locking import locked
from ofa_trainer.loop import StepRunner
from ofa_trainer.mixture import Draw
from ofa_trainer.optimizers import Optimizers
from ofa_trainer.plans import EvaluatePlan, TrainerOptions
from ofa_trainer.preparing import Prepared, prepare, training_rows
from ofa_trainer.reporting.events import Figure, Fitting, Reporter, Reporters
from ofa_trainer.reporting.json_lines import JsonLinesReporter
from ofa_trainer.resuming import LOG_FILE, SavedStep, check_same_run, options_to_resume, step_to_resume
from ofa_trainer.row_transforms.applying import row_changes
from ofa_trainer.run import EndReason, Run, reproducible
from ofa_trainer.source import Source
from ofa_trainer.sources.choosing import spread_indices
from ofa_trainer.step import StepLoss
from ofa_trainer.stream import RowStream
from ofa_trainer.task import DataSplit, Task
from ofa_trainer.workers import BadRow, RowReader, tell_bad_rows

if TYPE_CHECKING:
    from ofa_models.session import Session

    from ofa_trainer.evaluation import Evaluation

logger = logging.getLogger(__name__)

VALIDATION_SLACK = 2.0
"""Of answers of validation rows: a model that has not learnt to stop yet says nothing of worth behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a run leaves: the model of its best step in evaluation mode, and everything it needs to answer.

    The best is that by :attr:`TrainerOptions.best_by`; a run without validation rows leaves its last step. ``last`` is the last
    step, as another :class:`Trained`. reason: why the run ended. state: where it ended. figures: of the validation of the best
    step, by task, by ``column/metric``. verdict: plain sentences where the run overfits, has stopped learning, or does no better
    than a constant answer.
    """

    model: nn.Module
    prepared: Prepared
    state: RunState
    reason: EndReason
    generation: GenerationOptions
    figures: dict[str, dict[str, Figure]] = field(default_factory=dict)
    verdict: tuple[str, ...] = ()
    last_weights: Mapping[str, Tensor] | None = None
    """Of the last step, on the CPU; None: it is the best one."""

    def __repr__(self) -> str:
        tasks = {
            task.name: ", ".join(f"{key} {one.value:.3f}" for key, one in self.figures.get(task.name, {}).items())
            for task in self.prepared.tasks
        }
        told = "; ".join(f"{name}: {figures}" if figures else name for name, figures in tasks.items())
        told = told if len(told) <= 100 else f"{len(tasks)} tasks"
        return f"Trained({self.prepared.model_plan.size}, step {self.step} of {self.state.step}, {self.reason}; {told})"

    @property
    def plan(self) -> InferPlan:
        """What inference needs beside the weights."""
        return _infer_plan(self.prepared, self.generation)

    @property
    def step(self) -> int:
        """The step that the model is of."""
        return self.state.step if self.last_weights is None else cast("int", self.state.best_step)

    @property
    def last(self) -> Trained:
        """The same with the model of the last step, a copy; itself where that is the best."""
        if self.last_weights is None:
            return self
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.last_weights)
        return replace(self, model=model, last_weights=None, figures={})

    def save(self, directory: str | Path) -> Path:
        """Write a checkpoint directory of the best step, with ``run.json`` beside what answers."""

        def extra(folder: Path) -> None:
            (folder / RUN_FILE).write_text(self.prepared.train_plan.model_dump_json(indent=1), encoding="utf-8")

        _save_model(self.model, self.prepared, self.generation, Path(directory), extra)
        return Path(directory)

    def session(self) -> Session:
        """A session on the model itself, that of the best step."""
        return _session(self.model, self.prepared, self.generation)

    def evaluate(self, split: DataSplit = "test", **options: Any) -> Evaluation:
        """Answer and judge the rows of a split by the best step; ``options`` are those of :class:`EvaluatePlan`."""
        from ofa_trainer.evaluation import evaluate

        plan = EvaluatePlan(split=split, **({"generation": self.generation} | options))
        return evaluate(self.session(), self.prepared.tasks, plan, catalog=self.prepared.catalog)


class Trainer:
    """Trains one model on any mixture of tasks.

    >>> from ofa_trainer import Trainer
    >>> Trainer(steps=100, batch_tokens=4096).options.steps
    100

    options: a :class:`TrainerOptions`, or its fields as keywords. reporters: told what happens; none: the run is silent but
    for ``log.jsonl`` in its output folder. generation: how validation and the session answer.
    """

    def __init__(
        self,
        options: TrainerOptions | None = None,
        *,
        reporters: Sequence[Reporter] = (),
        generation: GenerationOptions | None = None,
        catalog: Catalog | None = None,
        **fields: Any,
    ) -> None:
        known = options.model_dump() if options is not None else {}
        try:
            self.options = TrainerOptions.model_validate(known | fields)
        except ValidationError as error:
            from ofa_trainer.problems import problems_of

            found = problems_of(error, TrainerOptions)
            raise ValueError("Trainer: " + "; ".join(map(str, found))) from error
        self.reporters = tuple(reporters)
        self.generation = generation or GenerationOptions()
        self.catalog = catalog or default_catalog()

    def __repr__(self) -> str:
        return f"Trainer{str(self.options).removeprefix('TrainerOptions')}"

    def prepare(self, model: GeneralistModel | ModelPlan | str, tasks: Sequence[Task]) -> Prepared:
        """Everything that is decided before the first step, without building the model."""
        return prepare(
            tasks,
            _plan_of(model),
            self.options,
            self.catalog,
            fitting=self._fitting,
            max_items=self.generation.max_items,
        )

    def _tell_unused(self, prepared: Prepared) -> None:
        encoder = prepared.encoder
        programs = [encoder.program(plan.name, number) for plan in prepared.plans for number in range(len(plan.instructions))]
        for message in unused_options(self.generation, programs):
            logger.warning("generation: %s in any task of the run", message)

    def _fitting(self, asset: str, done: int, total: int) -> None:
        Reporters(self.reporters).report(Fitting(asset=asset, done=done, total=total))

    def fit(
        self,
        model: GeneralistModel | ModelPlan | str,
        tasks: Sequence[Task],
        *,
        output: str | Path | None = None,
        resume: bool | int = False,
    ) -> Trained:
        """Train; with an output folder, write its log and checkpoints. The model returned is that of the best step.

        model: unbuilt, a partial plan, or the name of a size. resume: go on from the newest checkpoint of ``output``, from the
        start where the folder is new; a number goes back to that step. The run must be the same but for what does not change
        its steps, and for more ``steps``, which lengthen it.
        Raises InstructionError, DataError and ValueError for what cannot be trained; RunFolderError and CheckpointError for a
        folder that is in use, damaged or cannot be written; Interrupted, NonFiniteLoss and TooManyBadRows for what happens on
        the way.
        """
        folder = None if output is None else Path(output)
        with contextlib.nullcontext() if folder is None else locked(folder):
            if folder is not None:
                clean(folder)
            return self._fit(model, tasks, folder, step_to_resume(folder, resume, self.catalog))

    def _fit(
        self, model: GeneralistModel | ModelPlan | str, tasks: Sequence[Task], output: Path | None, saved: SavedStep | None
    ) -> Trained:
        started = time.perf_counter()
        options = self.options if saved is None else options_to_resume(self.options, saved)
        device = resolve_device(options.device)
        prepared = self._prepare(model, tasks, options, saved)
        self._tell_unused(prepared)
        with reproducible(options.seed, device, deterministic=options.deterministic):
            built = build_model(prepared.model_plan, self.catalog, seed=options.seed) if saved is None else saved.checkpoint.model
            run = self._run(prepared, built.to(device), device, options, output, saved)
            run.preparing_s = time.perf_counter() - started
            try:
                reason = run.train()
            finally:
                run.reporter.close()
                built.eval()
        last_weights = _go_back_to_best(run, output)
        return Trained(
            model=built,
            prepared=prepared,
            state=run.state,
            reason=reason,
            generation=self.generation,
            figures=run.state.best_figures,
            verdict=tuple(run.verdict),
            last_weights=last_weights,
        )

    def _prepare(
        self,
        model: GeneralistModel | ModelPlan | str,
        tasks: Sequence[Task],
        options: TrainerOptions,
        saved: SavedStep | None,
    ) -> Prepared:
        if saved is None:
            return self.prepare(model, tasks)
        prepared = prepare(
            tasks,
            _plan_of(model),
            options,
            self.catalog,
            tokenizer=saved.checkpoint.vocabulary.tokenizer.local,
            closed_sets=saved.checkpoint.closed_sets,
            assets=saved.checkpoint.assets,
            max_items=self.generation.max_items,
        )
        check_same_run(saved, prepared.train_plan)
        return prepared

    def _run(
        self,
        prepared: Prepared,
        model: nn.Module,
        device: torch.device,
        options: TrainerOptions,
        output: Path | None,
        saved: SavedStep | None,
    ) -> Run:
        constants = ConstantAnswers()
        context = CriterionContext(width=prepared.model_plan.architecture.width, vocabulary=prepared.vocabulary.plan)
        shares = {task.plan.name: task.loss_share for task in prepared.train_plan.tasks}
        loss = StepLoss(prepared.encoder.slots, self.catalog, context, shares, options.seed)
        for module in loss.modules:
            module.to(device)
        optimizers = Optimizers(model, loss.modules, options)
        runner = StepRunner(
            model, prepared.encoder, loss, optimizers, device=device, accumulation=options.accumulation, clip=options.clip
        )
        run = Run(
            prepared,
            model,
            runner,
            row_stream(prepared, options),
            validation_batches(prepared, options),
            options,
            Reporters((*self.reporters, *self._own_reporters(output, saved.state.step if saved else None))),
            output=output,
            save_model=lambda folder, extra: _save_model(model, prepared, self.generation, folder, extra),
            judge=lambda seconds: self._judge(prepared, model, constants, seconds),
            measure=measure_of(options.best_by, prepared, judged=options.valid_metrics),
        )
        if saved is not None:
            try:
                run.restore(saved.state, saved.tensors)
            except (ValueError, RuntimeError) as error:  # torch's own, for the state of a criterion
                raise file_error(saved.folder / TENSORS_FILE, f"is not the state of this run: {error}") from error
        return run

    def _own_reporters(self, output: Path | None, resume_step: int | None) -> Iterator[Reporter]:
        if output is not None:
            yield JsonLinesReporter(output / LOG_FILE, resume_step=resume_step)
        if self.options.tensorboard:
            from ofa_trainer.reporting.dashboards import TensorBoardReporter

            if output is None:
                raise ValueError("tensorboard needs an output folder")
            yield TensorBoardReporter(output / "tensorboard")
        if self.options.wandb is not None:
            from ofa_trainer.reporting.dashboards import WandbReporter

            yield WandbReporter(self.options.wandb, output)

    def _judge(
        self, prepared: Prepared, model: nn.Module, constants: ConstantAnswers, seconds: float | None
    ) -> dict[str, dict[str, Figure]]:
        if not self.options.valid_metrics:
            return {}
        from ofa_trainer.evaluation import evaluate

        plan = EvaluatePlan(
            split="valid", rows=self.options.valid_rows, generation=self.generation, slack=VALIDATION_SLACK, seconds=seconds
        )
        tasks = [task for task in prepared.tasks if task.source("valid") is not None]
        model.eval()
        session = _session(model, prepared, self.generation)
        return evaluate(session, tasks, plan, catalog=self.catalog, constants=constants).figures()


def _go_back_to_best(run: Run, output: Path | None) -> dict[str, Tensor] | None:
    """Have the model of a run that is over hold its best step; the weights of the last one, None where that is the best."""
    best = run.state.best_step
    if best is None or best == run.state.step:
        return None
    last = {name: tensor.detach().cpu().clone() for name, tensor in run.model.state_dict().items()}
    if run.best_weights is not None:
        run.model.load_state_dict(run.best_weights)
    elif output is not None:
        load_weights(run.model, output / CHECKPOINT / WEIGHTS)
    return last


def row_stream(prepared: Prepared, options: TrainerOptions) -> RowStream:
    """The stream of training rows."""
    reader = RowReader(
        encoder=prepared.encoder,
        names=prepared.mixture.names,
        sources=tuple(training_rows(task) for task in prepared.tasks),
        transforms=tuple(
            row_changes(task, plan, frozenset(options.hosts)) for task, plan in zip(prepared.tasks, prepared.plans, strict=True)
        ),
        split="train",
        seed=options.seed,
    )
    return RowStream(
        reader=reader,
        mixture=prepared.mixture,
        budget=options.batch_tokens,
        workers=options.workers,
        max_bad_in_a_row=options.max_bad_in_a_row,
        max_bad_share=options.max_bad_share,
    )


def validation_batches(prepared: Prepared, options: TrainerOptions) -> list[PackedBatch]:
    """Validation rows, encoded and packed once; bad rows are logged and left out, and so is a task that has no others."""
    examples: list[Example] = []
    for number, task in enumerate(prepared.tasks):
        source = task.source("valid")
        if source is None:
            continue
        usable = _validation_rows(prepared, options, number, source)
        if not usable:
            logger.warning("task `%s`: none of its validation rows can be used, so it is not validated", task.name)
        examples += usable
    return [prepared.encoder.pack(batch) for batch in fill_batches(examples, options.batch_tokens)]


def _validation_rows(prepared: Prepared, options: TrainerOptions, number: int, source: Source) -> list[Example]:
    names = prepared.mixture.names
    none = (None,) * len(names)
    reader = RowReader(prepared.encoder, names, tuple(source for _ in names), none, "valid", options.seed)
    examples: list[Example] = []
    bad: list[BadRow] = []
    for index in spread_indices(len(source), options.valid_rows, EvaluatePlan().seed):
        result = reader(Draw(number, 0, index))
        if isinstance(result, BadRow):
            bad.append(result)
        else:
            examples.append(result)
    for line in tell_bad_rows(bad, "validation"):
        logger.warning("%s", line)
    return examples


def _plan_of(model: GeneralistModel | ModelPlan | str) -> ModelPlan:
    if isinstance(model, str):
        return ModelPlan.of_size(model)
    return model if isinstance(model, ModelPlan) else model.plan


def _infer_plan(prepared: Prepared, generation: GenerationOptions) -> InferPlan:
    return InferPlan(
        model=prepared.model_plan,
        tasks=prepared.plans,
        vocabulary=prepared.vocabulary.plan,
        generation=generation,
        assets=prepared.train_plan.assets,
        data={task.name: reading for task in prepared.tasks if (reading := task.reading()) is not None},
    )


def _save_model(
    model: nn.Module, prepared: Prepared, generation: GenerationOptions, folder: Path, extra: Callable[[Path], None]
) -> None:
    save_checkpoint(
        folder,
        plan=_infer_plan(prepared, generation),
        model=model,
        vocabulary=prepared.vocabulary,
        closed_sets=prepared.closed_sets,
        assets=prepared.assets,
        extra=extra,
    )


def _session(model: nn.Module, prepared: Prepared, generation: GenerationOptions) -> Session:
    from ofa_models.checkpoint import Checkpoint
    from ofa_models.session import Session

    checkpoint = Checkpoint(
        plan=_infer_plan(prepared, generation),
        model=model,
        vocabulary=prepared.vocabulary,
        closed_sets=prepared.closed_sets,
        assets=prepared.assets,
    )
    return Session(checkpoint, catalog=prepared.catalog, hosts=prepared.encoder.hosts)
