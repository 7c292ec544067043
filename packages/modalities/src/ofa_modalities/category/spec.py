"""CATEGORY, said without importing what does the work."""

from __future__ import annotations

from typing import Literal

from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec


class CategoryOptions(Options):
    """How a label becomes a token."""

    uncased: bool = False
    """Labels that differ in case only are one label."""
    no_punctuation: bool = False
    """Labels that differ in ASCII punctuation only are one label."""
    head: Literal["tied", "classifier"] = "tied"
    """What an answer is scored with: the embedding of the labels, or a ``classifier``, weights of the set's own."""


CATEGORY = ModalitySpec(
    name="CATEGORY",
    summary="One label of a closed set.",
    processor="category",
    adaptor="text",
    criteria=("cross_entropy",),
    generator="tokens",
    always_closed=True,
)

CATEGORY_PROCESSOR = ProcessorSpec(
    name="category",
    summary="A label or its index, as one token of the set's own block of the vocabulary.",
    modalities=("CATEGORY",),
    options=CategoryOptions,
    implementation="ofa_modalities.category.processor:CategoryProcessor",
)
