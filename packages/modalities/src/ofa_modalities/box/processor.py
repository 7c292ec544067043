"""BOX: a rectangle in pixels of its picture ⇄ four ids of the block ``bin``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan

from ofa_modalities.box.forms import Box, BoxForm
from ofa_modalities.box.reading import read_box
from ofa_modalities.box.spec import BoxOptions
from ofa_modalities.processor import BaseProcessor, DecodeContext, EncodeContext, Item, Resources, SampleError, TokenRule

BLOCK = "bin"


def quantise(unit_box: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    """Cells ``0 .. bins - 1`` of coordinates in 0 .. 1; ``(cell + 0.5) / bins`` is at most half a cell away."""
    cells: NDArray[np.int64] = np.clip(np.floor(unit_box * bins), 0, bins - 1).astype(np.int64)
    return cells


def dequantise(cells: NDArray[np.integer], bins: int) -> NDArray[np.float64]:
    """Middles of cells, in 0 .. 1."""
    return (cells.astype(np.float64) + 0.5) / bins


class BoxProcessor(BaseProcessor):
    """Encodes a rectangle of the original picture, said as the options say, as ``[4]`` ids.

    It is given back as ``[left, top, right, bottom]`` in pixels, whatever form the data has.

    The error of a round trip is at most half a bin: ``width / (2 · bins)`` and ``height / (2 · bins)`` pixels.
    """

    def __init__(self, slot: SlotPlan, options: BoxOptions, resources: Resources) -> None:
        super().__init__(slot, options, resources)
        self.bins = options.bins
        self._form = BoxForm(format=options.format, unit=options.unit, clip=options.clip)
        self._start = resources.vocabulary.block(BLOCK).start

    @classmethod
    def blocks(cls, slot: SlotPlan, options: BoxOptions, candidates: Sequence[str] | None) -> Mapping[str, int]:
        """The bins, shared by all boxes of a run."""
        return {BLOCK: options.bins}

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Four ids. Raises SampleError for no box, one outside of its picture, and one that augmentation moved out of it."""
        referred = context.referred
        size = None if referred is None else referred.size_px
        if referred is None or size is None:
            raise SampleError(self.slot.column, "a box belongs to a picture, and this row has none for it")
        box = read_box(value, self.slot.column, size, self._form)
        left, top, right, bottom = referred.view_px or (0.0, 0.0, float(size[0]), float(size[1]))
        unit = (np.array(box) - (left, top, left, top)) / (right - left, bottom - top, right - left, bottom - top)
        unit = unit.clip(0, 1)
        if not (unit[2] > unit[0] and unit[3] > unit[1]):
            raise SampleError(self.slot.column, "the box lies outside of the part of the picture that is shown")
        return Item(units=quantise(unit, self.bins) + self._start, shape=(4,))

    def decode(self, units: NDArray[Any], context: DecodeContext) -> list[float]:
        """``[left, top, right, bottom]`` in pixels of the referred picture, or in 0 .. 1 without one; sides in order."""
        if len(units) != 4:
            raise ValueError(f"a box is 4 units, not {len(units)}")
        left, top, right, bottom = dequantise(np.asarray(units) - self._start, self.bins).tolist()
        unit: Box = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        referred = context.referred
        if referred is None or referred.size_px is None:
            return list(unit)
        width, height = referred.size_px
        x0, y0, x1, y1 = referred.view_px or (0.0, 0.0, float(width), float(height))
        pixels = (
            x0 + unit[0] * (x1 - x0),
            y0 + unit[1] * (y1 - y0),
            x0 + unit[2] * (x1 - x0),
            y0 + unit[3] * (y1 - y0),
        )
        return [min(max(value, 0.0), float(side)) for value, side in zip(pixels, (width, height) * 2, strict=True)]

    def reference(self, value: object, context: EncodeContext) -> list[float]:
        """``[left, top, right, bottom]`` in pixels. Raises SampleError for no box, and for one outside of its picture."""
        size_px = None if context.referred is None else context.referred.size_px
        return list(read_box(value, self.slot.column, size_px, self._form))

    def token_rule(self) -> TokenRule:
        """Exactly four bins."""
        return TokenRule(blocks=(BLOCK,), length=4)
