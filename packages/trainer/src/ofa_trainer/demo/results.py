"""What a run of the demo found, as plans: ``results.json`` beside the page."""

from __future__ import annotations

from typing import Literal

from ofa_instruction.plans import Plan
from pydantic import Field

from ofa_trainer.reporting.intervals import interval_text

Box = tuple[float, float, float, float]


class Figure(Plan):
    """A number with its name, and what the baseline reaches there."""

    name: str
    value: float
    baseline: float | None = None


class TaskFigures(Plan):
    """How well a task was learnt, on held-out rows."""

    task: str
    title: str
    instruction: str
    split: str
    metric: str
    num_rows: int
    value: float
    low: float
    high: float
    """Ends of the 95 % bootstrap interval."""
    baseline_name: str
    baseline: float
    more: tuple[Figure, ...] = ()
    """Other metrics, other baselines, the metric by kind of question."""

    higher_is_better: bool = True

    def interval(self, form: str = "[{low:.3f}, {high:.3f}]") -> str:
        """The interval in words, or that there are too few rows for one."""
        return interval_text(self.low, self.high, rows=self.num_rows, form=form)

    @property
    def learnt(self) -> bool | None:
        """Whether the whole interval lies on the better side of the baseline; None: there are too few rows to say so."""
        if self.num_rows < LEAST_ROWS:
            return None
        return self.low > self.baseline if self.higher_is_better else self.high < self.baseline

    @property
    def verdict(self) -> Literal["yes", "no", "too few rows"]:
        """:attr:`learnt` in words."""
        return "too few rows" if self.learnt is None else "yes" if self.learnt else "no"


LEAST_ROWS = 200
"""Held-out rows below which nothing is said to be learnt, or not to be."""


class Shown(Plan):
    """A value as the page shows it: a ``file`` beside the page, a table, or words."""

    kind: Literal["picture", "sound", "table", "words"]
    file: str | None = None
    words: str = ""
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


class Answer(Plan):
    """One held-out row, answered."""

    address: str
    picture: str | None = None
    """File beside the page, without marks."""
    picture_px: tuple[int, int] | None = None
    """(width, height) that boxes are measured in."""
    question: str | None = None
    """The text that was shown, if there was one."""
    answer: str
    truth: str
    right: bool | None = None
    """Whether it counts as right; None where answers are more or less good."""
    note: str = ""
    """How good it is, in a few characters: ``IoU 0.71``."""
    box: Box | None = None
    true_box: Box | None = None
    shown: tuple[Shown, ...] = ()
    """What was shown beside ``picture`` and ``question``: sound, clips, tables."""
    said: Shown | None = None
    """The answer, where it is no words."""
    true: Shown | None = None
    """What was right, where it is no words."""


class CurvePoint(Plan):
    """Training loss of a task around a step."""

    step: int
    loss: float


class DemoResult(Plan):
    """Everything the page shows."""

    model: str
    num_parameters: int
    steps: int
    training_s: float
    evaluation_s: float
    seed: int
    tokens_per_s: float = 0.0
    split: str = "test"
    tasks: tuple[TaskFigures, ...]
    answers: dict[str, tuple[Answer, ...]] = Field(default_factory=dict)
    curves: dict[str, tuple[CurvePoint, ...]] = Field(default_factory=dict)
    checkpoint: str = "checkpoint"
