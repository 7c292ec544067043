"""PHONE, said without importing what does the work."""

from __future__ import annotations

from typing import Literal

from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec
from pydantic import Field


class PhoneOptions(Options):
    """How a text, or phones, become phone tokens."""

    reads: Literal["auto", "text", "phones"] = "auto"
    """What a value holds. auto takes it for phones where all its words are ARPAbet and one of them carries a stress digit."""
    stress: bool = True
    """Keep the stress of vowels (AH0 AH1 AH2); otherwise they are plain (AH)."""
    boundaries: bool = True
    """Keep `|` between words."""
    punctuation: bool = False
    """Keep , . ? and ! as tokens."""
    fallback: Literal["auto", "espeak", "rules"] = "auto"
    """Who pronounces a word that CMU's dictionary does not have: espeak-ng, which must be there; rules of letters; auto is
    espeak-ng where it is installed, else the rules."""
    max_length: int = Field(default=512, ge=1, le=1 << 20)
    """Most tokens; what is beyond is cut off, which is told, and its end is not learnt."""
    mask_ratio: float = Field(default=0.0, ge=0, le=1)
    """Replace this share of the phones, rounded up, by `<mask>`: in training, and in every split where the column is also a
    target."""


PHONE = ModalitySpec(
    name="PHONE",
    summary="Phones of spoken English, from text or ARPAbet.",
    processor="phone",
    adaptor="text",
    criteria=("cross_entropy",),
    generator="tokens",
    never_closed=True,
)

PHONE_PROCESSOR = ProcessorSpec(
    name="phone",
    summary="CMU's pronouncing dictionary with a fallback for unknown words; stress and word boundaries are kept.",
    modalities=("PHONE",),
    options=PhoneOptions,
    implementation="ofa_modalities.phone.processor:PhoneProcessor",
)
