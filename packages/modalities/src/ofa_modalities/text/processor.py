"""TEXT: str ⇄ ids of the text block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan

from ofa_modalities.closed_set import LabelIndex
from ofa_modalities.prefix_tree import PrefixTree
from ofa_modalities.processor import BaseProcessor, DecodeContext, EncodeContext, Item, Resources, SampleError, TokenRule
from ofa_modalities.reading import shown
from ofa_modalities.text.masking import mask_words, replace_tokens
from ofa_modalities.text.reading import normalise, read_text
from ofa_modalities.text.spec import TextOptions
from ofa_modalities.vocabulary import Vocabulary

Int64 = NDArray[np.int64]

_MOST_CHARACTERS_OF_AN_ID = 64
"""Words farther behind than this for each id of the longest text are not there when words are chosen to be masked."""


class TextProcessor(BaseProcessor):
    """Encodes a str or a number as ``[n]`` ids, 1 ≤ n ≤ ``max_length``.

    With a closed set, the value must be one of its candidates, compared as ``uncased`` and ``no_punctuation`` say;
    the answer is the candidate's own spelling.
    """

    def __init__(self, slot: SlotPlan, options: TextOptions, resources: Resources) -> None:
        """Raises ValueError where a candidate has no tokens, and for `mask_ratio` where there is nothing to mask."""
        super().__init__(slot, options, resources)
        if options.mask_ratio and (slot.side == "target" or resources.candidates is not None):
            raise ValueError(f"column `{slot.column}`: `mask_ratio` is for source slots without a closed set")
        self.options = options
        self._tokenizer = resources.vocabulary.tokenizer
        self._block = resources.vocabulary.block("text")
        self._closed = _ClosedTexts(slot, options, resources) if resources.candidates is not None else None

    @classmethod
    def corpus(cls, slot: SlotPlan, options: TextOptions, value: object) -> Iterable[str]:
        """The text as it will be encoded."""
        yield normalise(read_text(value, slot.column), uncased=options.uncased, no_punctuation=options.no_punctuation)

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Ids of the text. Raises SampleError for an empty text, no text, or a text outside the closed set."""
        options = self.options
        text = read_text(value, self.slot.column)
        train = context.split == "train"
        if self._closed is not None:
            ids, num_cut = self._closed.encode(text), 0
        else:
            text = normalise(text, uncased=options.uncased, no_punctuation=options.no_punctuation)
            if options.mask_ratio and (train or self.resources.also_target):
                text = mask_words(
                    text[: _MOST_CHARACTERS_OF_AN_ID * options.max_length], options.mask_ratio, context.rng, options.mask_span
                )
            ids, num_cut = self._ids(text)
        if not (options.noise_ratio and train):
            return Item(units=ids, shape=(len(ids),), num_cut=num_cut)
        noisy = replace_tokens(ids, options.noise_ratio, self._block, context.rng)
        if self.slot.side == "target":
            return Item(units=ids, shape=(len(ids),), inputs=noisy, num_cut=num_cut)
        return Item(units=noisy, shape=(len(ids),), num_cut=num_cut)

    def _ids(self, text: str) -> tuple[Int64, int]:
        """Ids of the text, at most ``max_length`` of whole characters, and about how many more there would be."""
        most = self.options.max_length
        try:
            ids, total = self._tokenizer.encode_first(text, most + 1)
        except ValueError as error:
            raise SampleError(self.slot.column, str(error)) from error
        if not ids:
            raise SampleError(self.slot.column, "nothing is left of the text to encode")
        if len(ids) <= most:
            return np.array(ids, np.int64), 0
        kept = self._tokenizer.whole(ids[:most])
        if not kept:
            raise SampleError(self.slot.column, f"not even the first character fits into max_length={most} tokens")
        return np.array(kept, np.int64), total - len(kept)

    def decode(self, units: NDArray[Any], context: DecodeContext) -> str:
        """The text of ids ``[U]`` without ``<end>``, whole characters where it was cut; of a closed set, the candidate's own
        spelling."""
        if self._closed is not None:
            answer = self._closed.decode(units)
            if answer is not None:
                return answer
        ids = units.tolist()
        return self._tokenizer.decode(self._tokenizer.whole(ids) if context.is_cut else ids)

    def reference(self, value: object, context: EncodeContext) -> str:
        """The whole text, written as it is learnt; of a closed set, the candidate's own spelling. One outside the set stays."""
        text = read_text(value, self.slot.column)
        if self._closed is not None:
            return self._closed.spelling(text) or text
        return normalise(text, uncased=self.options.uncased, no_punctuation=self.options.no_punctuation)

    def token_rule(self) -> TokenRule:
        """Text until ``<end>``, or the closed set."""
        if self._closed is None:
            return TokenRule(blocks=("text",))
        return TokenRule(blocks=("text",), tree=self._closed.tree, answers=self._closed.answers)


class _ClosedTexts:
    """Candidates as token sequences; those of equal tokens are one, spelled as the first."""

    def __init__(self, slot: SlotPlan, options: TextOptions, resources: Resources) -> None:
        assert resources.candidates is not None
        vocabulary: Vocabulary = resources.vocabulary
        self._index = LabelIndex(
            slot.column, resources.candidates, uncased=options.uncased, no_punctuation=options.no_punctuation
        )
        numbers: dict[tuple[int, ...], int] = {}
        answers: list[str] = []
        self._number: list[int] = []
        for normal, answer in zip(self._index.normal, self._index.answers, strict=True):
            first, total = vocabulary.tokenizer.encode_first(normal, options.max_length + 1)
            ids = tuple(first)
            if not ids:
                raise ValueError(f"closed set `{slot.closed_set}`: candidate {shown(answer)} has no tokens")
            if len(ids) > options.max_length:
                raise ValueError(
                    f"closed set `{slot.closed_set}`: candidate {shown(answer)} has {total} tokens,"
                    f" more than max_length={options.max_length}"
                )
            if ids not in numbers:
                numbers[ids] = len(answers)
                answers.append(answer)
            self._number.append(numbers[ids])
        self.answers: tuple[str, ...] = tuple(answers)
        self._ids = [np.array(ids, np.int64) for ids in numbers]
        self._by_ids = numbers
        end = vocabulary.id("end")
        self.tree = PrefixTree.build([(*ids, end) for ids in numbers])

    def encode(self, text: str) -> Int64:
        return self._ids[self._number[self._index.find(text)]]

    def spelling(self, text: str) -> str | None:
        number = self._index.get(text)
        return None if number is None else self.answers[self._number[number]]

    def decode(self, units: Sequence[int] | NDArray[Any]) -> str | None:
        number = self._by_ids.get(tuple(int(unit) for unit in units))
        return None if number is None else self.answers[number]
