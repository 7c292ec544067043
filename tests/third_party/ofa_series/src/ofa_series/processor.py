"""A list of numbers ⇄ float frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan
from ofa_modalities import BaseProcessor, DecodeContext, EncodeContext, Item, Resources, SampleError

from ofa_series.specs import SeriesOptions


class SeriesProcessor(BaseProcessor):
    """Encodes ``[n]`` or ``[n, F]`` finite numbers as float32 ``[n, F]`` frames, and gives back ``[n, F]``."""

    def __init__(self, slot: SlotPlan, options: SeriesOptions, resources: Resources) -> None:
        super().__init__(slot, options, resources)
        self.unit_features = options.features

    def encode(self, value: object, context: EncodeContext) -> Item:
        """The frames. Raises SampleError for anything that is not such numbers."""
        try:
            frames = np.asarray(value, np.float32)
        except (TypeError, ValueError) as error:
            raise SampleError(self.slot.column, f"a series is a list of numbers: {error}") from error
        frames = frames[:, None] if frames.ndim == 1 else frames
        if frames.ndim != 2 or not len(frames) or frames.shape[1] != self.unit_features or not np.isfinite(frames).all():
            raise SampleError(self.slot.column, f"a series is [n, {self.unit_features}] finite numbers, not {list(frames.shape)}")
        return Item(units=frames, shape=(len(frames),))

    def decode(self, units: NDArray[Any], context: DecodeContext) -> NDArray[Any]:
        """float32 ``[n, F]``."""
        return np.asarray(units, np.float32)
