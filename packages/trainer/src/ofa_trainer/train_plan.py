"""The plan of a training run: what ``run.json`` of a checkpoint holds. No torch here."""

from __future__ import annotations

from typing import Literal

from ofa_instruction.plans import Plan, TaskPlan
from ofa_modalities.vocabulary import VocabularyPlan
from ofa_models.plans import ModelPlan
from pydantic import Field

from ofa_trainer.plans import NamedOptions, TrainerOptions
from ofa_trainer.row_transforms.plans import RowTransformPlan


class DataPlan(Plan):
    """The rows of one split of a task, as the run found them."""

    kind: str
    rows: int
    digest: str


class TaskRunPlan(Plan):
    """A task as it was trained."""

    plan: TaskPlan
    train: DataPlan
    valid: DataPlan | None = None
    share: float
    """Its share of the mixture."""
    loss_share: float
    """λ of its losses; over all tasks they add up to 1."""
    metrics: tuple[NamedOptions, ...] | None = None
    transforms: tuple[RowTransformPlan, ...] = ()


class TrainPlan(Plan):
    """``run.json``: everything that decides how a run trains; a resumed run must state the same."""

    schema_version: Literal[1] = 1
    options: TrainerOptions
    model: ModelPlan
    vocabulary: VocabularyPlan
    assets: dict[str, str] = Field(default_factory=dict)
    """Digest of what each processor has fitted to the rows, by the asset's name."""
    tasks: tuple[TaskRunPlan, ...]
