"""Which columns of a task a transform reaches, and whether it may. No numpy here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from ofa_instruction.plans import ContrastPlan, NodePlan, RepeatPlan, SlotPlan, TaskPlan, TextPlan

from ofa_trainer.row_transforms.plans import Crop, Mirror
from ofa_trainer.row_transforms.words import WordSwap

_SIDELESS = frozenset({"IMAGE", "BOX", "AUDIO", "TEXT", "CATEGORY"})
"""Modalities that a mirror knows what to do with: it turns them around, exchanges their words, or leaves them as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureColumns:
    """A column of pictures, how many repeats stand around it, and the columns of its boxes."""

    image: str
    depth: int
    boxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a transform changes. pictures: each with its boxes. texts: columns whose words are exchanged."""

    plan: Crop | Mirror
    pictures: tuple[PictureColumns, ...]
    texts: tuple[str, ...] = ()


def reach_of(plan: Crop | Mirror, task: TaskPlan) -> Reach:
    """The columns that a transform changes, in all alternatives of a task. Raises ValueError where it cannot or may not."""
    pictures = _pictures(task)
    if not pictures:
        raise ValueError(f"task `{task.name}`: `{plan.kind}` changes pictures, and the instruction has none")
    match plan:
        case Crop():
            return Reach(plan=plan, pictures=(_chosen(plan, pictures, task),))
        case Mirror():
            return Reach(plan=plan, pictures=tuple(pictures.values()), texts=_texts(plan, task))
        case _:
            assert_never(plan)


def _chosen(plan: Crop, pictures: dict[str, PictureColumns], task: TaskPlan) -> PictureColumns:
    known = ", ".join(f"`{name}`" for name in pictures)
    if plan.image is None and len(pictures) > 1:
        raise ValueError(f"task `{task.name}`: `crop` changes one picture, and there are {known}; say which with `image`")
    if plan.image is not None and plan.image not in pictures:
        raise ValueError(f"task `{task.name}`: `crop` names `{plan.image}`, and the columns with pictures are {known}")
    return pictures[plan.image or next(iter(pictures))]


def _pictures(task: TaskPlan) -> dict[str, PictureColumns]:
    depths: dict[str, int] = {}
    boxes: dict[str, dict[str, None]] = {}
    for slots in _alternatives(task):
        by_index = {slot.index: slot for slot, _ in slots}
        for slot, depth in slots:
            if slot.modality == "IMAGE":
                depths.setdefault(slot.column, depth)
            if slot.modality == "BOX" and slot.refers_to is not None:
                boxes.setdefault(by_index[slot.refers_to].column, {})[slot.column] = None
    return {name: PictureColumns(image=name, depth=depth, boxes=tuple(boxes.get(name, ()))) for name, depth in depths.items()}


def _texts(plan: Mirror, task: TaskPlan) -> tuple[str, ...]:
    columns: dict[str, str] = {}
    for slots in _alternatives(task):
        columns.update((slot.column, slot.modality) for slot, _ in slots)
    odd = [name for name, modality in columns.items() if modality not in _SIDELESS and name not in (plan.texts or ())]
    if odd and (plan.swap or columns[odd[0]] not in ("STRUCT", "PHONE")):
        hint = "; name the columns to exchange words in with `texts`" if columns[odd[0]] in ("STRUCT", "PHONE") else ""
        raise ValueError(f"task `{task.name}`: `mirror` does not reach [{columns[odd[0]]}:{odd[0]}]{hint}")
    if plan.sides is not None:
        return ()
    for name in plan.texts or ():
        if columns.get(name) not in ("TEXT", "CATEGORY", "STRUCT", "PHONE"):
            known = ", ".join(f"`{known}`" for known, modality in columns.items() if modality in ("TEXT", "CATEGORY"))
            raise ValueError(f"task `{task.name}`: `mirror` names `{name}`, and the columns with texts are {known or 'none'}")
    swap = WordSwap(plan.swap)
    for text in _fixed_texts(task):
        if (word := swap.find(text)) is not None:
            raise ValueError(
                f"task `{task.name}`: the instruction itself says `{word}` ({text!r}), and its words are the same in every row;"
                " a mirrored picture would not fit them"
            )
    if plan.texts is not None:
        return plan.texts
    return tuple(name for name, modality in columns.items() if modality in ("TEXT", "CATEGORY"))


def _alternatives(task: TaskPlan) -> Iterator[list[tuple[SlotPlan, int]]]:
    """The slots of each alternative, each with the number of repeats around it."""
    for plan in task.instructions:
        yield list(_below((*plan.source, *plan.target), 0))


def _below(nodes: Sequence[NodePlan], depth: int) -> Iterator[tuple[SlotPlan, int]]:
    for node in nodes:
        match node:
            case SlotPlan():
                yield node, depth
            case RepeatPlan(body=body):
                yield from _below(body, depth + 1)
            case ContrastPlan(members=members):
                yield from ((member, depth) for member in members)
            case TextPlan():
                pass


def _fixed_texts(task: TaskPlan) -> Iterator[str]:
    def below(nodes: Sequence[NodePlan]) -> Iterator[str]:
        for node in nodes:
            match node:
                case TextPlan(text=text):
                    yield text
                case RepeatPlan(body=body):
                    yield from below(body)
                case SlotPlan() | ContrastPlan():
                    pass

    for plan in task.instructions:
        yield from below((*plan.source, *plan.target))
