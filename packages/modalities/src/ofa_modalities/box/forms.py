"""How the four numbers of a box are meant: their order, their unit, and what a sample of them looks like. No numpy here.

>>> BoxForm(format="xywh").to_pixels((10, 20, 30, 40), (100, 100))
(10, 20, 40, 60)
>>> BoxForm(unit="share").to_pixels((0.1, 0.2, 0.5, 0.6), (100, 50))
(10.0, 10.0, 50.0, 30.0)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

Box = tuple[float, float, float, float]
BoxFormat = Literal["xyxy", "xywh", "cxcywh", "yxyx", "corners"]
BoxUnit = Literal["px", "share", "permille", "percent"]

TOLERANCE_PX = 1.0
"""A box may overshoot the edge of its picture by so much; it is clipped."""
_TOLERANCE_SHARE = 0.01
"""The same where the size of the picture is not known."""
_SCALES: Mapping[BoxUnit, float] = MappingProxyType({"share": 1.0, "percent": 100.0, "permille": 1000.0})
_ORDERS: Mapping[BoxFormat, str] = MappingProxyType(
    {
        "xyxy": "left, top, right, bottom",
        "xywh": "left, top, width, height",
        "cxcywh": "the middle, then width and height",
        "yxyx": "top, left, bottom, right",
        "corners": "two opposite corners",
    }
)
_UNITS: Mapping[BoxUnit, str] = MappingProxyType(
    {
        "px": "pixels of the picture",
        "share": "shares of the picture, 0 to 1",
        "permille": "thousandths of the picture",
        "percent": "percent of the picture",
    }
)
_MOST = 0.9
"""A form is proposed that fits so large a part of the boxes, and more of them than the one that is asked for."""
_MUCH_BETTER = 0.8
_MOST_PROPOSED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxForm:
    """What the options of a BOX slot say; see :class:`ofa_modalities.box.spec.BoxOptions`."""

    format: BoxFormat = "xyxy"
    unit: BoxUnit = "px"
    clip: bool = False

    @classmethod
    def of_options(cls, options: Mapping[str, object]) -> BoxForm:
        """The form that resolved options of a processor say; another processor's may say nothing of it."""
        return cls(**{name: options[name] for name in ("format", "unit", "clip") if name in options})  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{_ORDERS[self.format]} in {_UNITS[self.unit]}{', cut at its edges' if self.clip else ''}"

    def attributes(self, column: str, than: BoxForm) -> str:
        """The slot that says this form, as far as it differs from the default or from another form."""
        said = ["clip"] if self.clip else []
        for name in ("unit", "format"):
            value = getattr(self, name)
            if value != getattr(BoxForm(), name) or value != getattr(than, name):
                said.insert(0, f"{name}={value}")
        return f"[{','.join([f'BOX:{column}', *said])}]"

    def to_pixels(self, numbers: Box, size_px: tuple[int, int]) -> Box:
        """``(left, top, right, bottom)`` in pixels, of numbers that may be no box."""
        left, top, right, bottom = self._corners(numbers)
        if self.unit == "px":
            return left, top, right, bottom
        x, y = (side / _SCALES[self.unit] for side in size_px)
        return left * x, top * y, right * x, bottom * y

    def to_shares(self, numbers: Box) -> Box:
        """Corners of a box whose picture is not there: shares of it, or pixels as they are."""
        scale = _SCALES.get(self.unit, 1.0)
        left, top, right, bottom = self._corners(numbers)
        return left / scale, top / scale, right / scale, bottom / scale

    def of_pixels(self, box: Box, size_px: tuple[int, int]) -> list[float]:
        """The four numbers that mean a box in pixels: what :meth:`to_pixels` turns back."""
        x, y = (1.0, 1.0) if self.unit == "px" else (_SCALES[self.unit] / side for side in size_px)
        left, top, right, bottom = box[0] * x, box[1] * y, box[2] * x, box[3] * y
        match self.format:
            case "xyxy" | "corners":
                return [left, top, right, bottom]
            case "xywh":
                return [left, top, right - left, bottom - top]
            case "cxcywh":
                return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
            case "yxyx":
                return [top, left, bottom, right]

    def fits(self, numbers: Box, size_px: tuple[int, int] | None) -> bool:
        """Whether numbers are a box under this form: sides in order, inside the picture, and more than a speck in its corner."""
        left, top, right, bottom = self._corners(numbers)
        if not (right > left and bottom > top):
            return False
        if self.unit != "share" and max(map(abs, numbers)) <= 1:
            return False
        if self.unit == "px":
            wide, high = (float("inf"), float("inf")) if size_px is None else size_px
            spare_x = spare_y = TOLERANCE_PX
        else:
            wide = high = _SCALES[self.unit]
            shares = (_TOLERANCE_SHARE,) * 2 if size_px is None else (TOLERANCE_PX / side for side in size_px)
            spare_x, spare_y = (wide * share for share in shares)
        if self.clip:
            return right > 0 and bottom > 0 and left < wide and top < high
        return left >= -spare_x and top >= -spare_y and right <= wide + spare_x and bottom <= high + spare_y

    def _corners(self, numbers: Box) -> Box:
        a, b, c, d = numbers
        match self.format:
            case "xyxy":
                return a, b, c, d
            case "xywh":
                return a, b, a + c, b + d
            case "cxcywh":
                return a - c / 2, b - d / 2, a + c / 2, b + d / 2
            case "yxyx":
                return b, a, d, c
            case "corners":
                return min(a, c), min(b, d), max(a, c), max(b, d)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxSample:
    """Four numbers of a row, with the size of their picture where it is known."""

    numbers: Box
    size_px: tuple[int, int] | None
    address: str = ""

    def __str__(self) -> str:
        size = "" if self.size_px is None else f" in a picture of {self.size_px[0]} × {self.size_px[1]} pixels"
        return f"{self.address}: {say_box(self.numbers)}{size}" if self.address else f"{say_box(self.numbers)}{size}"


def say_box(numbers: Box) -> str:
    """``(1, 2, 30.5, 40)``."""
    return "(" + ", ".join(f"{number:g}" for number in numbers) + ")"


def better_forms(samples: Sequence[BoxSample], form: BoxForm) -> tuple[BoxForm, ...]:
    """The forms that fit most of the samples, where ``form`` fits fewer: the likeliest first, several where nothing tells.

    Corners in any order, and boxes that are cut, read all that ``form`` reads and more; anything else must fit much better.
    """

    def count(other: BoxForm) -> int:
        return sum(other.fits(sample.numbers, sample.size_px) for sample in samples)

    def is_wider(other: BoxForm) -> bool:
        return other.unit == form.unit and (other.format == "corners" or other.clip != form.clip)

    asked = count(form)
    orders = (form.format, *(order for order in get_args(BoxFormat) if order != form.format))
    tried = [replace(form, format=order, unit=unit) for unit in get_args(BoxUnit) for order in orders]
    tried.insert(len(orders), replace(form, clip=True))
    counts = {other: count(other) for other in tried if other != form}
    counts = {other: n for other, n in counts.items() if n > asked and (is_wider(other) or asked <= _MUCH_BETTER * n)}
    most = max(counts.values(), default=0)
    if most < _MOST * len(samples):
        return ()
    best = [other for other, fitting in counts.items() if fitting == most]
    kept: list[BoxForm] = []
    for other in best:
        same = {one.format for one in kept if (one.unit, one.clip) == (other.unit, other.clip)}
        scaled = other.unit in ("percent", "permille")
        if not (same & {form.format, "xyxy"} or (scaled and any(one.clip == form.clip for one in kept))):
            kept.append(other)
    return tuple(kept[:_MOST_PROPOSED])


def describe(samples: Sequence[BoxSample], column: str, form: BoxForm) -> str:
    """What is wrong with a sample of boxes under a form, and the slot that reads them; empty where all fit."""
    misfits = [sample for sample in samples if not form.fits(sample.numbers, sample.size_px)]
    if not misfits:
        return ""
    message = f"{len(misfits):,} of {len(samples):,} boxes of `{column}` do not look like {form}, such as {misfits[0]}"
    better = better_forms(samples, form)
    if not better:
        return f"{message}; those that lie outside of their picture or have their sides in the wrong order are bad rows"
    slots = " or ".join(f"{other.attributes(column, form)} ({other})" for other in better)
    return f"{message}; to read them as what they look like, write {slots}"


def hint_for(numbers: Box, size_px: tuple[int, int] | None, column: str, form: BoxForm) -> str:
    """Which slots would read a box that ``form`` does not; empty where none does. One box seldom tells which of them is meant."""
    better = better_forms([BoxSample(numbers=numbers, size_px=size_px)], form)
    return "; it would fit as " + " or ".join(f"{other.attributes(column, form)} ({other})" for other in better) if better else ""
