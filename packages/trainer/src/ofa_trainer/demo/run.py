"""The demo, start to end: six tasks, one model, a table and a page.

    demo_tasks ─▶ Trainer.fit ─▶ save ─▶ answer held-out rows ─▶ judge beside baselines ─▶ page
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from ofa_models.zoo import GeneralistModel

from ofa_trainer.demo import recipe
from ofa_trainer.demo.judging import AnsweredRow, judge, shown_rows
from ofa_trainer.demo.report import write_report
from ofa_trainer.demo.results import CurvePoint, DemoResult
from ofa_trainer.reporting.events import Event, Reporter, StepDone
from ofa_trainer.starter import starter_closed_set, starter_source
from ofa_trainer.task import Task
from ofa_trainer.trainer import Trained, Trainer

HeldOut = Literal["valid", "test"]


class CurveReporter:
    """Keeps each task's training loss and the speed, for the page."""

    def __init__(self) -> None:
        self.curves: dict[str, list[CurvePoint]] = {}
        self.tokens = 0
        self.elapsed_s = 0.0

    def report(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, StepDone):
            self.tokens += event.tokens
            self.elapsed_s = event.elapsed_s
            for task, loss in event.losses.items():
                self.curves.setdefault(task, []).append(CurvePoint(step=event.step, loss=loss))

    def close(self) -> None:
        """Nothing to give back."""


def demo_tasks(seed: int = recipe.SEED) -> list[Task]:
    """The six tasks on the starter pack. There is no validation during training: the budget is for learning."""
    return [
        Task(
            task.name,
            task.instruction,
            train=starter_source(task.name, "train", seed),
            valid=starter_source(task.name, "valid"),
            test=starter_source(task.name, "test"),
            closed_sets={},
            metrics=task.metrics,
            weight=task.rows_per_step,
            criteria=dict(recipe.CRITERIA.get(task.name, {})),
        )
        for task in recipe.DEMO_TASKS
    ]
