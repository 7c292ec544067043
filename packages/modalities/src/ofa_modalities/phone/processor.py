"""PHONE: text or ARPAbet ⇄ ids of the block ``phone``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan

from ofa_modalities.phone.reading import read_phones
from ofa_modalities.phone.spec import PhoneOptions
from ofa_modalities.phone.symbols import BLOCK, INDEX, SYMBOLS
from ofa_modalities.processor import BaseProcessor, DecodeContext, EncodeContext, Item, Resources, TokenRule

MASK_TEXT = "<mask>"


class PhoneProcessor(BaseProcessor):
    """Encodes phones as ``[n]`` ids, 1 ≤ n ≤ ``max_length``; answers them as text: ``HH AH0 L OW1 | W ER1 L D``."""

    def __init__(self, slot: SlotPlan, options: PhoneOptions, resources: Resources) -> None:
        """Raises ValueError for a closed set and for masks of an answer."""
        super().__init__(slot, options, resources)
        if resources.candidates is not None:
            raise ValueError(f"column `{slot.column}`: phones have no closed set")
        if options.mask_ratio and slot.side == "target":
            raise ValueError(f"column `{slot.column}`: `mask_ratio` is for source slots")
        self.options = options
        self._start = resources.vocabulary.block(BLOCK).start
        self._mask = resources.vocabulary.id("mask")

    @classmethod
    def blocks(cls, slot: SlotPlan, options: PhoneOptions, candidates: Sequence[str] | None) -> Mapping[str, int]:
        """One id a symbol, with and without stress."""
        return {BLOCK: len(SYMBOLS)}

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Ids of the phones. Raises SampleError for what is no text and where nothing is left to pronounce."""
        options = self.options
        spoken = read_phones(value, self.slot.column, options, enough=options.max_length)
        phones = spoken[: options.max_length]
        units = np.array([self._start + INDEX[phone] for phone in phones], np.int64)
        if options.mask_ratio and (context.split == "train" or self.resources.also_target):
            wanted = min(len(units), math.ceil(options.mask_ratio * len(units) - 1e-9))
            units[context.rng.permutation(len(units))[:wanted]] = self._mask
        return Item(units=units, shape=(len(units),), num_cut=len(spoken) - len(phones))

    def decode(self, units: NDArray[Any], context: DecodeContext) -> str:
        """The phones with a blank between them; a masked one is ``<mask>``."""
        numbers = [int(unit) - self._start for unit in units]
        return " ".join(
            MASK_TEXT if number + self._start == self._mask else SYMBOLS[number]
            for number in numbers
            if number + self._start == self._mask or 0 <= number < len(SYMBOLS)
        )

    def reference(self, value: object, context: EncodeContext) -> str:
        """All phones of the value, with a blank between them."""
        return " ".join(read_phones(value, self.slot.column, self.options))

    def token_rule(self) -> TokenRule:
        """Phones until ``<end>``."""
        return TokenRule(blocks=(BLOCK,))
