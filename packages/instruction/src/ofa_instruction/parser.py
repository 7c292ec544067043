"""The parser: text to syntax tree, in one pass and without recursion.

    [IMAGE:img] what does the image describe? -> [TEXT:cap]          slots and text on two sides
    [IMAGE:img] what are the objects? -> ([BOX] [TEXT])*             a repeat; [[BOX] [TEXT]]* is read too
    [IMAGE:img|TEXT:cap] ->                                          a contrast; [[IMAGE:img]|[TEXT:cap]] too
    one wording -> [TEXT:a] ||| another wording -> [TEXT:a]          alternatives: parse_template

Nodes of a side are collected in one flat list. An opening parenthesis or a group's bracket puts a mark on a stack; when
it turns out to be a repeat or a contrast, everything after the mark becomes its body, and when it does not (a
parenthesis without ``)*``) the mark is dropped and the characters stay text. So a piece is moved at most once, and
the number of steps is linear in the length of the text; ``count_steps`` says how many there were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from ofa_instruction.errors import ErrorCode, Span, known_hint, quote
from ofa_instruction.lexer import Kind, Lexer, Token
from ofa_instruction.syntax import MODALITIES, MODALITY_ALIASES, Attribute, Contrast, Instruction, Node, Repeat, Slot, Text

if TYPE_CHECKING:
    from ofa_instruction.catalog import Catalog

MAX_NESTING = 16
_LITERAL = r"To write a literal bracket use `\[`."


def parse(text: str, *, catalog: Catalog | None = None) -> Instruction:
    """Read one instruction.

    >>> instruction = parse("[IMAGE:img] what does the image describe? -> [TEXT:cap]")
    >>> [slot.modality for slot in instruction.slots]
    ['IMAGE', 'TEXT']

    ``catalog`` says which modalities exist beside the nine built-in ones; without it the installed plugins are asked,
    and only when a name is not built in. Raises :class:`InstructionError`.
    """
    return _Parser(text, catalog).run(one=True)[0]


def parse_template(text: str, *, catalog: Catalog | None = None) -> tuple[Instruction, ...]:
    """Read alternatives separated by ``|||``; one instruction alone is a template too.

    >>> [str(instruction) for instruction in parse_template("a [TEXT:x] -> [TEXT:y] ||| [TEXT:x] b -> [TEXT:y]")]
    ['a [TEXT:x] -> [TEXT:y]', '[TEXT:x] b -> [TEXT:y]']
    """
    return _Parser(text, catalog).run(one=False)


def count_steps(text: str) -> int:
    """How many steps lexer and parser took over ``text``, which must be a template that parses."""
    parser = _Parser(text, None)
    parser.run(one=False)
    return parser.steps + parser.lexer.steps


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a text, not yet joined with its neighbours."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class _Bar:
    """A bar between the slots of a contrast."""

    span: Span


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where something opened: its place in the list of nodes and in the text."""

    is_bracket: bool
    index: int
    place: int


_Item: TypeAlias = Node | _Piece | _Bar


def _height(nodes: tuple[Node, ...]) -> int:
    return max((1 + _height(node.body) for node in nodes if isinstance(node, Repeat)), default=0)


class _Parser:
    def __init__(self, text: str, catalog: Catalog | None) -> None:
        self.text = text
        self.catalog = catalog
        self.lexer = Lexer(text)
        self.steps = 0
        self.start_alternative(0)

    def start_alternative(self, place: int) -> None:
        """Forget the instruction read so far; the next one starts at ``place``."""
        self.place = place
        self.items: list[_Item] = []
        self.marks: list[_Mark] = []
        self.brackets = 0
        self.num_slots = 0
        self.source: tuple[Node, ...] | None = None

    def run(self, *, one: bool) -> tuple[Instruction, ...]:
        """Read the whole text."""
        done: list[Instruction] = []
        while True:
            token = self.lexer.sentence_token()
            self.steps += 1
            match token.kind:
                case Kind.END:
                    return (*done, self.finish(token.span.start))
                case Kind.BARS if not self.brackets and len(token.value) >= 3:
                    self.check_bars(token, one=one)
                    done.append(self.finish(token.span.start))
                    self.start_alternative(token.span.stop)
                case _:
                    self.feed(token)

    def feed(self, token: Token) -> None:
        """Take one token of a sentence."""
        match token.kind:
            case Kind.OPEN:
                self.open(token)
            case Kind.CLOSE:
                self.close_group(token)
            case Kind.LEFT_PAREN:
                self.marks.append(_Mark(False, len(self.items), token.span.start))
                self.items.append(_Piece(token.value, token.span))
            case Kind.RIGHT_PAREN:
                if self.marks and not self.marks[-1].is_bracket:
                    self.marks.pop()
                self.items.append(_Piece(token.value, token.span))
            case Kind.END_REPEAT:
                self.close_parenthesis(token)
            case Kind.ARROW:
                self.arrow(token)
            case Kind.BARS if self.brackets:
                self.bar(token)
            case _:
                self.items.append(_Piece(token.value, token.span))

    def arrow(self, token: Token) -> None:
        """End the source side."""
        start, stop = token.span
        if self.brackets:
            self.fail_unclosed()
        if self.source is not None:
            hint = r"An instruction has one arrow. To write a literal one use `\->`."
            self.lexer.fail(ErrorCode.SECOND_ARROW, "a second `->`", start, stop, hint)
        self.source = self.join(self.items)
        self.items, self.marks = [], []

    def finish(self, end: int) -> Instruction:
        """The instruction that ends at ``end``."""
        if self.brackets:
            self.fail_unclosed()
        if self.source is None:
            hint = "Write `source -> target`; either side may be empty."
            self.lexer.fail(ErrorCode.NO_ARROW, "no `->` between source and target", end, end, hint)
        if not self.num_slots:
            inner = self.text[self.place : end]
            start = self.place + len(inner) - len(inner.lstrip())
            hint = "Write a slot for each value, such as `[TEXT:answer]`."
            self.lexer.fail(ErrorCode.NO_SLOT, "no slot at all", start, self.place + len(inner.rstrip()), hint)
        return Instruction(self.source, self.join(self.items), self.text)

    def check_bars(self, token: Token, *, one: bool) -> None:
        start, stop = token.span
        if len(token.value) > 3:
            hint = r"Alternatives are separated by `|||`. To write a literal bar use `\|`."
            self.lexer.fail(ErrorCode.BARS, f"{len(token.value)} bars in a row", start, stop, hint)
        if one:
            hint = "Read alternatives with `parse_template`."
            self.lexer.fail(ErrorCode.BARS, "alternatives, where one instruction is expected", start, stop, hint)

    def bar(self, token: Token) -> None:
        """A bar inside brackets: between the slots of a contrast, or out of place."""
        start, stop = token.span
        if len(token.value) > 1 or not self.marks[-1].is_bracket:
            hint = r"A contrast is written `[A|B]`. To write a literal bar use `\|`."
            self.lexer.fail(ErrorCode.BARS, "bars out of place inside brackets", start, stop, hint)
        self.items.append(_Bar(token.span))

    # Groups: repeats and contrasts

    def open(self, token: Token) -> None:
        """After a ``[``: a slot, a contrast of bodies, or a group that starts with a slot."""
        if not self.lexer.opens_group():
            self.items.append(self.slot_or_contrast(token.span.start))
            return
        start = token.span.start
        previous = self.marks[-1] if self.marks else None
        if previous and previous.is_bracket and not any(map(self.is_solid, self.items[previous.index : previous.index + 2])):
            self.fail_group(start, "a bracketed repeat starts with a slot")
        self.brackets += 1
        if self.brackets > MAX_NESTING:
            self.lexer.fail(ErrorCode.NESTING, f"brackets nested more than {MAX_NESTING} deep", start, start + 1)
        self.marks.append(_Mark(True, len(self.items), start))

    @staticmethod
    def is_solid(item: _Item) -> bool:
        """Whether an item is more than blanks."""
        return not (isinstance(item, _Piece) and (not item.value or item.value.isspace()))

    def fail_group(self, start: int, message: str) -> NoReturn:
        hint = "A repeat is `([BOX] [TEXT])*` or `[[BOX] [TEXT]]*`, a contrast `[IMAGE|TEXT]`.\n" + _LITERAL
        self.lexer.fail(ErrorCode.REPEAT, message, start, start + 1, hint)

    def close_group(self, token: Token) -> None:
        """At a ``]`` that closes no slot."""
        if not self.brackets:
            hint = r"To write a literal bracket use `\]`."
            self.lexer.fail(ErrorCode.UNMATCHED, "`]` without its `[`", *token.span, hint)
        while not (mark := self.marks.pop()).is_bracket:
            self.steps += 1
        self.brackets -= 1
        items = [item for item in self.items[mark.index :] if self.is_solid(item)]
        self.steps += len(items)
        starred = self.lexer.peek() == "*"
        if not starred or any(isinstance(item, _Bar) for item in items):
            contrast = self.contrast_of(items, mark.place, token.span.stop)
            self.refuse_star("a contrast")
            del self.items[mark.index :]
            self.items.append(contrast)
            return
        if not isinstance(items[0], Slot):
            self.fail_group(mark.place, "a bracketed repeat starts with a slot")
        self.lexer.position += 1
        self.end_repeat(mark, mark.index, token.span.stop + 1)

    def contrast_of(self, items: list[_Item], start: int, stop: int) -> Contrast:
        """The contrast ``[[A]|[B]]``: slots and bars in turn."""
        slots = [item for item in items[::2] if isinstance(item, Slot)]
        bars = [item for item in items[1::2] if isinstance(item, _Bar)]
        if not any(isinstance(item, _Bar) for item in items):
            self.fail_group(start, "brackets around slots that are neither a repeat nor a contrast")
        if len(slots) + len(bars) != len(items) or len(slots) != len(bars) + 1:
            hint = r"Write `[[A]|[B]]` or `[A|B]`, and a literal bar as `\|`."
            self.lexer.fail(ErrorCode.CONTRAST, "a contrast is slots with one bar between each two", start, stop, hint)
        return Contrast(tuple(slots), Span(start, stop))

    def close_parenthesis(self, token: Token) -> None:
        """At a ``)*``."""
        if not self.marks or self.marks[-1].is_bracket:
            hint = r"To write it literally use `\)*`."
            self.lexer.fail(ErrorCode.UNMATCHED, "`)*` without its `(`", *token.span, hint)
        mark = self.marks.pop()
        self.end_repeat(mark, mark.index + 1, token.span.stop)

    def end_repeat(self, mark: _Mark, first: int, stop: int) -> None:
        """Make the nodes from ``first`` on the body of a repeat."""
        body = self.join(self.items[first:])
        span = Span(mark.place, stop)
        if all(isinstance(node, Text) for node in body):
            self.lexer.fail(ErrorCode.REPEAT, "a repeat without a slot", *span, r"To write it literally use `\)*`.")
        if _height(body) >= MAX_NESTING:
            self.lexer.fail(ErrorCode.NESTING, f"repeats nested more than {MAX_NESTING} deep", *span)
        del self.items[mark.index :]
        self.items.append(Repeat(body, span))

    def join(self, items: list[_Item]) -> tuple[Node, ...]:
        """Nodes with neighbouring pieces of text joined and stripped; blank-only ones are dropped."""
        nodes: list[Node] = []
        pieces: list[_Piece] = []
        for item in [*items, None]:
            self.steps += 1
            if isinstance(item, _Piece):
                pieces.append(item)
                continue
            whole = "".join(piece.value for piece in pieces)
            if text := whole.strip():
                start = pieces[0].span.start + len(whole) - len(whole.lstrip())
                stop = pieces[-1].span.stop - len(whole) + len(whole.rstrip())
                nodes.append(Text(text, Span(start, stop)))
            pieces.clear()
            if item is not None and not isinstance(item, _Bar):
                nodes.append(item)
        return tuple(nodes)

    # Slots

    def next(self, *, split_colon: bool = False) -> Token:
        """The next token inside a slot."""
        self.steps += 1
        return self.lexer.slot_token(split_colon=split_colon)

    def slot_or_contrast(self, start: int) -> Slot | Contrast:
        """Bodies up to the closing bracket: one is a slot, more are a contrast."""
        members: list[Slot] = []
        while True:
            begin = self.lexer.position if members else start
            body, end = self.slot_body(start)
            stop = end.span.stop if end.kind is Kind.CLOSE and not members else end.span.start
            members.append(Slot(body.modality, body.name, body.attributes, Span(begin, stop), body.modality_span, body.name_span))
            if end.kind is Kind.CLOSE:
                break
        self.refuse_star("a contrast" if len(members) > 1 else "a slot")
        return members[0] if len(members) == 1 else Contrast(tuple(members), Span(start, end.span.stop))

    def refuse_star(self, what: str) -> None:
        place = self.lexer.position
        if self.lexer.peek() == "*":
            hint = r"Write `([BOX])*` for a repeat, or `\*` for a literal star."
            self.lexer.fail(ErrorCode.STAR, f"`*` right after {what}", place, place + 1, hint)

    def slot_body(self, start: int) -> tuple[Slot, Token]:
        """One body and the ``]`` or ``|`` after it; ``start`` is the place of the opening bracket."""
        token = self.expect_word(self.next(split_colon=True), "modality", start)
        modality, modality_span = self.modality(token), token.span
        name, name_span = str(self.num_slots), modality_span
        self.num_slots += 1
        token = self.next(split_colon=True)
        if token.kind is Kind.COLON:
            token = self.expect_word(self.next(split_colon=True), "name", start)
            name, name_span = self.identifier(token, "column name"), token.span
            token = self.next(split_colon=True)
        attributes: dict[str, Attribute] = {}
        while token.kind is Kind.COMMA:
            attribute, token = self.attribute(start)
            if attribute.key in attributes:
                self.lexer.fail(ErrorCode.REPEATED_KEY, f"{quote(attribute.key)} is given twice", *attribute.key_span)
            attributes[attribute.key] = attribute
        if token.kind not in (Kind.CLOSE, Kind.BARS):
            self.unexpected(token, start)
        return Slot(modality, name, tuple(attributes.values()), Span(start, start), modality_span, name_span), token

    def attribute(self, start: int) -> tuple[Attribute, Token]:
        """``key`` or ``key=value``, and the token after it."""
        token = self.expect_word(self.next(), "attribute", start)
        key, key_span = self.identifier(token, "attribute"), token.span
        token = self.next()
        if token.kind is not Kind.EQUALS:
            return Attribute(key, None, key_span, key_span), token
        token = self.next()
        if token.kind is not Kind.STRING:
            token = self.expect_word(token, "value", start)
        elif not token.value:
            self.lexer.fail(ErrorCode.EMPTY, f"an empty value for {quote(key)}", *token.span)
        return Attribute(key, token.value, key_span, token.span), self.next()

    def expect_word(self, token: Token, what: str, start: int) -> Token:
        """The token, if it is a word; else say what is missing or wrong."""
        if token.kind in (Kind.COLON, Kind.COMMA, Kind.EQUALS, Kind.CLOSE, Kind.BARS):
            self.lexer.fail(ErrorCode.EMPTY, f"an empty {what}", *token.span, self.slot_hint())
        if token.kind is not Kind.WORD:
            self.unexpected(token, start)
        return token

    @staticmethod
    def slot_hint() -> str:
        return "A slot is written `[MODALITY:name,flag,key=value]`.\n" + _LITERAL

    def unexpected(self, token: Token, start: int) -> NoReturn:
        """Raise what is wrong with a token that no slot has there."""
        if token.kind in (Kind.END, Kind.OPEN) or (token.kind is Kind.BLANK and not self.closes_before_next()):
            self.fail_unclosed(start)
        if token.kind is Kind.BLANK:
            hint = "Write it without blanks, or put the value in double quotes.\n" + _LITERAL
            self.lexer.fail(ErrorCode.BLANK, "a blank inside a slot", *token.span, hint)
        self.lexer.fail(ErrorCode.UNEXPECTED, f"unexpected {quote(token.value or '')} in a slot", *token.span, self.slot_hint())

    def closes_before_next(self) -> bool:
        """Whether a ``]`` comes before anything that cannot be in this slot."""
        rest = self.lexer.position
        ends = [place for place in (self.text.find("[", rest), self.text.find("->", rest)) if place >= 0]
        return self.text.find("]", rest, min(ends, default=len(self.text))) >= 0

    def fail_unclosed(self, start: int | None = None) -> NoReturn:
        if start is None:
            start = next(mark.place for mark in reversed(self.marks) if mark.is_bracket)
        self.lexer.fail(ErrorCode.UNCLOSED, "`[` is never closed", start, start + 1, _LITERAL)

    def identifier(self, token: Token, what: str) -> str:
        if not token.value.isidentifier():
            message = f"{quote(token.value)} is not an identifier, as {'an' if what[0] in 'aeiou' else 'a'} {what} must be"
            hint = "Letters, digits and `_`, not a digit first."
            self.lexer.fail(ErrorCode.NOT_IDENTIFIER, message, *token.span, hint)
        return token.value

    def modality(self, token: Token) -> str:
        """The modality's own name for a name or alias."""
        name = MODALITY_ALIASES.get(token.value, token.value)
        if name in MODALITIES:
            return name
        if self.catalog is None:
            from ofa_instruction.catalog import default_catalog

            self.catalog = default_catalog()
        installed = self.catalog.modality_names()
        if name not in installed:
            hint = known_hint(token.value, {*MODALITIES, *installed.values()}, _LITERAL)
            self.lexer.fail(ErrorCode.UNKNOWN_MODALITY, f"unknown modality {quote(token.value)}", *token.span, hint)
        return installed[name]
