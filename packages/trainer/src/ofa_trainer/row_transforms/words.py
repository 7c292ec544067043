"""Words that are exchanged in texts. No numpy here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property


class WordSwap:
    """Exchanges whole words both ways and keeps their case.

    >>> WordSwap({"left": "right", "left hand": "right hand"})("Left of the RIGHT, left hand, leftover")
    'Right of the LEFT, right hand, leftover'
    """

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self.pairs = dict(pairs)

    @cached_property
    def _other(self) -> dict[str, str]:
        return {one.lower(): two for pair in self.pairs.items() for one, two in (pair, pair[::-1])}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        words = sorted(self._other, key=lambda word: (-len(word), word))
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)

    def find(self, text: str) -> str | None:
        """The first word of a text that would be exchanged."""
        found = self._pattern.search(text)
        return None if found is None else found[0]

    def __call__(self, text: str) -> str:
        """The text with its words exchanged."""
        return self._pattern.sub(lambda match: _in_case_of(match[0], self._other[match[0].lower()]), text)


def _in_case_of(word: str, other: str) -> str:
    if word.isupper() and len(word) > 1:
        return other.upper()
    if word[:1].isupper():
        return other[:1].upper() + other[1:]
    return other.lower() if word.islower() else other
