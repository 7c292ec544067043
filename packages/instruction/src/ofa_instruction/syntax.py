"""The syntax tree of an instruction, and its canonical spelling.

All nodes are frozen, hashable dataclasses. A node remembers where it was read (its span), but spans take no part in
equality or hash: two instructions are equal if they say the same.

    Instruction(source, target)      each a tuple of
        Text(text)                   words, their escapes resolved
        Slot(modality, name, attributes)
        Repeat(body)                 zero or more items
        Contrast(members)            slots whose embeddings are aligned

``str`` of an instruction is canonical: ``parse(str(parse(x))) == parse(x)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ofa_instruction.errors import Span

NOWHERE = Span(0, 0)
"""The span of a node that was not read from a text."""

BARE_STOPS = frozenset(',[]|="\\')
"""What, beside blanks, cannot stand in a value without quotes."""

MODALITIES = ("TEXT", "IMAGE", "BOX", "AUDIO", "PHONE", "VIDEO", "MOTION", "STRUCT", "CATEGORY")
"""The built-in names, known whether or not the package that serves them is installed."""

MODALITY_ALIASES = {"BOUNDING_BOX": "BOX"}


@dataclass(frozen=True, slots=True)
class Text:
    """Words between slots, stripped, with escapes resolved: ``\\[`` is ``[`` here."""

    text: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Attribute:
    """``key`` (a flag, its value None) or ``key=value``; a value is always a string here."""

    key: str
    value: str | None = None
    key_span: Span = field(default=NOWHERE, compare=False, repr=False)
    value_span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        if self.value is None:
            return self.key
        if self.value and not any(char.isspace() or char in BARE_STOPS for char in self.value):
            return f"{self.key}={self.value}"
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.key}="{escaped}"'


@dataclass(frozen=True, slots=True)
class Slot:
    """``[MODALITY:name,key,key=value]``. A slot without a name is named by its index: ``"0"``, ``"1"`` …"""

    modality: str
    name: str
    attributes: tuple[Attribute, ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)
    modality_span: Span = field(default=NOWHERE, compare=False, repr=False)
    name_span: Span = field(default=NOWHERE, compare=False, repr=False)

    @property
    def is_named(self) -> bool:
        """Whether the name was given, not counted."""
        return not self.name.isdecimal()

    @property
    def label(self) -> str:
        """The slot without its attributes, for messages."""
        return f"[{self.modality}{f':{self.name}' if self.is_named else ''}]"

    @property
    def body(self) -> str:
        """The slot's spelling without its brackets."""
        name = f":{self.name}" if self.is_named else ""
        return ",".join([f"{self.modality}{name}", *map(str, self.attributes)])

    def __str__(self) -> str:
        return f"[{self.body}]"


@dataclass(frozen=True, slots=True)
class Contrast:
    """``[A|B]``: two or more slots whose embeddings are aligned."""

    members: tuple[Slot, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return f"[{'|'.join(member.body for member in self.members)}]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """``( … )*``: zero or more items of its body, which holds at least one slot."""

    body: tuple[Node, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __str__(self) -> str:
        return f"({_spell(self.body, inside_repeat=True)})*"


Node: TypeAlias = Text | Slot | Repeat | Contrast


def iter_slots(nodes: tuple[Node, ...]) -> Iterator[Slot]:
    """All slots below ``nodes`` in reading order."""
    for node in nodes:
        match node:
            case Slot():
                yield node
            case Repeat(body=inner) | Contrast(members=inner):
                yield from iter_slots(inner)
            case Text():
                pass


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: what the encoder reads, and what the decoder says."""

    source: tuple[Node, ...]
    target: tuple[Node, ...]
    text: str | None = field(default=None, compare=False, repr=False)
    """The text that the spans point into; None for an instruction built by hand."""

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All slots in reading order."""
        return (*iter_slots(self.source), *iter_slots(self.target))

    def __str__(self) -> str:
        parts = (_spell(self.source), "->", _spell(self.target))
        return " ".join(part for part in parts if part)


def _spell(nodes: tuple[Node, ...], *, inside_repeat: bool = False) -> str:
    """Nodes joined by one blank, with everything escaped that would read differently."""
    loose = _loose_parentheses(nodes) if inside_repeat else set()
    return " ".join(
        _escape(node.text, {place for index, place in loose if index == number}) if isinstance(node, Text) else str(node)
        for number, node in enumerate(nodes)
    )


def _loose_parentheses(nodes: tuple[Node, ...]) -> set[tuple[int, int]]:
    """Parentheses without a partner in the texts of a repeat's body, as (node, place).

    Unescaped they would pair with the parentheses of the repeat itself.
    """
    opened: list[tuple[int, int]] = []
    loose: set[tuple[int, int]] = set()
    for number, node in enumerate(nodes):
        if not isinstance(node, Text):
            continue
        for place, char in enumerate(node.text):
            if char == "(":
                opened.append((number, place))
            elif char == ")" and not node.text.startswith(")*", place):
                if opened:
                    opened.pop()
                else:
                    loose.add((number, place))
    return loose.union(opened)


def _escape(text: str, loose: set[int]) -> str:
    out: list[str] = []
    place = 0
    while place < len(text):
        char = text[place]
        width = 1
        if char == "|":
            while text.startswith("|", place + width):
                width += 1
            out.append("|" * width if width < 3 else "\\|" * width)
        elif char in "[]\\" or place in loose or text.startswith((")*", "->"), place):
            out.append("\\" + char)
        else:
            out.append(char)
        place += width
    return "".join(out)
