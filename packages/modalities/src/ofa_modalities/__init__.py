"""Raw values to packed token streams and back; :mod:`ofa_modalities.encoder` tells the whole flow.

Specs (``ofa_modalities.specs``) load without torch: everything else is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ofa_modalities.batch import BatchSlot, FrameLabels, PackedBatch, SegmentColumn, Side, Stream, TokenLabels
    from ofa_modalities.closed_set import (
        check_candidates,
        closed_set_digest,
        closed_set_plan,
        collect_candidates,
        read_closed_set,
        write_closed_set,
    )
    from ofa_modalities.encoder import StreamNeed, TaskEncoder
    from ofa_modalities.fitting import collect_texts, fit_assets, fit_vocabulary
    from ofa_modalities.image.encoding import patches_to_image
    from ofa_modalities.image.reading import read_image
    from ofa_modalities.packing import fill_batches, pack
    from ofa_modalities.prefix_tree import PrefixTree
    from ofa_modalities.processor import (
        BaseProcessor,
        DecodeContext,
        EncodeContext,
        FitContext,
        Item,
        Processor,
        Resources,
        SampleError,
        Split,
        TokenRule,
    )
    from ofa_modalities.segment import EncodedSegment, Example
    from ofa_modalities.tokenizer import TextTokenizer, load_tokenizer, train_tokenizer
    from ofa_modalities.unpacking import LabelView, RowView, SegmentView, unpack
    from ofa_modalities.vocabulary import Vocabulary
    from ofa_modalities.vocabulary_plan import BlockPlan, VocabularyPlan

_MODULES = {
    "batch": ("BatchSlot", "FrameLabels", "PackedBatch", "SegmentColumn", "Side", "Stream", "TokenLabels"),
    "closed_set": (
        "check_candidates",
        "closed_set_digest",
        "closed_set_plan",
        "collect_candidates",
        "read_closed_set",
        "write_closed_set",
    ),
    "encoder": ("StreamNeed", "TaskEncoder"),
    "fitting": ("collect_texts", "fit_assets", "fit_vocabulary"),
    "packing": ("fill_batches", "pack"),
    "prefix_tree": ("PrefixTree",),
    "processor": (
        "BaseProcessor",
        "DecodeContext",
        "EncodeContext",
        "FitContext",
        "Item",
        "Processor",
        "Resources",
        "SampleError",
        "Split",
        "TokenRule",
    ),
    "segment": ("EncodedSegment", "Example"),
    "tokenizer": ("TextTokenizer", "load_tokenizer", "train_tokenizer"),
    "unpacking": ("LabelView", "RowView", "SegmentView", "unpack"),
    "image.encoding": ("patches_to_image",),
    "image.reading": ("read_image",),
    "vocabulary": ("Vocabulary",),
    "vocabulary_plan": ("BlockPlan", "VocabularyPlan"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BaseProcessor",
    "BatchSlot",
    "BlockPlan",
    "DecodeContext",
    "EncodeContext",
    "EncodedSegment",
    "Example",
    "FitContext",
    "FrameLabels",
    "Item",
    "LabelView",
    "PackedBatch",
    "PrefixTree",
    "Processor",
    "Resources",
    "RowView",
    "SampleError",
    "SegmentColumn",
    "SegmentView",
    "Side",
    "Split",
    "Stream",
    "StreamNeed",
    "TaskEncoder",
    "TextTokenizer",
    "TokenLabels",
    "TokenRule",
    "Vocabulary",
    "VocabularyPlan",
    "check_candidates",
    "closed_set_digest",
    "closed_set_plan",
    "collect_candidates",
    "collect_texts",
    "fill_batches",
    "fit_assets",
    "fit_vocabulary",
    "load_tokenizer",
    "pack",
    "patches_to_image",
    "read_closed_set",
    "read_image",
    "train_tokenizer",
    "unpack",
    "write_closed_set",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
