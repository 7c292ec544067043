"""Metrics of boxes ``(x1, y1, x2, y2)`` in pixels of the original picture.

# R rows
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ofa_trainer.metrics.metric import Judged, Scores, mean_scores

if TYPE_CHECKING:
    from ofa_trainer.metrics.specs import IouAccuracyOptions, NoOptions

Float64 = NDArray[np.float64]


def intersection_over_union(a_xyxy: ArrayLike, b_xyxy: ArrayLike) -> Float64:
    """IoU of boxes ``[..., 4]`` and ``[..., 4]`` that broadcast, ``-> [...]``; 0 for an empty or inverted box."""
    a, b = np.asarray(a_xyxy, np.float64), np.asarray(b_xyxy, np.float64)
    overlap = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0).prod(axis=-1)
    area_a = np.maximum(a[..., 2:] - a[..., :2], 0).prod(axis=-1)
    area_b = np.maximum(b[..., 2:] - b[..., :2], 0).prod(axis=-1)
    union = area_a + area_b - overlap
    ious: Float64 = np.divide(overlap, union, out=np.zeros(np.shape(union)), where=union > 0)
    return ious


def row_ious(rows: Sequence[Judged]) -> Float64:
    """IoU of each row ``[R]``; 0 where nothing was answered."""
    nothing = (0.0, 0.0, 0.0, 0.0)
    answers = np.asarray([_box(row.answer) if row.answer is not None else nothing for row in rows]).reshape(-1, 4)
    references = np.asarray([_box(row.reference) for row in rows]).reshape(-1, 4)
    return intersection_over_union(answers, references)


def _box(value: object) -> tuple[float, ...]:
    """Four numbers, or the text that a CSV holds. Raises ValueError."""
    if isinstance(value, str):
        value = value.strip().strip("[]()").split(",")
    if not isinstance(value, Sequence | np.ndarray) or len(value) != 4:
        raise ValueError(f"a box is four numbers (x1, y1, x2, y2), got {value!r}")
    return tuple(float(number) for number in value)


def mean_iou(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Mean IoU."""
    return mean_scores(row_ious(rows))


def iou_acc(rows: Sequence[Judged], options: IouAccuracyOptions) -> Scores:
    """Share of rows with an IoU of at least ``options.threshold``."""
    return mean_scores((row_ious(rows) >= options.threshold).astype(np.float64))
