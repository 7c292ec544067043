"""Which step of a run is the best: what it is measured by.

A task's main figure is its first metric. Where metrics and the loss disagree, the metrics decide; of two equal ones the loss.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from ofa_trainer.metrics.choosing import figure_names
from ofa_trainer.preparing import Prepared
from ofa_trainer.reporting.events import Figure

LOSS = "loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFigure:
    """One figure of a task. factor: to a number of which more is better and 1 is much."""

    task: str
    key: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What steps are compared by: the mean of some figures, or, without any, the loss."""

    figures: tuple[MeasuredFigure, ...] = ()

    @property
    def name(self) -> str:
        """``loss``, ``task/column/metric``, or several of them."""
        names = [f"{one.task}/{one.key}" for one in self.figures]
        if len(names) <= 1:
            return "".join(names) or LOSS
        return f"the mean of {' and '.join(names)}" if len(names) == 2 else f"the mean of the first figures of {len(names)} tasks"

    def score(self, loss: float, figures: Mapping[str, Mapping[str, Figure]]) -> float | None:
        """More is better. None: a figure is missing, or no number."""
        if not self.figures:
            return -loss if math.isfinite(loss) else None
        found = [one.factor * figures[one.task][one.key].value for one in self.figures if one.key in figures.get(one.task, {})]
        if len(found) < len(self.figures) or not all(map(math.isfinite, found)):
            return None
        return sum(found) / len(found)

    def rows(self, figures: Mapping[str, Mapping[str, Figure]]) -> int:
        """Rows that the score is from; 0 where it is the loss, which is always that of all rows."""
        return sum(figures[one.task][one.key].rows for one in self.figures if one.key in figures.get(one.task, {}))


def measure_of(best_by: str | None, prepared: Prepared, *, judged: bool) -> Measure:
    """What ``best_by`` names; None: the main figure of each task that has validation rows, the loss where there is none.

    judged: whether answers are judged at all. Raises ValueError for what there is no such figure of.
    """
    if best_by == LOSS or (best_by is None and not judged):
        return Measure()
    known = {
        f"{task.name}/{key}": _measured(prepared, task.name, key)
        for task, plan in zip(prepared.tasks, prepared.plans, strict=True)
        if task.source("valid") is not None
        for key in figure_names(plan, task.metrics, prepared.catalog)
    }
    if best_by is not None:
        if not judged:
            raise ValueError(f"best_by `{best_by}` needs answers that are judged, and `valid_metrics` is off; `loss` does not")
        if best_by not in known:
            near = difflib.get_close_matches(best_by, known, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise ValueError(f"best_by: no validation gives `{best_by}`{hint}; there are: {' '.join([LOSS, *known])}")
        return Measure(figures=(known[best_by],))
    main: dict[str, MeasuredFigure] = {}
    for one in known.values():
        main.setdefault(one.task, one)
    return Measure(figures=tuple(main.values()))


def _measured(prepared: Prepared, task: str, key: str) -> MeasuredFigure:
    spec = prepared.catalog.metric(key.rpartition("/")[2]).spec
    return MeasuredFigure(task=task, key=key, factor=(1 if spec.higher_is_better else -1) / spec.scale)
