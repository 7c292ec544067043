"""The vocabulary: named blocks of token ids, laid out once for a run and kept with its checkpoint. Pydantic only.

control   pad unk mask end next choose, and one begin token a modality
text      the tokenizer's ids
bin, category:NAME:DIGEST, …   what processors ask for, in sorted order
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from ofa_instruction.plans import MOST_IDS, Plan
from ofa_instruction.telling import named
from pydantic import Field, model_validator

if TYPE_CHECKING:
    from ofa_modalities.tokenizer import TextTokenizer

CONTROL_TOKENS = ("pad", "unk", "mask", "end", "next", "choose")


class BlockPlan(Plan):
    """Ids ``start .. start + size - 1`` under one name."""

    name: str
    start: int = Field(ge=0, le=MOST_IDS)
    size: int = Field(ge=0, le=MOST_IDS)


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
            if block.start != start:
                raise ValueError(f"the block {named(block.name)} starts at {block.start}, not at {start}")
            start += block.size
        names = [block.name for block in self.blocks]
        if len(set(names)) != len(names) or names[:2] != ["control", "text"] or self.blocks[0].size != len(self.controls):
            raise ValueError("a vocabulary starts with the blocks `control` and `text`, and no name occurs twice")
        missing = [name for name in CONTROL_TOKENS if name not in self.controls]
        if missing or len(set(self.controls)) != len(self.controls):
            raise ValueError(f"the control tokens are each there once; missing: {', '.join(missing) or 'none'}")
        if start > MOST_IDS:
            raise ValueError(f"a vocabulary has at most {MOST_IDS:,} ids, not {start:,}")
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
