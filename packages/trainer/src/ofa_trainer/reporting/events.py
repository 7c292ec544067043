"""What a run tells: frozen events, the same for the terminal, the log file and dashboards."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Literal, Protocol

from ofa_instruction.plans import Plan
from pydantic import Field

from ofa_trainer.reporting.intervals import has_interval, interval_text

logger = logging.getLogger(__name__)


class Figure(Plan):
    """A metric with its 95 % interval."""

    value: float
    low: float
    high: float
    rows: int
    higher_is_better: bool = True
    baseline: float | None = None
    """The same metric of the constant answer that does best on training rows; None: there is none."""
    baseline_name: str | None = None
    """``always `red```."""

    @property
    def beside(self) -> str:
        """The baseline for people: ``0.333 always `red```; empty where there is none."""
        return "" if self.baseline is None else f"{self.baseline:.3f} {self.baseline_name or ''}".rstrip()

    def interval(self, form: str = "[{low:.3f}, {high:.3f}]") -> str:
        """The interval in words, or that there are too few rows for one."""
        return interval_text(self.low, self.high, rows=self.rows, form=form)

    def as_json(self) -> dict[str, float | int | str | None]:
        """For a program: without ``low`` and ``high`` where there are too few rows for them."""
        known: dict[str, float | int | str | None] = {"value": self.value, "rows": self.rows}
        known |= {"low": self.low, "high": self.high} if has_interval(self.rows) else {"low": None, "high": None}
        beside = {"baseline": self.baseline, "baseline_name": self.baseline_name}
        return known if self.baseline is None else known | beside


class Fitting(Plan):
    """Before the run starts: a processor fits something to the training rows."""

    event: Literal["fitting"] = "fitting"
    step: int = 0
    asset: str
    done: int
    total: int
    """In units of the processor's choice."""


class RunStarted(Plan):
    """Before the first step."""

    event: Literal["started"] = "started"
    step: int
    steps: int | None
    tasks: dict[str, int]
    """Training rows."""
    shares: dict[str, float]
    parameters: int
    vocabulary: int
    device: str
    precision: str
    seconds_preparing: float


class StepDone(Plan):
    """After every ``log_every`` steps: means since the last one."""

    event: Literal["step"] = "step"
    step: int
    steps: int | None
    loss: float
    losses: dict[str, float]
    terms: dict[str, float] = Field(default_factory=dict)
    """By ``task/column/criterion``."""
    lr: float
    """Share of the peak rates."""
    gradient_norm: float
    tokens: int
    rows: int
    tokens_per_s: float
    rows_per_s: float
    waited: float
    """Share of the time spent waiting for data."""
    elapsed_s: float
    left_s: float | None
    bad_rows: int


class RowSkipped(Plan):
    """A row that could not be used."""

    event: Literal["bad_row"] = "bad_row"
    step: int
    task: str
    address: str
    column: str
    message: str


class ValueCut(Plan):
    """The first value of a column that is longer than its limit; step 0: some rows were looked at before the first step."""

    event: Literal["cut"] = "cut"
    step: int
    column: str
    """``task/column``."""
    address: str
    message: str


class ValueEmpty(Plan):
    """The first empty cell of a column."""

    event: Literal["empty"] = "empty"
    step: int
    column: str
    """``task/column``."""
    address: str
    message: str


class Validated(Plan):
    """After a validation."""

    event: Literal["validation"] = "validation"
    step: int
    loss: float
    losses: dict[str, float]
    metrics: dict[str, dict[str, Figure]] = Field(default_factory=dict)
    """By task, by ``column/metric``."""
    best: bool
    """Of all validations so far."""
    best_by: str = "loss"
    seconds: float


class Warned(Plan):
    """Something beside the training failed and was left out."""

    event: Literal["warning"] = "warning"
    step: int
    message: str


class Saved(Plan):
    """After a checkpoint was written."""

    event: Literal["saved"] = "saved"
    step: int
    path: str
    seconds: float


class Summary(Plan):
    """What the run has come to."""

    event: Literal["summary"] = "summary"
    step: int
    best_step: int | None
    best_by: str | None
    metrics: dict[str, dict[str, Figure]] = Field(default_factory=dict)
    """Of the best step, by task, by ``column/metric``."""
    verdict: tuple[str, ...] = ()
    """Plain sentences: overfitted, stopped learning, no better than a constant answer; none where all is well."""


class RunEnded(Plan):
    """The last event."""

    event: Literal["ended"] = "ended"
    step: int
    reason: Literal["done", "stopped", "time", "interrupted", "failed"]
    seconds: float
    bad_rows: int
    cuts: dict[str, int] = Field(default_factory=dict)
    """Rows drawn with values longer than their limits, by ``task/column``."""
    empty: dict[str, int] = Field(default_factory=dict)
    """Rows drawn with empty cells, by ``task/column``."""


Event = Annotated[
    Fitting | RunStarted | StepDone | RowSkipped | ValueCut | ValueEmpty | Validated | Summary | Warned | Saved | RunEnded,
    Field(discriminator="event"),
]


class Reporter(Protocol):
    """Takes events; ``close`` is called once, whatever happened."""

    def report(self, event: Event) -> None:
        """Take one event."""

    def close(self) -> None:
        """The run is over."""


class Reporters:
    """Several reporters as one. One that fails is told of and left out from then on: no report is worth a run."""

    def __init__(self, reporters: tuple[Reporter, ...]) -> None:
        self.reporters = list(reporters)

    def report(self, event: Event) -> None:
        """Hand the event to each."""
        self._each(lambda reporter: reporter.report(event))

    def close(self) -> None:
        """Close each."""
        self._each(lambda reporter: reporter.close())

    def _each(self, action: Callable[[Reporter], None]) -> None:
        for reporter in tuple(self.reporters):
            try:
                action(reporter)
            except Exception as error:  # noqa: BLE001  (reporters are anybody's)
                self.reporters.remove(reporter)
                logger.warning("%s", left_out(f"the reporter {type(reporter).__name__}", error))


def left_out(what: str, error: Exception) -> str:
    """What a warning says of something beside the training that failed."""
    return f"{what} failed and is left out: {type(error).__name__}: {error}"
