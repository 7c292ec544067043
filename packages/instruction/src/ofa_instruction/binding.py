"""Binding: the values of one row, put at the slots of an instruction plan.

A repeat takes equally long list columns, one item of each per round; nested repeats take lists of lists.
"""

from __future__ import annotations

import ast
import io
import json
import math
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import TypeAlias, cast

from ofa_instruction.errors import BindError, nearest, quote
from ofa_instruction.plans import ContrastPlan, InstructionPlan, NodePlan, RepeatPlan, SlotPlan, TextPlan, walk_slots

_LONGEST_PYTHON_LIST = 1_000_000


@dataclass(frozen=True, slots=True)
class BoundText:
    """Fixed words."""

    plan: TextPlan


@dataclass(frozen=True, slots=True)
class BoundSlot:
    """A slot and its raw value; None where a target needs none."""

    plan: SlotPlan
    value: object


@dataclass(frozen=True, slots=True)
class BoundRepeat:
    """A repeat and its items, each the bound nodes of its body."""

    plan: RepeatPlan
    items: tuple[tuple[Bound, ...], ...]


@dataclass(frozen=True, slots=True)
class BoundContrast:
    """A contrast and its bound members."""

    plan: ContrastPlan
    members: tuple[BoundSlot, ...]


Bound: TypeAlias = BoundText | BoundSlot | BoundRepeat | BoundContrast


@dataclass(frozen=True, slots=True)
class BoundInstruction:
    """An instruction plan with the values of one row."""

    plan: InstructionPlan
    source: tuple[Bound, ...]
    target: tuple[Bound, ...]


def bind(plan: InstructionPlan, row: Mapping[str, object], *, with_targets: bool) -> BoundInstruction:
    """Put a row's values at the slots of a plan.

    A source slot whose column is there and holds nothing (:func:`is_empty`) is bound to None, unless it is ``required``.
    ``with_targets=False`` is inference: an answer needs no value (its slot is bound to None, a repeat of answers has no items)
    but takes one that the row has; source slots and ``no_loss`` slots need their columns all the same.
    Raises :class:`BindError` for a column that is missing, or empty where it must not be, or, in a repeat, no list or of another
    length.
    """
    binder = _Binder(row, with_targets)
    scope = {slot.column: _or_none(row[slot.column]) for slot in plan.slots if slot.column in row}
    return BoundInstruction(plan, binder.nodes(plan.source, scope), binder.nodes(plan.target, scope))


def is_empty(value: object) -> bool:
    """Whether a cell holds nothing: None, NaN, blanks, or a file of Hugging Face with neither bytes nor a path.

    >>> [is_empty(value) for value in (None, "", " \\t", float("nan"), 0, "0", [], False)]
    [True, True, True, True, False, False, False, False]
    """
    if isinstance(value, str):
        return not value or value.isspace()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # of pandas
        return True
    if isinstance(value, Real):
        return not isinstance(value, Integral) and math.isnan(value)  # a whole number may be too large for a float
    if isinstance(value, Mapping):
        return bool(value) and value.keys() <= {"bytes", "path"} and all(part is None for part in value.values())
    return False


def _or_none(value: object) -> object:
    return None if is_empty(value) else value


@dataclass(frozen=True, slots=True)
class _Binder:
    row: Mapping[str, object]
    with_targets: bool

    def nodes(self, nodes: Iterable[NodePlan], scope: Mapping[str, object]) -> tuple[Bound, ...]:
        """Bound nodes; ``scope`` holds the values that can be seen here, None for empty ones."""
        bound: list[Bound] = []
        for node in nodes:
            match node:
                case TextPlan():
                    bound.append(BoundText(node))
                case SlotPlan():
                    bound.append(self.slot(node, scope))
                case RepeatPlan():
                    bound.append(self.repeat(node, scope))
                case ContrastPlan(members=members):
                    bound.append(BoundContrast(node, tuple(self.slot(member, scope) for member in members)))
        return tuple(bound)

    def needs_value(self, slot: SlotPlan) -> bool:
        """Whether a row must have the slot's column."""
        return self.with_targets or slot.side == "source" or slot.no_loss

    def may_be_empty(self, slot: SlotPlan) -> bool:
        """Whether a row may have the slot's column without a value in it."""
        return (slot.side == "source" and not slot.required) or not self.needs_value(slot)

    def slot(self, slot: SlotPlan, scope: Mapping[str, object]) -> BoundSlot:
        if slot.column not in scope and self.needs_value(slot):
            raise self.missing(slot)
        value = scope.get(slot.column)
        if value is None and not self.may_be_empty(slot):
            raise self.empty(slot)
        return BoundSlot(slot, value)

    def repeat(self, repeat: RepeatPlan, scope: Mapping[str, object]) -> BoundRepeat:
        slots = {slot.column: slot for slot in walk_slots(repeat.body)}
        columns: dict[str, Sequence[object]] = {}
        nothing: dict[str, object] = {}
        for column, slot in slots.items():
            if column not in scope:
                if self.needs_value(slot):
                    raise self.missing(slot)
            elif scope[column] is not None:
                splits = slot in repeat.body and is_told_apart(slot)
                columns[column] = items_of(column, scope[column], splits=splits)
            elif self.may_be_empty(slot):
                nothing[column] = None
            else:
                raise self.empty(slot)
        items: list[tuple[Bound, ...]] = []
        for number in range(self.length(columns)):
            values = nothing | {column: _or_none(values[number]) for column, values in columns.items()}
            for column, value in values.items():
                if value is None and not self.may_be_empty(slots[column]):
                    raise BindError(f"column {quote(column)}: item {number} is empty", column)
            items.append(self.nodes(repeat.body, values))
        return BoundRepeat(repeat, tuple(items))

    def length(self, columns: Mapping[str, Sequence[object]]) -> int:
        """How many items the columns of a repeat have."""
        lengths = {column: len(items) for column, items in columns.items()}
        if len(set(lengths.values())) > 1:
            (first, wanted), *_ = lengths.items()
            column = next(column for column, length in lengths.items() if length != wanted)
            message = (
                f"columns of a repeat must be equally long: {quote(first)} has {wanted} items, {quote(column)} {lengths[column]}"
            )
            raise BindError(message, column)
        return next(iter(lengths.values()), 0)

    def empty(self, slot: SlotPlan) -> BindError:
        if slot.generator is not None:
            return BindError(f"column {quote(slot.column)} is empty: there is no answer to learn", slot.column, no_answer=True)
        why = "its slot is `required`" if slot.required else "what the answer begins with must be there"
        return BindError(f"column {quote(slot.column)} is empty, and {why}", slot.column)

    def missing(self, slot: SlotPlan) -> BindError:
        column = slot.column
        if column in self.row:
            return BindError(f"column {quote(column)} has an item without a value", column)
        names = [str(name) for name in self.row]
        match = nearest(column, names)
        has = f"the row has {' '.join(sorted(names)[:20]) or 'no columns'}"
        meant = f"; did you mean {quote(match)}?" if match else ""
        unnamed = f" ({quote(column)} is the place of an unnamed slot: give it a name)" if column.isdecimal() else ""
        return BindError(f"column {quote(column)} is missing{unnamed}: {has}{meant}", column)


def is_told_apart(slot: SlotPlan) -> bool:
    """Whether the items of a repeat of this slot can stand in one text, between semicolons: labels and boxes, not prose."""
    return slot.closed_set is not None or slot.modality in ("BOX", "CATEGORY")


def items_of(column: str, value: object, *, splits: bool = False) -> Sequence[object]:
    """The value of a column in a repeat as its items: a list, a tuple, or something that can be indexed like one (an array).

    The text of a list, as a cell of a CSV holds it, is read as JSON or as Python writes one. splits: another text is its items
    with semicolons between them, see :func:`is_told_apart`.
    Raises :class:`BindError` for anything else.

    >>> items_of("tags", '["a", "b"]'), items_of("tags", "a; b", splits=True)
    (['a', 'b'], ['a', 'b'])
    """
    if isinstance(value, str):
        value = _list_of_text(value)
    if isinstance(value, str) and splits and value.strip():
        return [part for item in value.split(";") if (part := item.strip())]
    if not isinstance(value, str | bytes | bytearray | Mapping) and hasattr(value, "__getitem__"):
        items = cast("Sequence[object]", value)
        try:
            len(items)
        except TypeError:
            pass
        else:
            return items
    kind = type(value).__name__
    hint = '; in a text file write ["a", "b"], and [] for none' if isinstance(value, str) else ""
    raise BindError(f"column {quote(column)} stands in a repeat and must be a list, not {kind}{hint}", column)


def _list_of_text(text: str) -> object:
    """The list that a text spells; the text itself where it spells none."""
    if text.strip()[:1] not in ("[", "("):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _python_list(text)
    return found if isinstance(found, list | tuple) else text


def _python_list(text: str) -> object:
    """A list as Python writes it; None: it is none, or NumPy's, whose texts without commas Python would join."""
    if len(text) > _LONGEST_PYTHON_LIST:
        return None
    try:
        kinds = [token.type for token in tokenize.generate_tokens(io.StringIO(text.strip()).readline)]
        if any(first == second == tokenize.STRING for first, second in pairwise(kinds)):
            return None
        return cast("object", ast.literal_eval(text.strip()))
    except (ValueError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError):
        return None
