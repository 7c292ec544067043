"""The learning rate as a share of its peak, step by step.

A run of steps falls with its steps. Where only the minutes are known, the rate falls with the share of them that is over: however
many steps that makes, it ends at its end.

>>> [round(Schedule("linear", total=4, warmup=0, final=0.0).factor(step), 2) for step in range(4)]
[1.0, 0.75, 0.5, 0.25]
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ofa_trainer.plans import ScheduleKind, TrainerOptions

_WARMUP_SHARE = 0.1


@dataclass(slots=True)
class Schedule:
    """total: steps of the run, None where it ends by its minutes. warmup: steps; at most a tenth of the run is used."""

    kind: ScheduleKind
    total: int | None
    warmup: int
    final: float = 0.0
    decay_share: float = 0.5

    @classmethod
    def of(cls, options: TrainerOptions, total: int | None) -> Schedule:
        """The schedule that the options state."""
        return cls(options.schedule, total, options.warmup_steps, options.final_lr, options.decay_share)

    def factor(self, step: int, progress: float | None = None) -> float:
        """Share of the peak at a 0-based step. progress: share of the run before it, where the number of steps is unknown."""
        if self.total is None:
            done = progress or 0.0
            rising = min(1.0, max((step + 1) / (self.warmup + 1), done / _WARMUP_SHARE))
            start = 1 - self.decay_share if self.kind == "warmup-stable-decay" else 0.0
            return rising * self._fallen((done - start) / max(1e-9, 1 - start))
        warmup = min(self.warmup, self.total // 10)
        rising = min(1.0, (step + 1) / (warmup + 1))
        start = max(warmup, round(self.total * (1 - self.decay_share))) if self.kind == "warmup-stable-decay" else warmup
        return rising * self._fallen((step - start) / max(1, self.total - start))

    def _fallen(self, done: float) -> float:
        """The rate at a share of its fall."""
        if self.kind == "constant" or done <= 0:
            return 1.0
        done = min(1.0, done)
        shape = 0.5 * (1 + math.cos(math.pi * done)) if self.kind == "cosine" else 1 - done
        return self.final + (1 - self.final) * shape
