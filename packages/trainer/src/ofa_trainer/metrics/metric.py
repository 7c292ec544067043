"""The metric seam: answers and references in, scores out.

    # R rows, S sums a row contributes, B bootstrap resamples

A metric is a function of all rows of one target slot. What it returns keeps each row's sums apart, so a figure of the
corpus that is no mean over rows (BLEU, word error rate) has an interval as well as one that is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from ofa_modalities.text.equality import EqualTexts

from ofa_trainer.metrics.bootstrap import Interval, interval_of, resampled_sums

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One row: what was answered and what was right.

    answer: the decoded value, None where the model gave none. reference: the row's value in the form of an answer, as the
    slot's :meth:`ofa_modalities.Processor.reference` gives it (a picture, a sound, a motion; the phones of a word).
    shown: the source text as the model read it, its masked words as ``<mask>``; only infilling asks for it.
    shown_is_cut: whether it was longer than what is read.
    root: where relative paths of ``given`` start, and what they stay inside; None: they are the user's own.
    candidates: of the closed set that the answer is from; None: it is from none.
    given: raw values of the other columns that the metrics of this answer read, by :meth:`MetricSpec.reads`.
    row: its number in the data, from 1; 0: unknown. address: where it came from.
    """

    answer: object
    reference: object
    shown: str | None = None
    shown_is_cut: bool = False
    root: Path | None = None
    candidates: EqualTexts | None = None
    given: Mapping[str, object] = field(default_factory=dict)
    row: int = 0
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a metric returns.

    sums: float64 ``[R, S]`` what each row adds. figure: float64 ``[..., S] -> [...]``, the metric of added-up sums.
    """

    sums: Float64
    figure: Callable[[Float64], Float64]

    @property
    def values(self) -> Float64:
        """float64 ``[R]``: the metric of each row alone."""
        return self.figure(self.sums)

    @property
    def value(self) -> float:
        """The metric of all rows; 0 without rows."""
        return float(self.figure(self.sums.sum(axis=0)))

    def interval(self, *, level: float = 0.95, num_resamples: int = 2000, seed: int = 0) -> Interval:
        """Percentile bootstrap over rows of the metric itself, not of its per-row mean."""
        resampled = self.figure(resampled_sums(self.sums, num_resamples=num_resamples, seed=seed))
        return interval_of(resampled, mean=self.value, level=level)


class Metric(Protocol):
    """What a :class:`ofa_instruction.specs.MetricSpec` names."""

    def __call__(self, rows: Sequence[Judged], options: Any) -> Scores:
        """Judge all rows of one target slot."""


def ratio(sums: Float64) -> Float64:
    """``[..., 2] -> [...]``: the first sum over the second; 0 where the second is 0."""
    total, weight = sums[..., 0], sums[..., 1]
    return np.divide(total, weight, out=np.zeros_like(total), where=weight != 0)


def mean_scores(values: Sequence[float] | Float64, weights: Sequence[float] | Float64 | None = None) -> Scores:
    """Scores whose figure is the (weighted) mean of per-row values."""
    scores = np.asarray(values, np.float64)
    shares = np.ones_like(scores) if weights is None else np.asarray(weights, np.float64)
    return Scores(sums=np.stack([scores * shares, shares], axis=-1), figure=ratio)
