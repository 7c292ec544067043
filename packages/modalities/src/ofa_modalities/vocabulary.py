"""The vocabulary: named blocks of token ids, laid out once for a run and kept with its checkpoint.

control   pad unk mask end next choose, and one begin token a modality
text      the tokenizer's ids
bin, category:NAME:DIGEST, …   what processors ask for, in sorted order
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import Plan
from pydantic import model_validator

from ofa_modalities.tokenizer import TextTokenizer

CONTROL_TOKENS = ("pad", "unk", "mask", "end", "next", "choose")
MASK_TEXT = "<mask>"
"""How a text says that a word is missing; it becomes the control token ``mask``."""

_MASK = re.compile(re.escape(MASK_TEXT))


class BlockPlan(Plan):
    """Ids ``start .. start + size - 1`` under one name."""

    name: str
    start: int
    size: int


class VocabularyPlan(Plan):
    """Everything about a vocabulary but the tokenizer's file."""

    schema_version: Literal[1] = 1
    controls: tuple[str, ...]
    """Names of the control tokens in order: the fixed ones, then ``begin:MODALITY`` sorted."""
    blocks: tuple[BlockPlan, ...]
    tokenizer_digest: str

    @model_validator(mode="after")
    def _blocks_follow_each_other(self) -> VocabularyPlan:
        start = 0
        for block in self.blocks:
            if block.start != start or block.size < 0:
                raise ValueError(f"block `{block.name}` starts at {block.start}, not at {start}")
            start += block.size
        names = [block.name for block in self.blocks]
        if len(set(names)) != len(names) or names[:2] != ["control", "text"] or self.blocks[0].size != len(self.controls):
            raise ValueError("a vocabulary starts with the blocks `control` and `text`, and no name occurs twice")
        return self

    @classmethod
    def lay_out(
        cls, tokenizer: TextTokenizer, modalities: Iterable[str], blocks: Mapping[str, int] | None = None
    ) -> VocabularyPlan:
        """Lay out a vocabulary for these modalities and blocks (name → size)."""
        controls = (*CONTROL_TOKENS, *(f"begin:{modality}" for modality in sorted(set(modalities))))
        sizes = {"control": len(controls), "text": tokenizer.size, **dict(sorted((blocks or {}).items()))}
        plans, start = [], 0
        for name, size in sizes.items():
            plans.append(BlockPlan(name=name, start=start, size=size))
            start += size
        return cls(controls=controls, blocks=tuple(plans), tokenizer_digest=tokenizer.digest)

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.blocks[-1].start + self.blocks[-1].size


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
        if tokenizer.digest != plan.tokenizer_digest or tokenizer.size != len(self._blocks["text"]):
            raise ValueError(
                f"the tokenizer is not the vocabulary's: digest {tokenizer.digest[:12]}, expected {plan.tokenizer_digest[:12]}"
            )
        self.tokenizer = BlockTokenizer(tokenizer, self._blocks["text"].start, self._ids["mask"])

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

    def spell(self, index: int) -> str:
        """How a person would read one id: ``<end>``, ``Ġcat``, ``<bin_3>``."""
        for block in self.plan.blocks:
            if index < block.start + block.size:
                match block.name:
                    case "control":
                        return f"<{self.plan.controls[index]}>"
                    case "text":
                        return self.tokenizer.local.token(index - block.start)
                    case name:
                        return f"<{name}_{index - block.start}>"
        raise IndexError(f"id {index} is beyond the vocabulary of {self.size}")
