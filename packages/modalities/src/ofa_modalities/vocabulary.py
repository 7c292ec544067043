"""A laid-out vocabulary with its tokenizer: ids of blocks and control tokens, and how they are spelled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.tokenizer import TextTokenizer
from ofa_modalities.vocabulary_plan import BlockPlan, VocabularyPlan

__all__ = ["MASK_TEXT", "BlockPlan", "BlockTokenizer", "Vocabulary", "VocabularyPlan"]

MASK_TEXT = "<mask>"
"""How a text says that a word is missing; it becomes the control token ``mask``."""

_MASK = re.compile(re.escape(MASK_TEXT))

_CHARACTERS_OF_AN_ID = 16
_MOST_CHARACTERS = 500_000
_UNSURE = 32
"""Ids at the end of a text that was cut, which what follows could change."""


class BlockTokenizer:
    """A tokenizer whose ids lie in the vocabulary's text block; ``<mask>`` is the control token.

    Blanks around ``<mask>`` do not count: it is read and written with one blank on either side.
    """

    def __init__(self, tokenizer: TextTokenizer, start: int, mask: int) -> None:
        self.local = tokenizer
        self.start = start
        self.mask = mask

    @property
    def size(self) -> int:
        """Ids of the text block."""
        return self.local.size

    @property
    def digest(self) -> str:
        """SHA-256 of the tokenizer."""
        return self.local.digest

    def encode(self, text: str) -> list[int]:
        """Vocabulary ids of a text, without begin and end. Raises ValueError for text that UTF-8 cannot hold."""
        if MASK_TEXT not in text:
            start = self.start
            return [start + index for index in self.local.encode(text)]
        ids: list[int] = []
        for number, piece in enumerate(_MASK.split(text)):
            if number:
                ids.append(self.mask)
            ids.extend(self.start + index for index in self.local.encode(piece))
        return ids

    def encode_first(self, text: str, count: int) -> tuple[list[int], int]:
        """The first ids of a text, at least ``count`` where it has so many, and about how many it has in all.

        Of a long text no more characters are looked at than these ids take; what they are does not change by that. Raises
        ValueError for text that UTF-8 cannot hold, and for one whose first half million characters are fewer ids.
        """
        text = text.strip()
        size = _CHARACTERS_OF_AN_ID * count + 1000
        while size < len(text):
            if size > _MOST_CHARACTERS:
                raise ValueError(f"the text has {len(text):,} characters, and the first {size // 4:,} hold almost nothing")
            blank = text.rfind(" ", size // 2, size)
            used = size if blank < 0 else blank
            ids = self.encode(text[:used])
            if len(ids) >= count + _UNSURE:
                return ids[:-_UNSURE], max(len(ids), round(len(ids) * len(text) / used))
            size *= 4
        ids = self.encode(text)
        return ids, len(ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of vocabulary ids; ids outside the text block are left out, but for ``mask``."""
        pieces: list[str] = []
        run: list[int] = []
        start, stop = self.start, self.start + self.local.size
        for index in ids:
            if start <= index < stop:
                run.append(int(index) - start)
            elif index == self.mask:
                pieces += [self.local.decode(run), MASK_TEXT]
                run = []
        pieces.append(self.local.decode(run))
        return " ".join(piece for piece in pieces if piece)

    def whole(self, ids: Sequence[int]) -> Sequence[int]:
        """The vocabulary ids of a text that was cut, without the last ones where these are a part of a character only."""
        start, stop = self.start, self.start + self.local.size
        run = len(ids)
        while run and start <= ids[run - 1] < stop:
            run -= 1
        return ids[: run + len(self.local.whole([int(index) - start for index in ids[run:]]))]

    def save(self, path: str) -> None:
        """Write ``tokenizer.json``; see :meth:`TextTokenizer.save`."""
        self.local.save(path)


class Vocabulary:
    """A plan with its tokenizer; picklable.

    >>> from ofa_modalities import Vocabulary, VocabularyPlan, train_tokenizer
    >>> tokenizer = train_tokenizer(["a cat"], size=260)
    >>> vocabulary = Vocabulary(VocabularyPlan.lay_out(tokenizer, ["TEXT"], {"bin": 64}), tokenizer)
    >>> vocabulary.id("end"), vocabulary.id("begin:TEXT"), len(vocabulary.block("bin"))
    (3, 6, 64)
    >>> vocabulary.tokenizer.decode(vocabulary.tokenizer.encode("a <mask> cat"))
    'a <mask> cat'
    """

    def __init__(self, plan: VocabularyPlan, tokenizer: TextTokenizer) -> None:
        """Raises ValueError where the tokenizer is not the plan's."""
        self.plan = plan
        self._blocks = {block.name: range(block.start, block.start + block.size) for block in plan.blocks}
        self._ids = {name: index for index, name in enumerate(plan.controls)}
        if not tokenizer.has_digest(plan.tokenizer_digest) or tokenizer.size != len(self._blocks["text"]):
            raise ValueError(
                f"the tokenizer is not the vocabulary's: digest {tokenizer.digest[:12]}, expected {plan.tokenizer_digest[:12]}"
            )
        self.tokenizer = BlockTokenizer(tokenizer, self._blocks["text"].start, self._ids["mask"])

    def __repr__(self) -> str:
        blocks = ", ".join(f"{len(ids):,} {name}" for name, ids in self._blocks.items())
        return f"Vocabulary({self.size:,} ids: {blocks if len(blocks) <= 100 else f'{len(self._blocks)} blocks'})"

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.plan.size

    def block(self, name: str) -> range:
        """Ids of a block. Raises KeyError, listing the blocks there are."""
        if name not in self._blocks:
            raise KeyError(f"the vocabulary has no block `{name}`; it has {', '.join(self._blocks)}")
        return self._blocks[name]

    def has_block(self, name: str) -> bool:
        """Whether there is such a block."""
        return name in self._blocks

    def id(self, name: str) -> int:
        """Id of a control token: ``mask``, ``end``, ``begin:TEXT``, … Raises KeyError, listing those there are."""
        if name not in self._ids:
            raise KeyError(f"the vocabulary has no control token `{name}`; it has {', '.join(self._ids)}")
        return self._ids[name]

    def block_of(self, ids: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """Name of the block of each id."""
        starts = [block.start for block in self.plan.blocks]
        places = np.searchsorted(starts, np.asarray(ids, np.int64), side="right") - 1
        return [self.plan.blocks[place].name for place in places]

    def spell(self, ids: Iterable[int]) -> list[str]:
        """How a person reads each of some ids that stand in a row: ``<end>``, ``▁señal``, ``<bin_3>``.

        Raises IndexError for an id beyond the vocabulary.
        """
        spelled: list[str] = []
        for name, run in groupby(ids, self._block_name):
            local = [index - self._blocks[name].start for index in run]
            match name:
                case "control":
                    spelled += [f"<{self.plan.controls[index]}>" for index in local]
                case "text":
                    spelled += self.tokenizer.local.pieces(local)
                case _:
                    spelled += [f"<{name}_{index}>" for index in local]
        return spelled

    def _block_name(self, index: int) -> str:
        for block in self.plan.blocks:
            if index < block.start + block.size:
                return block.name
        raise IndexError(f"id {index} is beyond the vocabulary of {self.size}")
