"""Metrics of boxes ``(x1, y1, x2, y2)`` in pixels of the original picture.

# R rows
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ofa_trainer.metrics.metric import Judged, Scores, ratio

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


def _box(value: object) -> tuple[float, ...]:
    """Four numbers, or the text that a CSV holds. Raises ValueError."""
    if isinstance(value, str):
        value = value.strip().strip("[]()").split(",")
    if not isinstance(value, Sequence | np.ndarray) or len(value) != 4:
        raise ValueError(f"a box is four numbers (x1, y1, x2, y2), got {value!r}")
    return tuple(float(number) for number in value)


def _boxes(value: object) -> Float64:
    """``[N, 4]`` of one box, of the list that a repeat is answered by, or of no answer."""
    if value is None:
        return np.zeros((0, 4))
    given: list[object] = [value] if isinstance(value, str) else list(cast("Sequence[object]", value))
    if len(given) == 4 and isinstance(given[0], Real):
        given = [given]
    return np.asarray([_box(one) for one in given], np.float64).reshape(-1, 4)


def matched_ious(answers: object, references: object) -> tuple[Float64, int, int]:
    """IoU of boxes matched one to one, the pair that overlaps most first, and how many were answered and should have been."""
    said, true = _boxes(answers), _boxes(references)
    ious = intersection_over_union(said[:, None], true[None])
    found = []
    for _ in range(min(ious.shape)):
        best = np.unravel_index(int(np.argmax(ious)), ious.shape)
        found.append(ious[best])
        ious[best[0]], ious[:, best[1]] = -1, -1
    return np.asarray(found, np.float64), len(said), len(true)


def mean_iou(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Mean IoU. Of lists, over their matched boxes; a box too many or too few counts as 0."""
    return _mean_over_boxes(rows, lambda ious: ious)


def iou_acc(rows: Sequence[Judged], options: IouAccuracyOptions) -> Scores:
    """Share of boxes with an IoU of at least ``options.threshold``. Of lists, as :func:`mean_iou`."""
    return _mean_over_boxes(rows, lambda ious: (ious >= options.threshold).astype(np.float64))


def _mean_over_boxes(rows: Sequence[Judged], worth: Callable[[Float64], Float64]) -> Scores:
    sums = np.zeros((len(rows), 2))
    for line, row in zip(sums, rows, strict=True):
        ious, said, true = matched_ious(row.answer, row.reference)
        line[:] = worth(ious).sum(), max(said, true)
    return Scores(sums=sums, figure=ratio)


def box_f1(rows: Sequence[Judged], options: IouAccuracyOptions) -> Scores:
    """``2 · matched / (answered + wanted)`` over the corpus; boxes match one to one at an IoU of at least ``options.threshold``.

    A row that has no box and is answered by none counts as one box found.
    """
    sums = np.zeros((len(rows), 2))
    for line, row in zip(sums, rows, strict=True):
        ious, said, true = matched_ious(row.answer, row.reference)
        line[:] = (2 * (ious >= options.threshold).sum(), said + true) if said + true else (2, 2)
    return Scores(sums=sums, figure=ratio)
