"""CATEGORY: a label, or its index, ⇄ one id of the closed set's own block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan

from ofa_modalities.category.spec import CategoryOptions
from ofa_modalities.closed_set import LabelIndex, closed_set_digest
from ofa_modalities.prefix_tree import PrefixTree
from ofa_modalities.processor import BaseProcessor, DecodeContext, EncodeContext, Item, Resources, SampleError, TokenRule
from ofa_modalities.text.reading import read_text

_INDEX = re.compile(r"-?[0-9]{1,18}(\.0*)?")
"""Also ``1.0``, as pandas writes the whole numbers of a column with gaps."""


def _labels(slot: SlotPlan, options: CategoryOptions, candidates: Sequence[str] | None) -> LabelIndex:
    if not candidates:
        raise ValueError(f"column `{slot.column}`: a category needs a closed set")
    return LabelIndex(slot.column, candidates, uncased=options.uncased, no_punctuation=options.no_punctuation)


def _block(slot: SlotPlan, labels: LabelIndex) -> str:
    """Two tasks share the block of one set; sets that differ have blocks of their own."""
    return f"category:{slot.closed_set}:{closed_set_digest(labels.answers)[:8]}"


class CategoryProcessor(BaseProcessor):
    """Encodes a label as ``[1]`` id.

    A value is a label; where no candidate is a whole number, one (also as text, of a CSV cell) is an index (0-based).
    """

    def __init__(self, slot: SlotPlan, options: CategoryOptions, resources: Resources) -> None:
        """Raises ValueError without a closed set."""
        super().__init__(slot, options, resources)
        self._labels = _labels(slot, options, resources.candidates)
        self._block_name = _block(slot, self._labels)
        block = resources.vocabulary.block(self._block_name)
        self._start = block.start
        self._allow_index = not any(_is_whole(answer) for answer in self._labels.answers)
        self._candidates = resources.candidates or ()
        self._untied = options.head == "classifier"
        self._tree = PrefixTree.build([(index,) for index in block])

    @classmethod
    def blocks(cls, slot: SlotPlan, options: CategoryOptions, candidates: Sequence[str] | None) -> Mapping[str, int]:
        """One id a label."""
        labels = _labels(slot, options, candidates)
        return {_block(slot, labels): len(labels.answers)}

    def encode(self, value: object, context: EncodeContext) -> Item:
        """One id. Raises SampleError for what is no label of the set, naming near ones."""
        number = self._number(value)
        return Item(units=np.array([self._start + number], np.int64), shape=(1,))

    def _number(self, value: object) -> int:
        text = read_text(value, self.slot.column)
        if not self._is_index(text):
            return self._labels.find(text)
        index = int(text.partition(".")[0])
        if not 0 <= index < len(self._candidates):
            raise SampleError(self.slot.column, f"index {text[:20]} is not among 0 .. {len(self._candidates) - 1}")
        return self._labels.find(self._candidates[index])

    def _is_index(self, text: str) -> bool:
        return self._allow_index and _INDEX.fullmatch(text) is not None

    def decode(self, units: NDArray[Any], context: DecodeContext) -> str:
        """The label, in the candidate's own spelling."""
        number = int(units[0]) - self._start
        if len(units) != 1 or not 0 <= number < len(self._labels.answers):
            raise ValueError(f"not one id of the block `{self._block_name}`: {list(units)}")
        return self._labels.answers[number]

    def reference(self, value: object, context: EncodeContext) -> str:
        """The label in the candidate's own spelling; one that is not in the set stays as it is.

        Raises SampleError for an index that is not in the set.
        """
        text = read_text(value, self.slot.column)
        if self._is_index(text):
            return self._labels.answers[self._number(text)]
        number = self._labels.get(text)
        return text if number is None else self._labels.answers[number]

    def token_rule(self) -> TokenRule:
        """Exactly one label."""
        return TokenRule(blocks=(self._block_name,), length=1, tree=self._tree, answers=self._labels.answers, untied=self._untied)


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal() or _INDEX.fullmatch(text) is not None
