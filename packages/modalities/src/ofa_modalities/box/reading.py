"""A raw value → a rectangle in pixels."""

from __future__ import annotations

import math
from typing import Any

from ofa_modalities.box.forms import TOLERANCE_PX, Box, BoxForm, hint_for, say_box
from ofa_modalities.processor import SampleError
from ofa_modalities.reading import shown

PIXELS = BoxForm()
"""``left, top, right, bottom`` in pixels of the picture."""


def read_box(value: object, column: str, size_px: tuple[int, int] | None, form: BoxForm = PIXELS) -> Box:
    """``(left, top, right, bottom)`` in pixels, from four numbers of that form or a text of them, ``"x0,y0,x1,y1"``.

    size_px: (width, height) of the picture it must lie in; None: not checked, and shares stay shares.
    Raises SampleError for anything else, an inverted or empty box, and one outside of its picture (wholly, under ``clip``).
    """
    numbers = four_numbers(value, column)
    left, top, right, bottom = form.to_shares(numbers) if size_px is None else form.to_pixels(numbers, size_px)
    if not (right > left and bottom > top):
        raise SampleError(
            column, f"the box {say_box(numbers)} is inverted or empty: it is {form}{hint_for(numbers, size_px, column, form)}"
        )
    if size_px is None:
        return left, top, right, bottom
    width, height = size_px
    spare = math.inf if form.clip else TOLERANCE_PX
    inside = min(left, top) >= -spare and right <= width + spare and bottom <= height + spare
    clipped = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    if not (inside and clipped[2] > clipped[0] and clipped[3] > clipped[1]):
        hint = hint_for(numbers, size_px, column, form)
        raise SampleError(
            column, f"the box {say_box(numbers)} lies outside its picture of {width} × {height} pixels: it is {form}{hint}"
        )
    return clipped


def four_numbers(value: object, column: str) -> Box:
    """Four finite numbers, whatever they mean. Raises SampleError for anything else."""
    if isinstance(value, str):
        value = value.strip().strip("[]()").split(",")
    raw: Any = value
    if hasattr(raw, "tolist"):
        raw = raw.tolist()
    if not isinstance(raw, list | tuple) or len(raw) != 4:
        raise SampleError(column, f"a box is four numbers, such as left, top, right, bottom, not {shown(value, 80)}")
    try:
        left, top, right, bottom = (math.nan if isinstance(number, bool) else float(number) for number in raw)
    except (TypeError, ValueError, OverflowError) as error:
        raise SampleError(column, f"a box is four numbers, not {shown(value, 80)}") from error
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise SampleError(column, f"the numbers of a box are finite, not {shown(value, 80)}")
    return left, top, right, bottom
