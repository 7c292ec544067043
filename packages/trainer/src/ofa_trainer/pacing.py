"""The pace of a run: how far it is, when it validates and for how long, when it ends.

A run of ``steps`` is as far as its steps. One of ``minutes`` alone is as far as its time, measured anew at every step: the rate
falls to its end however fast or slow the machine is meanwhile. Time of training and of validation are planned apart, so that
answers of a model that has not learnt to stop yet cost no training.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from ofa_trainer.plans import TrainerOptions

VALIDATIONS = 8
"""Of a run that says no ``validate_every``, the one at its end included."""
LEAST_STEPS_BETWEEN = 20
LEAST_S = 5.0
"""Of a validation, however short the training was."""
LEAST_LAST_S = 20.0
LAST_SHARE = 0.05
"""Part of the minutes that the validation at the end is expected to take, until one was measured."""

LEAST_TRAINING_SHARE = 0.5
"""Of the minutes, whatever validations take."""


@dataclass(slots=True)
class Clock:
    """Time of the run, earlier parts of it included. validating_s: the part that validations took."""

    before_s: float = 0.0
    validating_s: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    @property
    def elapsed_s(self) -> float:
        """Seconds of training and validation so far."""
        return self.before_s + time.perf_counter() - self.started

    @property
    def training_s(self) -> float:
        """Seconds without validations."""
        return max(0.0, self.elapsed_s - self.validating_s)


class Pace:
    """How far a run is. validates: whether there are rows to validate on."""

    def __init__(self, options: TrainerOptions, clock: Clock, *, validates: bool) -> None:
        self.options, self.clock, self.validates = options, clock, validates
        self.left_out = 0
        """Validations that the minutes had no time for."""
        self._reached = 0.0
        self._marks = 0
        self._validated_at = 0
        self._last_validation_s: float | None = None

    @property
    def budget_s(self) -> float:
        """Seconds of the run, training and validation; without end where no minutes are given."""
        return math.inf if self.options.minutes is None else self.options.minutes * 60

    def start(self, step: int, total_steps: int | None) -> None:
        """Begin at a step; what a resumed run validated already is not made up for."""
        self._marks, self._validated_at = int(self.progress(step, total_steps) * VALIDATIONS), step

    def progress(self, step: int, total_steps: int | None) -> float:
        """Share of the run that is done, 0 … 1; it never goes back."""
        done = step / total_steps if total_steps is not None else self.clock.training_s / max(self._training_budget_s(), 1e-9)
        self._reached = max(self._reached, min(1.0, done))
        return self._reached

    def is_over(self, step: int) -> bool:
        """Whether the minutes have no room for one more step."""
        if self.options.minutes is None:
            return False
        budget_s = self.budget_s if self.options.steps is not None else self._training_budget_s()
        used_s = self.clock.elapsed_s if self.options.steps is not None else self.clock.training_s
        return used_s + (self.clock.training_s / step / 2 if step else 0.0) >= budget_s

    def _training_budget_s(self) -> float:
        """Seconds of the minutes that are left for training, going by what validations took so far."""
        if not self.validates:
            return self.budget_s
        last_s = self.budget_s * LAST_SHARE if self._last_validation_s is None else self._last_validation_s
        spent_s = self.clock.validating_s
        between = min(spent_s / self.clock.training_s, self.options.valid_share or 1.0) if spent_s else 0.0
        planned_s = min((self.budget_s - last_s) / (1 + between), self.budget_s - last_s - spent_s)
        return max(planned_s, self.budget_s * LEAST_TRAINING_SHARE)

    # Validation

    def is_due(self, step: int, total_steps: int | None) -> bool:
        """Whether to validate after this step."""
        every = self.options.validate_every
        if not self.validates or every == 0:
            return False
        due = step % every == 0 if every is not None else self._is_due_by_itself(step, total_steps)
        if due and self._is_too_dear():
            self.left_out += 1
            return False
        return due

    def _is_due_by_itself(self, step: int, total_steps: int | None) -> bool:
        if total_steps is not None:
            every = max(LEAST_STEPS_BETWEEN, math.ceil(total_steps / VALIDATIONS))
            return step % every == 0 and total_steps - step >= every / 2
        reached = self.progress(step, total_steps)
        mark = int(reached * VALIDATIONS)
        if mark <= self._marks or step - self._validated_at < LEAST_STEPS_BETWEEN or reached > 1 - 0.5 / VALIDATIONS:
            return False
        self._marks = mark
        return True

    def _is_too_dear(self) -> bool:
        """Whether one more validation would take more of the minutes than validations may."""
        share = self.options.valid_share
        if self.options.minutes is None or share is None or self._last_validation_s is None:
            return False
        return self.clock.validating_s + self._last_validation_s / 2 > share * self.clock.training_s

    def allowance_s(self, *, last: bool) -> float | None:
        """Seconds that a validation may judge answers for; None: as long as it takes."""
        share, clock = self.options.valid_share, self.clock
        if share is None or (self.options.deterministic and self.options.minutes is None):
            return None
        if self.options.minutes is not None:
            if last:
                return max(self.budget_s - clock.elapsed_s, self.budget_s * LAST_SHARE)
            return max(share * clock.training_s - clock.validating_s, 0.0)
        if last:
            return max(share * clock.training_s, LEAST_LAST_S)
        return max(share * clock.training_s - clock.validating_s, LEAST_S)

    def validated(self, step: int, seconds: float) -> None:
        """Note what a validation took. The first one also pays for what is made once, so the next is expected to take half."""
        expected_s = seconds / 2 if self._last_validation_s is None else seconds
        self._validated_at, self._last_validation_s = step, expected_s
        self.clock.validating_s += seconds
