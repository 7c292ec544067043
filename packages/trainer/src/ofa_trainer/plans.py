"""Plans of this package: what a run file says, how a run trains and how it is judged. No torch, no numpy here.

>>> TrainerOptions(steps=100).schedule
'warmup-stable-decay'
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from ofa_instruction.plans import Plan
from ofa_models.plans import AttentionKind, GenerationOptions, ModelPlan, Precision, resolve_architecture
from pydantic import BeforeValidator, Field, JsonValue, model_validator

from ofa_trainer.row_transforms.plans import RowTransformPlan

ScheduleKind = Literal["warmup-stable-decay", "cosine", "linear", "constant"]
MixtureKind = Literal["rows", "temperature", "round_robin"]


class TrainerOptions(Plan):
    """How a run trains. The defaults suit two CPU cores and a few minutes."""

    steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; the schedule's length. None: 500, or as many as fit into ``minutes``."""
    minutes: float | None = Field(default=None, gt=0)
    """Of training and validation. Beside ``steps``: a cap, the run stops there. Alone: as many steps as fit; the rate falls with
    the time, which is measured at every step, and has fallen when it is over."""
    stop_after: int | None = Field(default=None, ge=1)
    """Stop and save after this step; the schedule stays that of ``steps``."""
    batch_tokens: int = Field(default=8192, ge=16)
    """Source and target tokens of one step, over all devices and accumulation."""
    accumulation: int = Field(default=1, ge=1)
    """Parts that a step's rows are cut into, one after the other in memory; the result is the same."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """``muon``: Muon on the matrices of the blocks, AdamW on the rest."""
    muon_lr: float = Field(default=0.02, ge=0)
    adamw_lr: float = Field(default=3e-3, ge=0)
    adamw_betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.98)
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: ScheduleKind = "warmup-stable-decay"
    warmup_steps: int = Field(default=40, ge=0)
    """At most a tenth of the steps is used."""
    decay_share: float = Field(default=0.5, gt=0, le=1)
    """Last share of the steps in which ``warmup-stable-decay`` falls linearly."""
    final_lr: float = Field(default=0.02, ge=0, le=1)
    """Where the schedule ends, as a share of the peak."""
    clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient; None: not clipped."""
    precision: Precision = "auto"
    """``auto``: bfloat16 autocast where the processor multiplies it natively, else float32."""
    device: str = "auto"
    """``auto``: CUDA where there is some, else the CPU."""
    deterministic: bool = False
    """Deterministic algorithms only; slower on CUDA. Same results bit for bit on one machine with one thread count."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    workers: int = Field(default=0, ge=0)
    """Processes that read and encode rows; 0: the main one does."""
    mixture: MixtureKind = "rows"
    """How tasks without a weight of their own share the rows of a step."""
    temperature: float = Field(default=1.0, gt=0)
    """``temperature``: shares go with rows ** (1 / temperature)."""
    max_row_tokens: int = Field(default=1024, ge=8)
    """Longest row, source and target together; longer ones count as bad rows."""
    max_bad_in_a_row: int = Field(default=20, ge=1)
    max_bad_share: float = Field(default=0.1, ge=0, le=1)
    """Judged once 200 rows were drawn."""
    tokenizer: str | None = None
    """Folder with a ``tokenizer.json``; None: one is trained on the run's own texts."""
    tokenizer_size: int = Field(default=4000, ge=300)
    fit_rows: int = Field(default=20_000, ge=1)
    """Training rows of each task, spread over all, that tokenizer, closed sets and what processors fit are read from."""
    hosts: tuple[str, ...] = ()
    """Names of hosts that URLs in the rows may be fetched from; without any, a URL is a bad row."""
    validate_every: int | None = Field(default=None, ge=0)
    """Steps between validations; 0: at the end only. None: an eighth of the run, and at least 20 steps."""
    valid_rows: int = Field(default=200, ge=1)
    """Validation rows of each task, spread over all that there are."""
    valid_metrics: bool = True
    """Answer the validation rows as well and judge the answers. Answers end at twice the longest reference."""
    valid_share: float | None = Field(default=0.2, gt=0)
    """Of the time of training, what validations may take: a spread part of the rows is judged where all take longer, and
    validations that ``minutes`` have no time for are left out. None: no bound, as under ``deterministic`` without ``minutes``."""
    best_by: str | None = None
    """What the best step is the best by: ``loss``, or a task's figure as ``TASK/COLUMN/METRIC``. None: the first metric of the
    task, of several tasks their mean; the loss where no answers are judged."""
    save_every: int = Field(default=0, ge=0)
    """Steps between checkpoints; 0: with every validation, by itself with those that are the best so far, and at the end."""
    keep: int = Field(default=2, ge=1)
    """Newest checkpoints that are kept, the best one beside them."""
    log_every: int = Field(default=10, ge=1)
    tensorboard: bool = False
    wandb: str | None = None
    """Project on Weights & Biases."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.stop_after is not None and self.steps is not None and self.stop_after > self.steps:
            raise ValueError(f"stop_after ({self.stop_after}) lies beyond steps ({self.steps})")
        return self

    @property
    def row_limit(self) -> int:
        """Most tokens of a row: no row is longer than a step."""
        return min(self.max_row_tokens, self.batch_tokens)


def _path_as_source(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class SourcePlan(Plan):
    """Where rows come from: a path, or a source by name with its options."""

    source: str | None = None
    """Name of a source; None: chosen by the suffix of ``path``."""
    path: str | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.source is None and self.path is None:
            raise ValueError("needs a `path` or the name of a `source`")
        return self


SourceField = Annotated[SourcePlan, BeforeValidator(_path_as_source)]
NamedOptions = str | dict[str, dict[str, JsonValue]]
"""A plugin by name, or one name with its options: ``rouge_l`` or ``{rouge_l: {stem: true}}``."""


PATH_OPTIONS: Mapping[str, str] = MappingProxyType({"image_code": "model", "video_code": "model", "audio": "vocoder"})
"""The option of a processor that is a folder, by the processor's name: relative ones start where a task's data does."""


class TaskFilePlan(Plan):
    """A task as the run file states it."""

    instruction: str | tuple[str, ...] | None = None
    """One instruction, alternatives joined by ``|||``, or a list of alternatives."""
    preset: str | None = None
    """Take instruction and metrics from a preset; what is given here wins."""
    train: SourceField
    valid: SourceField | Annotated[float, Field(ge=0, lt=1)] | Literal[False] | None = None
    """A source; a share of the training rows (none given: 5 %, at most 500 rows); 0 or ``false``: none."""
    test: SourceField | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    """Column of the instruction: column of the data, where they differ."""
    delimiter: str | None = None
    """Of its CSV files; none: recognised."""
    root: str | None = None
    """Folder that media paths in the rows start from and stay in; none: that of their file."""
    closed_sets: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    metrics: tuple[NamedOptions, ...] | None = None
    criteria: dict[str, tuple[NamedOptions, ...]] = Field(default_factory=dict)
    """By target column: losses in place of the modality's own."""
    transforms: tuple[RowTransformPlan, ...] = ()
    """Changes of training rows that reach several columns at once, in order: ``crop``, ``{mirror: {sides: none}}``."""
    weight: float | None = Field(default=None, gt=0)
    """Its part in the mixture, relative to the other tasks; all tasks have one or none has."""
    loss_weight: float | None = Field(default=None, gt=0)
    """Factor of its losses, relative to the other tasks; none: its share of the mixture. All tasks have one or none has."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.instruction is None and self.preset is None:
            raise ValueError("needs an `instruction` or a `preset`")
        return self


class ModelFilePlan(Plan):
    """The model as the run file states it: a size, and what differs from it."""

    size: str = "tiny"
    backend: str = "generalist"
    attention: AttentionKind = "auto"
    architecture: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields of the architecture that differ from the size's."""

    def plan(self) -> ModelPlan:
        """The partial model plan. Raises ValueError for an unknown size or field."""
        architecture = resolve_architecture(self.size, **self.architecture)
        return ModelPlan(backend=self.backend, size=self.size, architecture=architecture, attention=self.attention)


def _size_as_model(value: Any) -> Any:
    return {"size": value} if isinstance(value, str) else value


class RunFile(Plan):
    """A run file: model, tasks, trainer, output. Paths are relative to the file's folder."""

    schema_version: Literal[1] = 1
    model: Annotated[ModelFilePlan, BeforeValidator(_size_as_model)] = Field(default_factory=ModelFilePlan)
    tasks: dict[str, TaskFilePlan] = Field(min_length=1)
    trainer: TrainerOptions = Field(default_factory=TrainerOptions)
    generation: GenerationOptions = Field(default_factory=GenerationOptions)
    output: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.trainer.mixture == "round_robin" and any(task.weight is not None for task in self.tasks.values()):
            raise ValueError("tasks: a round robin has no weights: leave them out or choose another `trainer.mixture`")
        for field in ("weight", "loss_weight"):
            weighted = [name for name, task in self.tasks.items() if getattr(task, field) is not None]
            if weighted and len(weighted) != len(self.tasks):
                missing = ", ".join(f"`{name}`" for name in self.tasks if name not in weighted)
                raise ValueError(f"tasks: all have a {field} or none has; without one: {missing}")
        return self


class EvaluatePlan(Plan):
    """How a checkpoint is judged."""

    schema_version: Literal[1] = 1
    split: Literal["train", "valid", "test"] = "test"
    rows: int | None = Field(default=None, ge=1)
    """Rows of each task, spread over all that there are; None: all."""
    batch_rows: int = Field(default=32, ge=1)
    slack: float | None = Field(default=None, ge=1)
    """Answers of open texts, and lists, end at so many times the longest reference beside them; None: at their own limits."""
    seconds: float | None = Field(default=None, ge=0)
    """Answer rows for so long, at least one batch of each task, in an order that makes any part a spread one; None: all rows."""
    level: float = Field(default=0.95, gt=0, lt=1)
    resamples: int = Field(default=2000, ge=1)
    seed: int = 0
    generation: GenerationOptions = Field(default_factory=GenerationOptions)
