"""The transforms of a task as a function of a row: what :class:`ofa_trainer.workers.RowReader` calls. Picklable.

A value inside repeats is a list of values, or what can be indexed like one; a picture there has boxes of its own place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from ofa_instruction.binding import is_empty, items_of
from ofa_instruction.errors import BindError
from ofa_modalities.box.forms import Box, BoxForm
from ofa_modalities.box.reading import read_box
from ofa_modalities.image.reading import MAX_PIXELS, read_image
from ofa_modalities.processor import SampleError
from ofa_modalities.text.numbers import plain
from ofa_modalities.video.clip import MirroredVideo
from PIL import Image, ImageOps

from ofa_trainer.row_transforms.columns import MovingColumn, PictureColumns, Reach, TextColumn, reach_of
from ofa_trainer.row_transforms.crop import choose_window, clip
from ofa_trainer.row_transforms.plans import Crop, Mirror
from ofa_trainer.row_transforms.words import WordSwap

if TYPE_CHECKING:
    from ofa_instruction.plans import TaskPlan

    from ofa_trainer.task import Task
    from ofa_trainer.workers import RowTransform

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChanges:
    """Transforms in order, a function of the task's own before them.

    root, hosts: where the pictures of a row may come from; see :class:`ofa_modalities.processor.EncodeContext`.
    """

    reaches: tuple[Reach, ...]
    before: Callable[[Row, np.random.Generator], Row] | None = None
    root: Path | None = None
    hosts: frozenset[str] = frozenset()

    def __call__(self, row: Row, rng: np.random.Generator, /) -> Row:
        """The changed row. Raises SampleError for a picture or a box that cannot be read."""
        if self.before is not None:
            row = self.before(row, rng)
        for reach in self.reaches:
            if rng.random() < reach.plan.probability:
                row = self._changed(row, reach, rng)
        return row

    def _changed(self, row: Row, reach: Reach, rng: np.random.Generator) -> Row:
        changed = dict(row)
        for columns in reach.pictures:
            if not is_empty(row.get(columns.image)):
                self._picture(changed, columns, columns.depth, reach.plan, rng)
        for moving in reach.moving:
            if not is_empty(row.get(moving.column)):
                changed[moving.column] = _each(row[moving.column], moving.depth, partial(self._mirrored, moving=moving))
        if reach.swap is not None:
            for text in reach.texts:
                if text.column in row:
                    changed[text.column] = _each(
                        row[text.column], text.depth, partial(_swapped, text=text, swap=reach.swap), splits=text.splits
                    )
        return changed

    def _picture(
        self, row: dict[str, object], columns: PictureColumns, depth: int, plan: Crop | Mirror, rng: np.random.Generator
    ) -> None:
        """Change the pictures and boxes of ``row`` in place."""
        if depth == 0:
            self._with_boxes(row, columns, plan, rng)
            return
        images = _items(row[columns.image])
        if images is None:
            return  # Encoding says what is wrong with it.
        whole = {columns.image: images}
        for name in columns.boxes:
            items = _items(row.get(name), splits=depth == 1 and not columns.boxes[name].depth)
            if items is not None and len(items) == len(images):  # Encoding says what is wrong with others.
                whole[name] = items
        for place, image in enumerate(images):
            part = {name: items[place] for name, items in whole.items()}
            if not is_empty(image):
                self._picture(part, columns, depth - 1, plan, rng)
            for name, items in whole.items():
                items[place] = part[name]
        row.update(whole)

    def _with_boxes(self, row: dict[str, object], columns: PictureColumns, plan: Crop | Mirror, rng: np.random.Generator) -> None:
        """Change one picture and its boxes in place."""
        most = MAX_PIXELS if columns.max_pixels is None else columns.max_pixels
        image, _ = read_image(row[columns.image], columns.image, root=self.root, max_pixels=most, hosts=self.hosts)
        boxes: list[Box] = []

        def read(value: object, column: str) -> Box:
            boxes.append(read_box(value, column, image.size, columns.boxes[column].form))
            return boxes[-1]

        found = {
            column: _each(row[column], one.depth, partial(read, column=column), splits=True)
            for column, one in columns.boxes.items()
            if not is_empty(row.get(column))
        }
        changed, move = _moved(image, boxes, plan, rng)
        row[columns.image] = changed
        for column, value in found.items():
            one = columns.boxes[column]
            row[column] = _each(value, one.depth, partial(_written, move=move, form=one.form, size_px=changed.size))

    def _mirrored(self, value: Any, moving: MovingColumn) -> object:
        """A clip or a motion, mirrored."""
        if moving.modality == "VIDEO":
            return MirroredVideo(value)
        from ofa_modalities.motion.bvh import MAX_NUMBERS
        from ofa_modalities.motion.encoding import mirrored
        from ofa_modalities.motion.reading import MAX_BYTES, read_motion

        motion = read_motion(
            value,
            moving.column,
            up=moving.up,
            root=self.root,
            hosts=self.hosts,
            max_bytes=MAX_BYTES if moving.max_bytes is None else moving.max_bytes,
            max_numbers=MAX_NUMBERS if moving.max_numbers is None else moving.max_numbers,
        )
        try:
            return mirrored(motion)
        except ValueError as error:
            raise SampleError(moving.column, str(error)) from error


def row_changes(task: Task, plan: TaskPlan, hosts: frozenset[str] = frozenset()) -> RowTransform | None:
    """What changes the training rows of a task, None where nothing does. Raises ValueError for a transform that cannot."""
    if not task.transforms:
        return task.transform
    return RowChanges(
        reaches=tuple(reach_of(transform, plan) for transform in task.transforms),
        before=task.transform,
        root=getattr(task.source("train"), "root", None),
        hosts=hosts,
    )


def _moved(
    image: Image.Image, boxes: list[Box], plan: Crop | Mirror, rng: np.random.Generator
) -> tuple[Image.Image, Callable[[Box], Box]]:
    """The changed picture, and where its boxes go."""
    match plan:
        case Crop():
            window = choose_window(image.size, boxes, plan, rng)
            return image.crop(window), lambda box: clip(box, window)
        case Mirror():
            width = image.width
            return ImageOps.mirror(image), lambda box: (width - box[2], box[1], width - box[0], box[3])
        case _:
            assert_never(plan)


def _written(box: Box, *, move: Callable[[Box], Box], form: BoxForm, size_px: tuple[int, int]) -> list[float]:
    """The moved box as the numbers that its column holds."""
    return form.of_pixels(move(box), size_px)


def _swapped(value: object, text: TextColumn, swap: WordSwap) -> object:
    value = plain(value)
    if text.indexed and (type(value) is int or (isinstance(value, str) and value.strip().isdecimal())):
        raise SampleError(text.column, "an index tells no words: give the label, or name the columns that do with `texts`")
    return swap(value) if isinstance(value, str) else value


def _each(value: object, depth: int, change: Callable[[Any], object], *, splits: bool = False) -> object:
    """A column's value with ``change`` made to what stands inside its repeats, which become lists; what is missing stays so.

    splits: as :func:`ofa_instruction.binding.items_of` has it.
    """
    if is_empty(value):
        return value
    if depth == 0:
        return change(value)
    items = _items(value, splits=splits and depth == 1)
    if items is None:
        return value  # Encoding says what is wrong with it.
    return [_each(item, depth - 1, change, splits=splits) for item in items]


def _items(value: object, *, splits: bool = False) -> list[Any] | None:
    """The items of a repeat; None for what binding would not take for one."""
    try:
        items = items_of("", value, splits=splits)
    except BindError:
        return None
    return [items[place] for place in range(len(items))]
