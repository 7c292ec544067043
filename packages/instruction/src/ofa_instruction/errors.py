"""Errors that a person can act on: what is wrong, where (a caret), what was expected, what to do next.

Every error of the language has a code. :data:`ERROR_CATALOGUE` is the one table of them:
``OFA-I0xx`` are errors of the text alone, ``OFA-I1xx`` are found when it is compiled.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple


class ErrorCode(StrEnum):
    """Codes of :class:`InstructionError`; their meaning is in :data:`ERROR_CATALOGUE`."""

    NO_ARROW = "OFA-I001"
    SECOND_ARROW = "OFA-I002"
    UNKNOWN_MODALITY = "OFA-I003"
    UNCLOSED = "OFA-I004"
    UNMATCHED = "OFA-I005"
    BLANK = "OFA-I006"
    EMPTY = "OFA-I007"
    NOT_IDENTIFIER = "OFA-I008"
    UNEXPECTED = "OFA-I009"
    REPEATED_KEY = "OFA-I010"
    QUOTE = "OFA-I011"
    ESCAPE = "OFA-I012"
    NO_SLOT = "OFA-I013"
    STAR = "OFA-I014"
    REPEAT = "OFA-I015"
    CONTRAST = "OFA-I016"
    NESTING = "OFA-I017"
    BARS = "OFA-I018"
    CHARACTER = "OFA-I019"
    NOT_INSTALLED = "OFA-I101"
    UNKNOWN_ATTRIBUTE = "OFA-I102"
    BAD_VALUE = "OFA-I103"
    UNKNOWN_PLUGIN = "OFA-I104"
    UNUSABLE_PLUGIN = "OFA-I105"
    MISFIT = "OFA-I106"
    REFERENCE = "OFA-I107"
    ALTERNATIVES = "OFA-I108"
    COLUMN = "OFA-I109"


ERROR_CATALOGUE: Mapping[ErrorCode, str] = MappingProxyType(
    {
        ErrorCode.NO_ARROW: "no `->` between source and target",
        ErrorCode.SECOND_ARROW: "a second `->`, or one inside brackets",
        ErrorCode.UNKNOWN_MODALITY: "unknown modality",
        ErrorCode.UNCLOSED: "a `[` that is never closed",
        ErrorCode.UNMATCHED: "a `]` or `)*` without its opening",
        ErrorCode.BLANK: "a blank inside a slot, outside quotes",
        ErrorCode.EMPTY: "an empty modality, name, key or value, or a trailing comma",
        ErrorCode.NOT_IDENTIFIER: "a name or key that is not an identifier",
        ErrorCode.UNEXPECTED: "a character that cannot stand there in a slot",
        ErrorCode.REPEATED_KEY: "an attribute given twice",
        ErrorCode.QUOTE: "a quoted value that is never closed, or a bad escape in one",
        ErrorCode.ESCAPE: "a backslash that escapes nothing",
        ErrorCode.NO_SLOT: "no slot at all",
        ErrorCode.STAR: "a `*` right after a slot or a contrast",
        ErrorCode.REPEAT: "a malformed repeat",
        ErrorCode.CONTRAST: "a malformed contrast",
        ErrorCode.NESTING: "repeats nested more than 16 deep",
        ErrorCode.BARS: "bars out of place: alternatives where one instruction is read, or four bars in a row",
        ErrorCode.CHARACTER: "a control character or a lone surrogate",
        ErrorCode.NOT_INSTALLED: "a known modality, or a part of it, that is not installed",
        ErrorCode.UNKNOWN_ATTRIBUTE: "an attribute that nothing in the slot declares",
        ErrorCode.BAD_VALUE: "an attribute's value of the wrong type or out of range",
        ErrorCode.UNKNOWN_PLUGIN: "an unknown processor, adaptor, criterion or generator",
        ErrorCode.UNUSABLE_PLUGIN: "a plugin that fails to load, or that two distributions provide",
        ErrorCode.MISFIT: "parts of a slot, or slots of a side, that do not fit each other",
        ErrorCode.REFERENCE: "a slot that belongs to another one, which cannot be told",
        ErrorCode.ALTERNATIVES: "alternatives with different target slots",
        ErrorCode.COLUMN: "a column used in a way the instruction does not allow",
    }
)


class OFAWarning(UserWarning):
    """Something the user asked for is skipped or overridden."""


class Span(NamedTuple):
    """A place in a text: 0-based, ``stop`` not included."""

    start: int
    stop: int


class InstructionError(ValueError):
    """An instruction that cannot be read or compiled.

    Its ``str`` is the code and the message, the offending line, carets under the place, and the hint, indented.

    >>> from ofa_instruction import parse
    >>> try:
    ...     parse("[IMGAE:img] -> [TEXT:cap]")
    ... except InstructionError as error:
    ...     print(error.code, error.span)
    OFA-I003 Span(start=1, stop=6)
    """

    def __init__(self, code: str, message: str, text: str, span: tuple[int, int], hint: str = "") -> None:
        super().__init__(code, message, text, tuple(span), hint)
        self.code = str(code)
        self.message = message
        self.text = text
        self.span = Span(*span)
        self.hint = hint

    def __str__(self) -> str:
        line, carets = point(self.text, self.span)
        lines = [f"  {line}", f"  {carets}", *(f"  {hint}" for hint in self.hint.split("\n") if hint)]
        return "\n".join([f"{self.code}: {self.message}", *(line.rstrip() for line in lines)])


class CatalogError(ValueError):
    """A plugin that is unknown, ambiguous or broken, or options it does not accept."""

    def __init__(
        self, message: str, *, reason: Literal["unknown", "conflict", "broken", "options"], group: str, name: str, hint: str = ""
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.group = group
        self.name = name
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.args[0]}\n{self.hint}" if self.hint else str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        return _catalog_error, (self.args[0], self.reason, self.group, self.name, self.hint)


def _catalog_error(
    message: str, reason: Literal["unknown", "conflict", "broken", "options"], group: str, name: str, hint: str
) -> CatalogError:
    return CatalogError(message, reason=reason, group=group, name=name, hint=hint)


class BindError(ValueError):
    """A row that does not give an instruction what it needs; ``column`` says where.

    no_answer: the row has everything but the answer, whose cell is empty.
    """

    def __init__(self, message: str, column: str, *, no_answer: bool = False) -> None:
        super().__init__(message, column)
        self.column = column
        self.no_answer = no_answer

    def __str__(self) -> str:
        return str(self.args[0])


_MAX_LINE = 240
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _show(char: str) -> tuple[str, int]:
    """How a character is printed, and how many terminal columns it takes there."""
    category = unicodedata.category(char)
    if char == "\t":
        return " ", 1
    if category in ("Cc", "Cs", "Zl", "Zp") or char in _BIDI:
        return "\N{REPLACEMENT CHARACTER}", 1
    if category in ("Mn", "Me", "Cf"):
        return char, 0
    return char, 2 if unicodedata.east_asian_width(char) in "WF" else 1


def point(text: str, span: tuple[int, int]) -> tuple[str, str]:
    """The line of ``text`` in which ``span`` starts, and carets below its part of that line.

    A tab is shown as one blank, wide characters count for two columns and combining ones for none, what cannot be
    printed is replaced, and a very long line is cut around the place.

    >>> point("ab cd", (3, 5))
    ('ab cd', '   ^^')
    """
    start = min(max(span[0], 0), len(text))
    first = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
    ends = [end for end in (text.find("\n", start), text.find("\r", start)) if end >= 0]
    last = min(ends, default=len(text))
    stop = min(max(span[1], start), last)
    prefix = suffix = ""
    if last - first > _MAX_LINE:
        if start - first > _MAX_LINE // 2:
            first, prefix = start - _MAX_LINE // 3, "…"
        if last - first > _MAX_LINE:
            last, suffix = first + _MAX_LINE, "…"
        stop = min(stop, last)
    shown = [_show(char) for char in text[first:last]]
    before = len(prefix) + sum(width for _, width in shown[: start - first])
    under = sum(width for _, width in shown[start - first : stop - first])
    return prefix + "".join(char for char, _ in shown) + suffix, " " * before + "^" * max(under, 1)


def quote(word: str) -> str:
    """A word of the user's in back quotes, cut where it is very long."""
    return f"`{word if len(word) <= 60 else word[:57] + '…'}`"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` probably means: the same in another case, else a near match."""
    from difflib import get_close_matches

    by_folded = {candidate.casefold(): candidate for candidate in known}
    folded = word[:200].casefold()
    if folded in by_folded:
        return by_folded[folded]
    matches = get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def known_hint(word: str, known: Iterable[str], tail: str = "") -> str:
    """Two lines of a hint: the known words, and the one that was probably meant."""
    words = sorted(set(known))
    match = nearest(word, words)
    advice = " ".join(part for part in (f"did you mean {quote(match)}?" if match else "", tail) if part)
    listing = f"known: {' '.join(words)}" if words else ""
    return "\n".join(line for line in (listing, advice) if line)
