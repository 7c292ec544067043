"""Figures of the steps since the last report."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ofa_trainer.checkpointing import RunState
from ofa_trainer.loop import StepResult
from ofa_trainer.reporting.events import StepDone


@dataclass(slots=True)
class Window:
    """Figures since the last report."""

    results: list[StepResult] = field(default_factory=list)
    waited_s: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to report."""
        return not self.results

    def add(self, result: StepResult, waited_s: float) -> None:
        """Take up one step."""
        self.results.append(result)
        self.waited_s += waited_s

    def event(self, state: RunState, factor: float, elapsed_s: float, *, steps: int | None, left_s: float | None) -> StepDone:
        """Means over the window. steps: that the run will have; left_s: where its end is a time."""
        results, seconds = self.results, max(1e-9, time.perf_counter() - self.started)
        tokens, rows = sum(result.tokens for result in results), sum(result.rows for result in results)
        if state.total_steps is not None:
            left_s = (state.total_steps - state.step) * seconds / len(results)
        return StepDone(
            step=state.step,
            steps=steps,
            loss=sum(result.loss for result in results) / len(results),
            losses=_means([result.losses for result in results]),
            terms=_means([result.terms for result in results]),
            lr=factor,
            gradient_norm=sum(result.gradient_norm for result in results) / len(results),
            tokens=tokens,
            rows=rows,
            tokens_per_s=tokens / seconds,
            rows_per_s=rows / seconds,
            waited=min(1.0, self.waited_s / seconds),
            elapsed_s=elapsed_s,
            left_s=left_s,
            bad_rows=state.stream.bad,
        )


def _means(parts: list[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for part in parts for name in part})
    found: dict[str, float] = {}
    for name in names:
        values = [part[name] for part in parts if name in part]
        found[name] = sum(values) / len(values)
    return found
