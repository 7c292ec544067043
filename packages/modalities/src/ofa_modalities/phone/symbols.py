"""The symbols of ARPAbet as CMU's dictionary writes them: what the vocabulary block ``phone`` holds, in this order."""

from __future__ import annotations

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = (
    *("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z"),
    "ZH",
)
BOUNDARY = "|"
PUNCTUATION = (",", ".", "?", "!")
SYMBOLS = (
    BOUNDARY,
    *PUNCTUATION,
    *CONSONANTS,
    *VOWELS,
    *(f"{vowel}{stress}" for vowel in VOWELS for stress in "012"),
)
INDEX = {symbol: number for number, symbol in enumerate(SYMBOLS)}
BLOCK = "phone"
"""Name of the vocabulary block."""


def without_stress(phone: str) -> str:
    """``AH0`` → ``AH``; other symbols stay."""
    return phone.rstrip("012")
