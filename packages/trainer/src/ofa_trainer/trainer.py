"""The trainer: tasks and a model in, a trained model out.

Trainer(steps=500).fit(GeneralistModel("tiny"), [caption, vqa], output="runs/both").save("checkpoint")
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from ofa_instruction import Catalog, default_catalog
from ofa_modalities.batch import PackedBatch
from ofa_modalities.packing import fill_batches
from ofa_modalities.segment import Example
from ofa_modalities.tokenizer import load_tokenizer
from ofa_models.checkpoint import CheckpointError, load_checkpoint, load_weights, save_checkpoint
from ofa_models.plans import GenerationOptions, InferPlan, ModelPlan
from ofa_models.zoo import GeneralistModel, build_model
from pydantic import ValidationError
from torch import nn

from ofa_trainer.checkpointing import RUN_FILE, RunState, clean, read_state, saved_steps, step_folder
from ofa_trainer.criterion import CriterionContext
from ofa_trainer.loop import StepRunner
from ofa_trainer.mixture import Draw
from ofa_trainer.optimizers import Optimizers
from ofa_trainer.plans import EvaluatePlan, TrainerOptions
from ofa_trainer.preparing import Prepared, prepare, training_rows
from ofa_trainer.reporting.events import Figure, Fitting, Reporter, Reporters
from ofa_trainer.reporting.json_lines import JsonLinesReporter
from ofa_trainer.row_transforms.applying import row_changes
from ofa_trainer.run import Run, reproducible
from ofa_trainer.sources.choosing import spread_indices
from ofa_trainer.step import StepLoss
from ofa_trainer.stream import RowStream
from ofa_trainer.task import DataSplit, Task
from ofa_trainer.train_plan import TrainPlan
from ofa_trainer.workers import BadRow, RowReader

if TYPE_CHECKING:
    from ofa_models.session import Session

    from ofa_trainer.evaluation import Evaluation

logger = logging.getLogger(__name__)

FREE_ON_RESUME = frozenset(
    [
        "minutes",
        "stop_after",
        "accumulation",
        "deterministic",
        "device",
        "workers",
        "validate_every",
        "valid_rows",
        "valid_metrics",
        "save_every",
        "keep",
        "log_every",
        "tensorboard",
        "wandb",
        "max_bad_in_a_row",
        "max_bad_share",
        "tokenizer",
        "fit_rows",
        "hosts",
    ]
)
"""Options that a resumed run may change: they do not decide which steps are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a run leaves: the model in evaluation mode, and everything it needs to answer.

    reason: why the run ended. figures: of the last validation, by task, by ``column/metric``.
    """

    model: nn.Module
    prepared: Prepared
    state: RunState
    reason: Literal["done", "stopped", "time", "interrupted"]
    generation: GenerationOptions
    figures: dict[str, dict[str, Figure]] = field(default_factory=dict)

    @property
    def plan(self) -> InferPlan:
        """What inference needs beside the weights."""
        return _infer_plan(self.prepared, self.generation)

    def save(self, directory: str | Path) -> Path:
        """Write a checkpoint directory, with ``run.json`` beside what answers."""

        def extra(folder: Path) -> None:
            (folder / RUN_FILE).write_text(self.prepared.train_plan.model_dump_json(indent=1), encoding="utf-8")

        _save_model(self.model, self.prepared, self.generation, Path(directory), extra)
        return Path(directory)

    def session(self) -> Session:
        """A session on the trained model itself."""
        return _session(self.model, self.prepared, self.generation)

    def evaluate(self, split: DataSplit = "test", **options: Any) -> Evaluation:
        """Answer and judge the rows of a split; ``options`` are those of :class:`EvaluatePlan`."""
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

    def prepare(self, model: GeneralistModel | ModelPlan | str, tasks: Sequence[Task]) -> Prepared:
        """Everything that is decided before the first step, without building the model."""
        return prepare(tasks, _plan_of(model), self.options, self.catalog, fitting=self._fitting)

    def _fitting(self, asset: str, done: int, total: int) -> None:
        Reporters(self.reporters).report(Fitting(asset=asset, done=done, total=total))

    def fit(
        self,
        model: GeneralistModel | ModelPlan | str,
        tasks: Sequence[Task],
        *,
        output: str | Path | None = None,
        resume: bool = False,
    ) -> Trained:
        """Train; with an output folder, write its log and checkpoints.

        model: unbuilt, a partial plan, or the name of a size. resume: go on from the newest checkpoint of ``output``, from the
        start where there is none; the run must be the same but for what does not change its steps.
        Raises InstructionError, DataError and ValueError for what cannot be trained; Interrupted, NonFiniteLoss and
        TooManyBadRows for what happens on the way.
        """
        started = time.perf_counter()
        folder = None if output is None else Path(output)
        checkpoint = _checkpoint_to_resume(folder, resume)
        prepared = self._prepare(model, tasks, checkpoint)
        device = pick_device(self.options.device)
        with reproducible(self.options.seed, device, deterministic=self.options.deterministic):
            built = build_model(prepared.model_plan, self.catalog, seed=self.options.seed).to(device)
            run = self._run(prepared, built, device, folder, checkpoint)
            run.preparing_s = time.perf_counter() - started
            try:
                reason = run.train()
            finally:
                run.reporter.close()
                built.eval()
        return Trained(
            model=built, prepared=prepared, state=run.state, reason=reason, generation=self.generation, figures=run.figures
        )

    def _prepare(self, model: GeneralistModel | ModelPlan | str, tasks: Sequence[Task], checkpoint: Path | None) -> Prepared:
        if checkpoint is None:
            return self.prepare(model, tasks)
        saved = load_checkpoint(checkpoint, catalog=self.catalog)
        prepared = prepare(
            tasks,
            _plan_of(model),
            self.options,
            self.catalog,
            tokenizer=load_tokenizer(checkpoint),
            closed_sets=saved.closed_sets,
            assets=saved.assets,
        )
        check_same_run(TrainPlan.model_validate_json((checkpoint / RUN_FILE).read_text("utf-8")), prepared.train_plan)
        return prepared

    def _run(
        self, prepared: Prepared, model: nn.Module, device: torch.device, output: Path | None, checkpoint: Path | None
    ) -> Run:
        options = self.options
        context = CriterionContext(width=prepared.model_plan.architecture.width, vocabulary=prepared.vocabulary.plan)
        shares = {task.plan.name: task.loss_share for task in prepared.train_plan.tasks}
        loss = StepLoss(prepared.encoder.slots, self.catalog, context, shares, options.seed)
        for module in loss.modules:
            module.to(device)
        optimizers = Optimizers(model, loss.modules, options)
        runner = StepRunner(
            model, prepared.encoder, loss, optimizers, device=device, accumulation=options.accumulation, clip=options.clip
        )
        saved = None if checkpoint is None else read_state(checkpoint)
        run = Run(
            prepared,
            model,
            runner,
            row_stream(prepared, options),
            validation_batches(prepared, options),
            options,
            Reporters((*self.reporters, *self._own_reporters(output, saved[0].step if saved else None))),
            output=output,
            save_model=lambda folder, extra: _save_model(model, prepared, self.generation, folder, extra),
            judge=lambda: self._judge(prepared, model),
        )
        if checkpoint is not None and saved is not None:
            load_weights(model, checkpoint / "model.safetensors")
            run.restore(*saved)
        return run

    def _own_reporters(self, output: Path | None, resume_step: int | None) -> Iterator[Reporter]:
        if output is not None:
            yield JsonLinesReporter(output / "log.jsonl", resume_step=resume_step)
        if self.options.tensorboard:
            from ofa_trainer.reporting.dashboards import TensorBoardReporter

            if output is None:
                raise ValueError("tensorboard needs an output folder")
            yield TensorBoardReporter(output / "tensorboard")
        if self.options.wandb is not None:
            from ofa_trainer.reporting.dashboards import WandbReporter

            yield WandbReporter(self.options.wandb, output)

    def _judge(self, prepared: Prepared, model: nn.Module) -> dict[str, dict[str, Figure]]:
        if not self.options.valid_metrics:
            return {}
        from ofa_trainer.evaluation import evaluate

        plan = EvaluatePlan(split="valid", rows=self.options.valid_rows, generation=self.generation)
        tasks = [task for task in prepared.tasks if task.source("valid") is not None]
        model.eval()
        return evaluate(_session(model, prepared, self.generation), tasks, plan, catalog=self.catalog).figures()


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
    """Validation rows, encoded and packed once; bad rows are logged and left out."""
    examples: list[Example] = []
    for number, task in enumerate(prepared.tasks):
        source = task.source("valid")
        if source is None:
            continue
        names = prepared.mixture.names
        sources = tuple(source for _ in names)
        none = (None,) * len(names)
        reader = RowReader(prepared.encoder, names, sources, none, "valid", options.seed)
        for index in spread_indices(len(source), options.valid_rows, EvaluatePlan().seed):
            result = reader(Draw(number, 0, index))
            if isinstance(result, BadRow):
                logger.warning("validation row skipped: %s", result)
            else:
                examples.append(result)
    return [prepared.encoder.pack(batch) for batch in fill_batches(examples, options.batch_tokens)]


def pick_device(name: str) -> torch.device:
    """``auto``: CUDA where there is some, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def check_same_run(saved: TrainPlan, now: TrainPlan) -> None:
    """Compare a saved run with the one that wants to go on. Raises CheckpointError that lists the differences."""
    differences: list[str] = []
    for name in TrainerOptions.model_fields:
        before, after = getattr(saved.options, name), getattr(now.options, name)
        if name not in FREE_ON_RESUME and before != after:
            differences.append(f"trainer.{name}: {before} then, {after} now")
    if saved.model != now.model:
        differences.append("the model's plan")
    if saved.assets != now.assets:
        differences.append(f"what processors fit: {', '.join(saved.assets)} then, {', '.join(now.assets)} now")
    old = {task.plan.name: task for task in saved.tasks}
    if list(old) != [task.plan.name for task in now.tasks]:
        differences.append(f"the tasks: {', '.join(old)} then, {', '.join(task.plan.name for task in now.tasks)} now")
    for task in now.tasks:
        before_task = old.get(task.plan.name, task)
        if before_task.plan != task.plan:
            differences.append(f"task {task.plan.name}: its instruction, options or closed sets")
        if before_task.train != task.train:
            differences.append(f"task {task.plan.name}: its training rows ({before_task.train.rows} then, {task.train.rows} now)")
        if before_task.transforms != task.transforms:
            differences.append(f"task {task.plan.name}: its transforms")
        if before_task.share != task.share:
            differences.append(f"task {task.plan.name}: its share of the mixture")
        if before_task.loss_share != task.loss_share:
            differences.append(f"task {task.plan.name}: the weight of its losses")
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        raise CheckpointError(f"the run cannot be resumed, because it is another one:\n{listed}")


def _checkpoint_to_resume(output: Path | None, resume: bool) -> Path | None:
    if output is None:
        if resume:
            raise ValueError("resuming needs the output folder of the run")
        return None
    clean(output)
    steps = saved_steps(output)
    if steps and not resume:
        raise ValueError(
            f"`{output}` holds a run at step {steps[-1]} already: resume it (`resume=True`, `--resume`) or choose another output"
        )
    return step_folder(output, steps[-1]) if steps else None


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
