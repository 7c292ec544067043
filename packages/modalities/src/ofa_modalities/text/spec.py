"""TEXT, said without importing what does the work."""

from __future__ import annotations

from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec
from pydantic import Field


class TextOptions(Options):
    """How a text becomes tokens."""

    max_length: int = Field(default=256, ge=1, le=1 << 20)
    """Longest text in tokens; what is beyond is cut off, which is told, and its end is not learnt."""
    uncased: bool = False
    """Lower-case the text."""
    no_punctuation: bool = False
    """Leave out the ASCII punctuation and squeeze blanks."""
    noise_ratio: float = Field(default=0.0, ge=0, le=1)
    """In training, replace each input token with this probability by any token of the text block; labels stay."""
    mask_ratio: float = Field(default=0.0, ge=0, le=1)
    """Replace this share of the words, rounded up, by one ``<mask>`` each: in training, and in every split where the
    column is also a target. A text that already holds ``<mask>`` stays as it is."""
    mask_span: float = Field(default=0.0, ge=0, le=100)
    """Mean length of masked runs of words (Poisson); 0 masks single words."""


TEXT = ModalitySpec(
    name="TEXT",
    summary="Words.",
    processor="text",
    adaptor="text",
    criteria=("cross_entropy",),
    generator="tokens",
)

TEXT_PROCESSOR = ProcessorSpec(
    name="text",
    summary="Byte-level BPE trained on the run's own texts, or any tokenizer directory.",
    aliases=("text_phone",),
    modalities=("TEXT",),
    options=TextOptions,
    implementation="ofa_modalities.text.processor:TextProcessor",
)
