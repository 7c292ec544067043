"""Percentile bootstrap over rows.

    # R rows, S sums a row contributes, B resamples

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: draw R of the R rows with replacement, take the
figure of each draw, and cut (1 - level) / 2 off either end of the sorted figures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]
_DRAWS_AT_ONCE = 1 << 22
"""Row numbers drawn at a time, so memory stays near 32 MB whatever R and B are."""


class Interval(NamedTuple):
    """A figure with its interval."""

    low: float
    mean: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_interval(values: ArrayLike, *, level: float = 0.95, num_resamples: int = 2000, seed: int = 0) -> Interval:
    """Interval of the mean of per-row values ``[R]``.

    >>> bootstrap_interval([1.0, 1.0, 1.0])
    Interval(low=1.0, mean=1.0, high=1.0)

    Raises ValueError without rows.
    """
    rows = np.asarray(values, np.float64)
    if rows.ndim != 1 or not rows.size:
        raise ValueError(f"a bootstrap needs a line of at least one value, got shape {rows.shape}")
    means = resampled_sums(rows[:, None], num_resamples=num_resamples, seed=seed)[:, 0] / rows.size
    return interval_of(means, mean=float(rows.mean()), level=level)


def resampled_sums(sums: Float64, *, num_resamples: int, seed: int) -> Float64:
    """``[R, S] -> [B, S]``: the sums of B draws of R rows with replacement."""
    num_rows = len(sums)
    if not num_rows:
        raise ValueError("a bootstrap needs at least one row")
    rng = np.random.default_rng(seed)
    parts = []
    at_once = max(1, _DRAWS_AT_ONCE // num_rows)
    for start in range(0, num_resamples, at_once):
        num_draws = min(at_once, num_resamples - start)
        draws = rng.integers(num_rows, size=(num_draws, num_rows), dtype=np.int64)
        draws += np.arange(num_draws)[:, None] * num_rows
        times = np.bincount(draws.ravel(), minlength=num_draws * num_rows).reshape(num_draws, num_rows)
        parts.append(times @ sums)
    return np.concatenate(parts)


def interval_of(figures: Float64, *, mean: float, level: float) -> Interval:
    """The middle ``level`` of resampled figures ``[B]`` around the figure of the rows themselves."""
    if not 0 < level < 1:
        raise ValueError(f"level is a share between 0 and 1, got {level}")
    low, high = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), mean=mean, high=float(high))
