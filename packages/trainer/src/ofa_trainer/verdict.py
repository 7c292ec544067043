"""What a run has come to, in plain sentences: no better than a constant answer, overfitted, stopped learning.

>>> points = [ValidationPoint(step=step, train_loss=train, loss=loss) for step, train, loss in
...           ((10, 2.0, 2.1), (20, 1.0, 1.5), (30, 0.2, 2.5), (40, 0.0, 4.0))]
>>> print(*sentences(points, best_step=20, best_by="loss", figures={}), sep="\\n")
it overfits: since step 20 the validation loss rose from 1.50 to 4.00 while the training loss fell from 1.00 to 0.00
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from ofa_trainer.reporting.events import Figure

MOST_POINTS = 100
_RISEN = 1.1
"""A loss that has grown by this factor has risen."""
_STILL = 0.98
"""A loss that is not below this factor of an earlier one has not fallen."""
_BY_HEART = 0.2
"""A training loss below this part of the validation loss is that of rows known by heart."""
_LEAST_LOSS, _LEAST_GAP = 0.05, 0.5
"""Differences of losses that are worth a word."""
_LEAST_POINTS = 4


class ValidationPoint(BaseModel):
    """One validation. train_loss: mean since the one before. score: of what steps are compared by, more is better."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    train_loss: float | None
    loss: float
    score: float | None = None


def with_point(points: Sequence[ValidationPoint], point: ValidationPoint) -> tuple[ValidationPoint, ...]:
    """The points with one more; of very many every other older one is dropped."""
    kept = [*(one for one in points if one.step < point.step), point]
    return tuple(kept if len(kept) <= MOST_POINTS else kept[::-2][::-1])


def sentences(
    points: Sequence[ValidationPoint],
    *,
    best_step: int | None,
    best_by: str | None,
    figures: Mapping[str, Mapping[str, Figure]],
) -> list[str]:
    """What is to be said, the worst first; nothing where all is well. figures: of the best step, by task, the main one first."""
    found = [*_no_better(figures)]
    losses = [_Losses(one.step, one.train_loss, one.loss) for one in points if one.train_loss is not None]
    if losses:
        told = _overfits(losses, best_step, "" if found else best_by or "") or _stands_still(losses, best_step)
        found += [told] if told else []
    return found


class _Losses(NamedTuple):
    step: int
    train: float
    valid: float


def _no_better(figures: Mapping[str, Mapping[str, Figure]]) -> Iterator[str]:
    for task, keyed in figures.items():
        for key, one in list(keyed.items())[:1]:
            if one.baseline is None:
                continue
            sign = 1 if one.higher_is_better else -1
            least = one.low if one.higher_is_better else one.high
            rows = f"{one.rows} row{'s' if one.rows != 1 else ''}"
            constant = f"a constant answer ({one.baseline_name}) has {one.baseline:.3f}"
            if sign * (one.value - one.baseline) <= 0:
                yield f"`{task}` does no better than a constant answer: {key} is {one.value:.3f} on {rows}, and {constant}"
            elif sign * (least - one.baseline) <= 0:
                yield f"`{task}` is not surely better than a constant answer: {key} is {one.value:.3f} on {rows}, and {constant}"


def _overfits(losses: Sequence[_Losses], best_step: int | None, best_by: str) -> str:
    """best_by: the metric that may say otherwise than the loss; empty where it says nothing."""
    low, last = min(losses, key=lambda one: one.valid), losses[-1]
    if last.valid <= low.valid * _RISEN or last.valid - low.valid <= _LEAST_LOSS or last.train >= low.train:
        by_heart = last.train < last.valid * _BY_HEART and last.valid - last.train > _LEAST_GAP
        told = f"it overfits: the loss of training rows is {last.train:.2f}, that of validation rows {last.valid:.2f}"
        return told if by_heart else ""
    how = (
        f"since step {low.step} the validation loss rose from {low.valid:.2f} to {last.valid:.2f} while the training loss fell "
        f"from {low.train:.2f} to {last.train:.2f}"
    )
    if best_by not in ("", "loss") and best_step is not None and best_step > low.step:
        return f"{how}, but {best_by} got better until step {best_step}: the metric decides"
    return f"it overfits: {how}"


def _stands_still(losses: Sequence[_Losses], best_step: int | None) -> str:
    if len(losses) < _LEAST_POINTS:
        return ""
    first, middle, last = losses[0], losses[len(losses) // 2], losses[-1]
    if last.train >= first.train * _STILL:
        return (
            f"it has learnt nothing: the training loss was {first.train:.2f} at step {first.step} and is {last.train:.2f}; "
            "try another rate (`muon_lr`, `adamw_lr`), and look at the rows with `ofa explain`"
        )
    if best_step is not None and best_step <= middle.step and last.train >= middle.train * _STILL:
        return f"it has stopped learning: neither the training loss nor the validation got better since step {middle.step}"
    return ""
