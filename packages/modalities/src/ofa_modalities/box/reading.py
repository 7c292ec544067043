"""A raw value → a rectangle in pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ofa_modalities.processor import SampleError

Box = tuple[float, float, float, float]
TOLERANCE_PX = 1.0
"""A box may overshoot the edge of its picture by so much; it is clipped."""


def read_box(value: object, column: str, size_px: tuple[int, int] | None) -> Box:
    """``(left, top, right, bottom)`` in pixels, from four numbers or the text ``"x0,y0,x1,y1"``.

    size_px: (width, height) of the picture it must lie in; None: not checked.
    Raises SampleError for anything else, an inverted or empty box, and one outside of its picture.
    """
    numbers = _four_numbers(value, column)
    left, top, right, bottom = numbers
    if not (right > left and bottom > top):
        raise SampleError(column, f"the box {_say(numbers)} is inverted or empty: it is left, top, right, bottom")
    if size_px is None:
        return numbers
    width, height = size_px
    if min(left, top) < -TOLERANCE_PX or right > width + TOLERANCE_PX or bottom > height + TOLERANCE_PX:
        raise SampleError(column, f"the box {_say(numbers)} lies outside its picture of {width} × {height} pixels")
    clipped = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    if not (clipped[2] > clipped[0] and clipped[3] > clipped[1]):
        raise SampleError(column, f"the box {_say(numbers)} lies outside its picture of {width} × {height} pixels")
    return clipped


def _four_numbers(value: object, column: str) -> Box:
    if isinstance(value, str):
        value = value.strip().strip("[]()").split(",")
    raw: Any = value
    if hasattr(raw, "tolist"):
        raw = raw.tolist()
    if not isinstance(raw, list | tuple) or len(raw) != 4:
        raise SampleError(column, f"a box is four numbers, left, top, right, bottom, not {_say(value)}")
    try:
        left, top, right, bottom = (math.nan if isinstance(number, bool) else float(number) for number in raw)
    except (TypeError, ValueError, OverflowError) as error:
        raise SampleError(column, f"a box is four numbers, not {_say(value)}") from error
    if not np.isfinite((left, top, right, bottom)).all():
        raise SampleError(column, f"the numbers of a box are finite, not {_say(value)}")
    return left, top, right, bottom


def _say(value: object) -> str:
    if isinstance(value, tuple) and all(isinstance(number, float) for number in value):
        return "(" + ", ".join(f"{number:g}" for number in value) + ")"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
