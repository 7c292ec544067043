"""Which demo: its tasks, its budget, its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ofa_trainer.demo import everything, recipe
from ofa_trainer.demo.recipe import DemoTask
from ofa_trainer.plans import TrainerOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """tasks: in the order of the page. options: ``(minutes, steps, seed)`` to how it trains. minutes: of training, by default.

    size and overrides: of the model. rows: held-out rows that each task is judged on.
    """

    tasks: tuple[DemoTask, ...]
    options: Callable[..., TrainerOptions]
    minutes: float
    size: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    rows: int = recipe.EVALUATED_ROWS


SIX = DemoPlan(
    tasks=recipe.DEMO_TASKS,
    options=recipe.trainer_options,
    minutes=recipe.TRAINING_MINUTES,
    size=recipe.MODEL_SIZE,
    overrides=recipe.MODEL_OVERRIDES,
)
"""Six tasks over pictures, words and boxes, in six minutes."""

EVERYTHING = DemoPlan(
    tasks=everything.ALL_TASKS,
    options=everything.trainer_options,
    minutes=everything.TRAINING_MINUTES,
    size=everything.MODEL_SIZE,
    overrides=everything.MODEL_OVERRIDES,
    rows=everything.EVALUATED_ROWS,
)
"""All nine modalities, in and out."""
