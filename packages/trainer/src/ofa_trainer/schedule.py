"""The learning rate as a share of its peak, step by step.

The number of steps may be unknown at first (``minutes`` alone): until it is set, the schedule warms up and stays at its
peak. It is set once, from the measured speed, and saved with the training state.

>>> [round(Schedule("linear", total=4, warmup=0, final=0.0).factor(step), 2) for step in range(4)]
[1.0, 0.75, 0.5, 0.25]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ofa_trainer.plans import ScheduleKind, TrainerOptions


@dataclass(slots=True)
class Schedule:
    """total: steps of the run, None while unknown. warmup: steps; at most a tenth of ``total`` is used."""

    kind: ScheduleKind
    total: int | None
    warmup: int
    final: float = 0.0
    decay_share: float = 0.5

    @classmethod
    def of(cls, options: TrainerOptions, total: int | None) -> Schedule:
        """The schedule that the options state."""
        return cls(options.schedule, total, options.warmup_steps, options.final_lr, options.decay_share)

    def factor(self, step: int) -> float:
        """Share of the peak at a 0-based step."""
        warmup = self.warmup if self.total is None else min(self.warmup, self.total // 10)
        rising = min(1.0, (step + 1) / (warmup + 1))
        return rising * self._falling(step, warmup)

    def _falling(self, step: int, warmup: int) -> float:
        if self.total is None or self.kind == "constant" or step < warmup:
            return 1.0
        if self.kind == "warmup-stable-decay":
            start = max(warmup, round(self.total * (1 - self.decay_share)))
        else:
            start = warmup
        done = min(1.0, max(0.0, (step - start) / max(1, self.total - start)))
        shape = 0.5 * (1 + math.cos(math.pi * done)) if self.kind == "cosine" else 1 - done
        return self.final + (1 - self.final) * shape

    def calibration_share(self) -> float:
        """Share of the minutes after which the number of steps must be known: just before the rate falls."""
        if self.kind == "warmup-stable-decay":
            return min(0.5, 1 - self.decay_share)
        return 1.0 if self.kind == "constant" else 0.1
