"""Words that are exchanged in texts. No numpy here."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cached_property

import regex
from ofa_modalities.text.equality import folded
from ofa_modalities.text.words import HAS_NO_BLANKS

_OF_A_WORD = r"[\p{L}\p{M}\p{N}_]"


class WordSwap:
    """Exchanges whole words both ways and keeps their case; in scripts without blanks, wherever they stand.

    >>> WordSwap({"left": "right", "left hand": "right hand"})("Left of the RIGHT, left hand, leftover")
    'Right of the LEFT, right hand, leftover'
    """

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self.pairs = dict(pairs)

    @cached_property
    def _other(self) -> dict[str, str]:
        return {folded(one): two for pair in self.pairs.items() for one, two in (pair, pair[::-1])}

    @cached_property
    def _pattern(self) -> regex.Pattern[str]:
        spelled = {word for pair in self.pairs.items() for word in pair}
        forms = {unicodedata.normalize(form, word) for word in spelled for form in ("NFC", "NFD")}
        words = sorted(forms, key=lambda word: (-len(word), word))
        return regex.compile("|".join(map(_whole, words)), regex.IGNORECASE)

    def find(self, text: str) -> str | None:
        """The first word of a text that would be exchanged."""
        found = self._pattern.search(text)
        return None if found is None else found[0]

    def __call__(self, text: str) -> str:
        """The text with its words exchanged."""
        exchanged: str = self._pattern.sub(self._exchanged, text)
        return exchanged

    def _exchanged(self, match: regex.Match[str]) -> str:
        other = self._other.get(folded(match[0]))
        return match[0] if other is None else _in_case_of(match[0], other)


def _whole(word: str) -> str:
    """The pattern of a word that is no part of another."""
    before = "" if HAS_NO_BLANKS.match(word) else rf"(?<!{_OF_A_WORD})"
    after = r"(?!\p{M})" if HAS_NO_BLANKS.search(word[-1:]) else rf"(?!{_OF_A_WORD})"
    return f"{before}{regex.escape(word)}{after}"


def _in_case_of(word: str, other: str) -> str:
    if word.isupper() and len(word) > 1:
        return other.upper()
    if word[:1].isupper():
        return other[:1].upper() + other[1:]
    return other.lower() if word.islower() else other
