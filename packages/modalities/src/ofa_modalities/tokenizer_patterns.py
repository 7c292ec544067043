r"""Patterns of a tokenizer that are matched in time about proportional to the text.

A matcher that goes back tries every way to share a run out among repeated parts. Repeats of repeats, ``(a+)+``, take
exponential time, and so do many optional or alternative parts in a row; several unbounded repeats in a row take the
run's length to their number. Such patterns are refused, as are references to what was matched, and patterns of very many
characters. Those of real tokenizers pass: alternatives, each with a repeat or two.

>>> check_pattern(r"'s|'t| ?\p{L}+| ?\p{N}+|\s+(?!\S)|\s+")
>>> check_pattern("(a+)+b")
Traceback (most recent call last):
ValueError: a repeat within a repeat, at character 6
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

LONGEST = 2000
_MOST_REPEATS = 2
_MOST_CHOICES = 6
_MOST_DEPTH = 8
_LARGEST_COUNT = 1000
_SMALL_COUNT = 4

_QUANTIFIER = re.compile(r"(?:[*+?]|\{(\d*)(?:(,)(\d*))?\})[?+]?")
_OPENING = re.compile(r"\((?:\?(?:[:>=!|]|<[=!]|[imsx-]*:|[imsx-]+\)))?")
_REFERENCE = re.compile(r"\\(?:[1-9]|k|g)")


@dataclass(slots=True)
class _Sequence:
    """What stands in a row in one alternative: how many unbounded repeats, and how many places where there is a choice."""

    repeats: int = 0
    choices: int = 0


@dataclass(slots=True)
class _Group:
    """An open parenthesis: its alternative, and the largest numbers among those before. looks: it takes no characters."""

    now: _Sequence = field(default_factory=_Sequence)
    repeats: int = 0
    choices: int = 0
    alternatives: int = 1

    def close_alternative(self) -> None:
        self.repeats, self.choices = max(self.repeats, self.now.repeats), max(self.choices, self.now.choices)
        self.now = _Sequence()


def check_pattern(pattern: str) -> None:
    """Raises ValueError for a pattern that may match for very long, with the place."""
    if len(pattern) > LONGEST:
        raise ValueError(f"a pattern of {len(pattern):,} characters; at most {LONGEST:,} are read")
    groups = [_Group()]
    place = 0
    while place < len(pattern):
        place = _take(pattern, place, groups)
    if len(groups) > 1:
        raise ValueError("a parenthesis that is never closed")
    _close(groups[0], len(pattern))


def _take(pattern: str, place: int, groups: list[_Group]) -> int:
    """Take one atom with its quantifier, an opening parenthesis or a bar; return the place behind it."""
    character = pattern[place]
    if character == "(":
        opening = _OPENING.match(pattern, place)
        if opening is None or (pattern.startswith("(?", place) and opening.end() == place + 1):
            raise ValueError(f"a parenthesis of a kind that is not read, at character {place + 1}")
        if opening[0].endswith(")"):  # (?i) alone
            return opening.end()
        groups.append(_Group())
        if len(groups) > _MOST_DEPTH:
            raise ValueError(f"more than {_MOST_DEPTH - 1} parentheses within each other")
        return opening.end()
    if character == "|":
        groups[-1].close_alternative()
        groups[-1].alternatives += 1
        return place + 1
    if character == ")":
        if len(groups) == 1:
            raise ValueError(f"a parenthesis that was never opened, at character {place + 1}")
        return _after_group(pattern, place + 1, groups)
    if _REFERENCE.match(pattern, place):
        raise ValueError(f"a reference to what was matched, at character {place + 1}")
    place = _after_class(pattern, place) if character == "[" else place + (2 if character == "\\" else 1)
    if pattern.startswith("{", place) and place >= 2 and pattern[place - 2] == "\\" and pattern[place - 1] in "pPxu":
        place = pattern.find("}", place) + 1 or len(pattern)  # \p{L}
    place, unbounded, optional = _quantifier(pattern, place)
    _count(groups[-1], unbounded, int(optional), place)
    return place


def _after_group(pattern: str, place: int, groups: list[_Group]) -> int:
    group = groups.pop()
    group.close_alternative()
    place, unbounded, optional = _quantifier(pattern, place)
    if (unbounded or pattern[place - 1] == "}") and (group.repeats or group.choices or group.alternatives > 1):
        raise ValueError(f"a repeat within a repeat, at character {place}")
    choices = group.choices + int(optional) + int(group.alternatives > 1)
    _count(groups[-1], unbounded, choices, place, repeats=group.repeats)
    return place


def _count(group: _Group, unbounded: bool, choices: int, place: int, *, repeats: int = 0) -> None:
    group.now.repeats += repeats + int(unbounded)
    group.now.choices += choices
    _check(group.now.repeats, group.now.choices, place)


def _close(group: _Group, place: int) -> None:
    group.close_alternative()
    _check(group.repeats, group.choices, place)


def _check(repeats: int, choices: int, place: int) -> None:
    if repeats > _MOST_REPEATS:
        raise ValueError(f"more than {_MOST_REPEATS} repeats in a row, at character {place}")
    if choices > _MOST_CHOICES:
        raise ValueError(f"more than {_MOST_CHOICES} choices in a row, at character {place}")


def _quantifier(pattern: str, place: int) -> tuple[int, bool, bool]:
    """(place behind it, whether it may take a run, whether it may take little or nothing): none, ``?``, ``{1,3}`` are no runs."""
    found = _QUANTIFIER.match(pattern, place)
    if found is None or found[0] in ("{}", "{,}"):
        return place, False, False
    sign = found[0][0]
    if sign != "{":
        following, unbounded, optional = found.end(), sign in "*+", sign == "?"
    else:
        largest = int((found[3] if found[2] else found[1]) or _LARGEST_COUNT)
        if largest > _LARGEST_COUNT:
            raise ValueError(f"a repeat of {largest} times, at character {place + 1}")
        following, unbounded, optional = found.end(), largest > _SMALL_COUNT and bool(found[2]), bool(found[2])
        unbounded = unbounded or largest > 16 * _SMALL_COUNT
    again = _QUANTIFIER.match(pattern, following)
    if again is not None and again[0] not in ("{}", "{,}"):
        raise ValueError(f"a repeat within a repeat, at character {following + 1}")
    return following, unbounded, optional


def _after_class(pattern: str, place: int) -> int:
    """The place behind a ``[…]``, which may hold others."""
    depth, here = 0, place
    while here < len(pattern):
        character = pattern[here]
        if character == "\\":
            here += 2
            continue
        if character == "[":
            depth += 1
            here += 2 if pattern.startswith("^", here + 1) else 1
            if pattern.startswith("]", here):  # as the first it stands for itself
                here += 1
            continue
        here += 1
        if character == "]":
            depth -= 1
            if not depth:
                return here
    raise ValueError(f"a `[` that is never closed, at character {place + 1}")
