"""Places of slots in an instruction, and which slot another one belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ofa_instruction.attributes import Report
from ofa_instruction.errors import ErrorCode, known_hint, quote
from ofa_instruction.plans import Side
from ofa_instruction.syntax import Attribute, Contrast, Instruction, Node, Repeat, Slot, Text


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slot stands. ``path`` numbers the repeats around it, outermost first."""

    slot: Slot
    index: int
    side: Side
    path: tuple[int, ...]
    in_contrast: bool


def places_of(instruction: Instruction) -> tuple[Place, ...]:
    """The place of every slot, in reading order."""
    places: list[Place] = []
    repeats = 0

    def walk(nodes: tuple[Node, ...], side: Side, path: tuple[int, ...], in_contrast: bool) -> None:
        nonlocal repeats
        for node in nodes:
            match node:
                case Slot():
                    places.append(Place(node, len(places), side, path, in_contrast))
                case Repeat(body=body):
                    repeats += 1
                    walk(body, side, (*path, repeats), in_contrast)
                case Contrast(members=members):
                    walk(members, side, path, True)
                case Text():
                    pass

    walk(instruction.source, "source", (), False)
    walk(instruction.target, "target", (), False)
    return tuple(places)


def check_columns(places: Sequence[Place], report: Report) -> None:
    """A column is a list inside a repeat and a value outside: it cannot be both."""
    first: dict[str, Place] = {}
    for place in places:
        other = first.setdefault(place.slot.name, place)
        if len(other.path) != len(place.path):
            message = f"column {quote(place.slot.name)} is used both inside a repeat, as a list, and outside of it"
            hint = "Give the two slots different names."
            report.fail(ErrorCode.COLUMN, message, place.slot.name_span, hint)


def find_reference(
    place: Place,
    places: Sequence[Place],
    refers_to: Sequence[str],
    attribute: Attribute | None,
    report: Report,
    *,
    optional: bool = False,
) -> int | None:
    """Index of the slot that ``place`` belongs to, None for a modality that stands alone, or for an ``optional`` one that is.

    ``of=NAME`` names it; else it is the only slot of a fitting modality, else the nearest one before.
    A slot in a repeat is seen only from inside that repeat. What may stand alone (``optional``) belongs to a source slot, and
    only as an answer.
    """
    slot = place.slot
    if optional and place.side == "source" and attribute is None:
        return None
    if not refers_to:
        if attribute is not None:
            report.fail(ErrorCode.MISFIT, f"{quote('of')} says nothing: {slot.modality} stands alone", attribute.key_span)
        return None
    seen = [
        other
        for other in places
        if other.slot.modality in refers_to and other.index != place.index and place.path[: len(other.path)] == other.path
    ]
    if optional:
        seen = [other for other in seen if other.side == "source"]
    what = " or ".join(refers_to)
    if attribute is not None:
        name = report.word(attribute)
        fitting = [other for other in seen if other.slot.name == name]
        if not fitting:
            hint = known_hint(name, (other.slot.name for other in seen)) or f"No {what} slot can be seen from here."
            report.fail(ErrorCode.REFERENCE, f"no {what} slot is named {quote(name)}", attribute.value_span, hint)
        seen = fitting
    if not seen:
        if optional:
            return None
        message = f"{slot.modality} belongs to {what}, and there is none"
        report.fail(ErrorCode.REFERENCE, message, slot.modality_span, f"Add a slot such as `[{refers_to[0]}:name]`.")
    before = [other for other in seen if other.index < place.index]
    if not before and len({other.slot.name for other in seen}) > 1:
        message = f"which {what} does {slot.modality} belong to? There are {len(seen)}, none before it"
        hint = "Say it: " + " or ".join(f"`of={other.slot.name}`" for other in seen if other.slot.is_named) + "."
        report.fail(ErrorCode.REFERENCE, message, slot.modality_span, hint)
    return before[-1].index if before else seen[0].index
