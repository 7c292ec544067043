"""The lexer: characters to tokens, one at a time, each character looked at a bounded number of times.

It has two modes, because a bracket changes what a character means. :meth:`Lexer.sentence_token` reads what stands
between slots, :meth:`Lexer.slot_token` what stands inside one. The parser says which. ``steps`` counts characters
looked at, so that a test can hold the whole reader to a linear number of them.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple, NoReturn

from ofa_instruction.errors import ErrorCode, InstructionError, Span, quote
from ofa_instruction.syntax import BARE_STOPS


class Kind(Enum):
    """What a token is."""

    TEXT = auto()
    OPEN = auto()
    CLOSE = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    END_REPEAT = auto()
    """``)*``"""
    STAR = auto()
    BARS = auto()
    ARROW = auto()
    WORD = auto()
    STRING = auto()
    COLON = auto()
    COMMA = auto()
    EQUALS = auto()
    BLANK = auto()
    END = auto()


class Token(NamedTuple):
    """A piece of the text: its kind, its value (escapes resolved) and its place."""

    kind: Kind
    value: str
    span: Span


_SENTENCE = {"[": Kind.OPEN, "]": Kind.CLOSE, "(": Kind.LEFT_PAREN, ")": Kind.RIGHT_PAREN, "*": Kind.STAR}
_SLOT = {"[": Kind.OPEN, "]": Kind.CLOSE, ",": Kind.COMMA, "=": Kind.EQUALS, "|": Kind.BARS}
_ESCAPES = frozenset("[]()|*\\")


def _is_forbidden(char: str) -> bool:
    code = ord(char)
    return (code < 0x20 and char not in "\t\n\r") or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000


class Lexer:
    """Reads ``text`` from ``position`` on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.steps = len(text)
        for place, char in enumerate(text):
            if _is_forbidden(char):
                self.fail(ErrorCode.CHARACTER, f"character U+{ord(char):04X} cannot stand in an instruction", place, place + 1)

    def fail(self, code: ErrorCode, message: str, start: int, stop: int, hint: str = "") -> NoReturn:
        """Raise an error that points into the text."""
        raise InstructionError(code, message, self.text, Span(start, stop), hint)

    def peek(self) -> str:
        """The next character, or an empty string at the end."""
        return self.text[self.position : self.position + 1]

    def opens_group(self) -> bool:
        """Whether, after a ``[``, blanks aside, another one follows: a repeat or a contrast, not a slot."""
        place = self.position
        while place < len(self.text) and self.text[place].isspace():
            place += 1
        self.steps += place - self.position + 1
        return self.text.startswith("[", place)

    def sentence_token(self) -> Token:
        """The next token outside a slot."""
        start = self.position
        char = self.peek()
        self.steps += 1
        if not char:
            return Token(Kind.END, "", Span(start, start))
        if char == "|":
            return self._run_of_bars()
        for spelling, kind in ((")*", Kind.END_REPEAT), ("->", Kind.ARROW)):
            if self.text.startswith(spelling, start):
                return self._take(kind, 2)
        if char in _SENTENCE:
            return self._take(_SENTENCE[char], 1)
        return self._run_of_text()

    def slot_token(self, *, split_colon: bool) -> Token:
        """The next token inside a slot; ``:`` separates only where ``split_colon``, before the attributes."""
        start = self.position
        char = self.peek()
        self.steps += 1
        if not char:
            return Token(Kind.END, "", Span(start, start))
        if char in _SLOT:
            return self._take(_SLOT[char], 1)
        if char == '"':
            return self._string()
        if char.isspace():
            return self._take(Kind.BLANK, 1)
        if char == "\\":
            self.fail(ErrorCode.ESCAPE, "a backslash inside a slot", start, start + 1, "Write the value in double quotes.")
        if char == ":" and split_colon:
            return self._take(Kind.COLON, 1)
        while char and not char.isspace() and char not in BARE_STOPS and not (char == ":" and split_colon):
            self.position += 1
            self.steps += 1
            char = self.peek()
        return Token(Kind.WORD, self.text[start : self.position], Span(start, self.position))

    def _take(self, kind: Kind, width: int) -> Token:
        start = self.position
        self.position += width
        return Token(kind, self.text[start : self.position], Span(start, self.position))

    def _run_of_bars(self) -> Token:
        start = self.position
        while self.peek() == "|":
            self.position += 1
            self.steps += 1
        return Token(Kind.BARS, self.text[start : self.position], Span(start, self.position))

    def _run_of_text(self) -> Token:
        start = self.position
        parts: list[str] = []
        while char := self.peek():
            self.steps += 1
            if char == "\\":
                parts.append(self._escape())
            elif char == "|" or char in _SENTENCE or self.text.startswith("->", self.position):
                break
            else:
                parts.append(char)
                self.position += 1
        return Token(Kind.TEXT, "".join(parts), Span(start, self.position))

    def _escape(self) -> str:
        start = self.position
        if self.text.startswith("->", start + 1):
            self.position += 3
            return "->"
        escaped = self.text[start + 1 : start + 2]
        if escaped not in _ESCAPES:
            hint = r"Escapes are `\[` `\]` `\(` `\)` `\|` `\*` `\\` and `\->`."
            what = f"unknown escape {quote(chr(92) + escaped)}" if escaped.strip() else "a backslash that escapes nothing"
            self.fail(ErrorCode.ESCAPE, what, start, start + 1 + len(escaped.strip()), hint)
        self.position += 2
        return escaped

    def _string(self) -> Token:
        start = self.position
        parts: list[str] = []
        self.position += 1
        while (char := self.peek()) != '"':
            self.steps += 1
            if not char:
                self.fail(ErrorCode.QUOTE, "a quote that is never closed", start, start + 1)
            if char == "\\":
                self.position += 1
                char = self.peek()
                if not char or char not in '"\\':
                    place = self.position - 1
                    hint = r"Inside quotes only `\"` and `\\` are escapes."
                    self.fail(ErrorCode.QUOTE, "unknown escape inside quotes", place, place + 1 + len(char), hint)
            parts.append(char)
            self.position += 1
        self.position += 1
        return Token(Kind.STRING, "".join(parts), Span(start, self.position))
