"""Which moments of a clip are looked at, and which frame shows a moment.

# F frames asked for, n frames that a clip presents
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

Times = Callable[[float], Float64]
"""Duration of a clip in seconds → ascending moments ``[F]`` in it, in seconds from its first frame."""


TIE_S = 1e-6
"""Frames are equally near where their distances differ by less."""


def uniform_times(duration_s: float, count: int) -> Float64:
    """The middles of ``count`` equal parts.

    >>> uniform_times(4.0, 2).tolist()
    [1.0, 3.0]
    """
    return np.asarray((np.arange(count) + 0.5) * (duration_s / count), np.float64)


def window_times(duration_s: float, count: int, fps: float, *, start_s: float | None, rng: np.random.Generator | None) -> Float64:
    """``count`` moments at a rate of ``fps``, fewer where the clip ends before, at least one.

    start_s: of the first one. None: the window lies anywhere in the clip with ``rng``, in its middle without.

    >>> window_times(3.0, 4, 2.0, start_s=None, rng=None).tolist(), window_times(1.0, 4, 2.0, start_s=None, rng=None).tolist()
    ([0.75, 1.25, 1.75, 2.25], [0.25, 0.75])
    """
    first = min(max(0.0, start_s or 0.0), duration_s)
    count = min(count, max(1, int((duration_s - first) * fps + 1e-6)))
    if start_s is None:
        free = max(0.0, duration_s - count / fps)
        first = free * (0.5 if rng is None else rng.random()) + 0.5 / fps
    return np.minimum(first + np.arange(count) / fps, duration_s)


def nearest(presented_s: Float64, asked_s: Float64) -> NDArray[np.int64]:
    """Index of the frame nearest to each moment ``[F]``; of two equally near ones the earlier. ``presented_s [n]`` ascends.

    >>> nearest(np.array([0.0, 1.0, 4.0]), np.array([0.5, 2.4, 2.6, 9.0])).tolist()
    [0, 1, 2, 2]
    """
    after = np.searchsorted(presented_s, asked_s).clip(0, len(presented_s) - 1)
    before = (after - 1).clip(0)
    earlier = asked_s - presented_s[before] <= presented_s[after] - asked_s + TIE_S
    found: NDArray[np.int64] = np.where(earlier, before, after)
    return found
