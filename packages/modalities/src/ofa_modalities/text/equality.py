"""When two texts are equal: the one place that says it. No numpy here.

    a text       is its characters in composed form (NFC), any run of blanks one blank, none at the edges; signs that nobody sees
                 (zero-width blanks, marks of direction, soft hyphens, a BOM) do not count
    a label      is equal to one candidate of its closed set alone; case (and what folds with it: ß and ss) counts only where two
                 candidates differ in nothing else
    an answer    that is from no closed set is judged without regard to case

Labels, closed sets, metrics and lists of several answers use these functions and compare in no other way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_UNSEEN = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def canonical(text: str) -> str:
    """The text as it is compared where case counts.

    >>> canonical(" cafe\\u0301\\u00a0noir\\n") == "café noir"
    True
    """
    if not text.isascii():
        text = _UNSEEN.sub("", unicodedata.normalize("NFC", text))
    return " ".join(text.split())


def folded(text: str) -> str:
    """The text as it is compared where case does not count.

    >>> folded("STRASSE") == folded("Straße"), folded("A") == folded("a"), folded("A") == folded("Á")
    (True, True, False)
    """
    return canonical(canonical(text).casefold())


class EqualTexts:
    """Which of several candidates a text is equal to.

    >>> found = EqualTexts(["A", "a", "New York"])
    >>> found.get("a"), found.get("new\\u00a0york"), found.get("B")
    (1, 2, None)
    """

    def __init__(self, candidates: Iterable[str]) -> None:
        self._exact: dict[str, int] = {}
        self._folded: dict[str, int | None] = {}
        """None: of several candidates, which differ in case."""
        for number, candidate in enumerate(candidates):
            if self._exact.setdefault(canonical(candidate), number) == number:
                key = folded(candidate)
                self._folded[key] = None if key in self._folded else number

    def get(self, text: str) -> int | None:
        """Number of the candidate, the first of equal ones; None where there is none, or where only case would tell which."""
        number = self._exact.get(canonical(text))
        return self._folded.get(folded(text)) if number is None else number

    def are_equal(self, one: str, other: str) -> bool:
        """Whether both are one candidate, or one text outside of the set."""
        first, second = self.get(one), self.get(other)
        return first == second and (first is not None or canonical(one) == canonical(other))
