"""Which columns of a task a transform reaches, and whether it may. No numpy here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, assert_never

from ofa_instruction.binding import is_told_apart
from ofa_instruction.plans import ContrastPlan, NodePlan, RepeatPlan, SlotPlan, TaskPlan, TextPlan
from ofa_modalities.box.forms import BoxForm

from ofa_trainer.row_transforms.plans import Crop, Mirror
from ofa_trainer.row_transforms.words import WordSwap

_WORDLESS = frozenset({"IMAGE", "VIDEO", "MOTION", "BOX", "AUDIO"})
"""Modalities that a mirror turns around, or leaves as they are: they hold no words that tell sides."""
_WORDS = ("TEXT", "CATEGORY")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxColumn:
    """A column of boxes. depth: repeats around it inside of those around its picture. form: what its numbers mean."""

    depth: int
    form: BoxForm


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureColumns:
    """A column of pictures and how many repeats stand around it.

    boxes: the columns of its boxes.
    max_pixels: as its slots say it; None: they do not.
    """

    image: str
    depth: int
    boxes: Mapping[str, BoxColumn]
    max_pixels: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingColumn:
    """A column of clips or motions.

    up: the axis that points up in motions that do not say it. max_bytes, max_numbers: as its slots say them; None: they do not.
    """

    column: str
    modality: str
    depth: int
    up: Literal["y", "z"] = "y"
    max_bytes: int | None = None
    max_numbers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextColumn:
    """A column of texts. indexed: an int there is the number of a label, which has no words. splits: a text is several labels."""

    column: str
    depth: int
    indexed: bool
    splits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a transform changes. pictures: each with its boxes. moving: clips and motions. texts: their words ``swap`` changes."""

    plan: Crop | Mirror
    pictures: tuple[PictureColumns, ...] = ()
    moving: tuple[MovingColumn, ...] = ()
    texts: tuple[TextColumn, ...] = ()
    swap: WordSwap | None = None


def reach_of(plan: Crop | Mirror, task: TaskPlan) -> Reach:
    """The columns that a transform changes, in all alternatives of a task. Raises ValueError where it cannot or may not."""
    pictures = picture_columns(task)
    match plan:
        case Crop():
            if not pictures:
                raise ValueError(f"task `{task.name}`: `crop` changes pictures, and the instruction has none")
            return Reach(plan=plan, pictures=(_chosen(plan, pictures, task),))
        case Mirror():
            moving = _moving(task)
            if not pictures and not moving:
                raise ValueError(
                    f"task `{task.name}`: `mirror` changes pictures, clips and motions, and the instruction has none"
                )
            swap = WordSwap(plan.swap)
            texts = _texts(plan, task, swap)
            return Reach(plan=plan, pictures=tuple(pictures.values()), moving=moving, texts=texts, swap=swap)
        case _:
            assert_never(plan)


def _moving(task: TaskPlan) -> tuple[MovingColumn, ...]:
    found: dict[str, MovingColumn] = {}
    for slot, depth in chain.from_iterable(_alternatives(task)):
        if slot.modality not in ("VIDEO", "MOTION"):
            continue
        if slot.processor.options.get("mirror"):
            raise ValueError(f"task `{task.name}`: `mirror` of [{slot.modality}:{slot.column}] and the transform: leave one out")
        up: Literal["y", "z"] = "z" if slot.processor.options.get("up") == "z" else "y"
        moving = MovingColumn(
            column=slot.column,
            modality=slot.modality,
            depth=depth,
            up=up,
            max_bytes=_limit(task, slot.column, "max_bytes"),
            max_numbers=_limit(task, slot.column, "max_numbers"),
        )
        found.setdefault(slot.column, moving)
    return tuple(found.values())


def _limit(task: TaskPlan, column: str, option: str) -> int | None:
    """The widest limit of the slots that read a column: encoding holds each of them to its own."""
    slots = (slot for slot, _ in chain.from_iterable(_alternatives(task)) if slot.column == column)
    limits = [limit for slot in slots if isinstance(limit := slot.processor.options.get(option), int)]
    return max(limits, default=None)


def _chosen(plan: Crop, pictures: dict[str, PictureColumns], task: TaskPlan) -> PictureColumns:
    known = ", ".join(f"`{name}`" for name in pictures)
    if plan.image is None and len(pictures) > 1:
        raise ValueError(f"task `{task.name}`: `crop` changes one picture, and there are {known}; say which with `image`")
    if plan.image is not None and plan.image not in pictures:
        raise ValueError(f"task `{task.name}`: `crop` names `{plan.image}`, and the columns with pictures are {known}")
    return pictures[plan.image or next(iter(pictures))]


def picture_columns(task: TaskPlan) -> dict[str, PictureColumns]:
    """The columns of pictures with those of their boxes. Raises ValueError where one column of boxes is read in two forms."""
    depths: dict[str, int] = {}
    boxes: dict[str, dict[str, BoxColumn]] = {}
    for slots in _alternatives(task):
        by_index = {slot.index: (slot.column, depth) for slot, depth in slots}
        for slot, depth in slots:
            if slot.modality == "IMAGE":
                depths.setdefault(slot.column, depth)
            if slot.modality == "BOX" and slot.refers_to is not None:
                picture, around = by_index[slot.refers_to]
                form = BoxForm.of_options(slot.processor.options)
                known = boxes.setdefault(picture, {}).setdefault(slot.column, BoxColumn(depth=depth - around, form=form))
                if known.form != form:
                    raise ValueError(
                        f"task `{task.name}`: the boxes of `{slot.column}` are read as {known.form} in one slot, and as {form} in"
                        " another; say one `format`, `unit` and `clip` in both"
                    )
    return {
        name: PictureColumns(image=name, depth=depth, boxes=boxes.get(name, {}), max_pixels=_limit(task, name, "max_pixels"))
        for name, depth in depths.items()
    }


def _texts(plan: Mirror, task: TaskPlan, swap: WordSwap) -> tuple[TextColumn, ...]:
    columns: dict[str, str] = {}
    texts: dict[str, TextColumn] = {}
    for slot, depth in chain.from_iterable(_alternatives(task)):
        columns[slot.column] = slot.modality
        if slot.modality in _WORDS:
            indexed = slot.modality == "CATEGORY" or (slot.column in texts and texts[slot.column].indexed)
            texts[slot.column] = TextColumn(column=slot.column, depth=depth, indexed=indexed, splits=is_told_apart(slot))
    if plan.sides is not None:
        return ()
    others = [name for name, modality in columns.items() if modality not in _WORDLESS and modality not in _WORDS]
    if others and plan.texts is None:
        raise ValueError(
            f"task `{task.name}`: `mirror` exchanges no words of [{columns[others[0]]}:{others[0]}];"
            " where it tells no sides, name the columns that do with `texts`"
        )
    for name in plan.texts or ():
        if columns.get(name) not in _WORDS:
            known = ", ".join(f"`{known}`" for known, modality in columns.items() if modality in _WORDS)
            raise ValueError(f"task `{task.name}`: `mirror` names `{name}`, and the columns with texts are {known or 'none'}")
    for text in _fixed_texts(task):
        if (word := swap.find(text)) is not None:
            raise ValueError(
                f"task `{task.name}`: the instruction itself says `{word}` ({text!r}), and its words are the same in every row;"
                " a mirrored picture would not fit them"
            )
    return tuple(text for name, text in texts.items() if plan.texts is None or name in plan.texts)


def slots_below(task: TaskPlan) -> Iterator[tuple[SlotPlan, int]]:
    """The slots of all alternatives, each with the number of repeats around it."""
    return chain.from_iterable(_alternatives(task))


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
