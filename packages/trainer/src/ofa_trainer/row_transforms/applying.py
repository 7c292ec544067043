"""The transforms of a task as a function of a row: what :class:`ofa_trainer.workers.RowReader` calls. Picklable.

A value inside repeats is a list of values; a picture there has boxes of its own place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from ofa_modalities.box.reading import Box, read_box
from ofa_modalities.image.reading import read_image
from ofa_modalities.processor import SampleError
from ofa_modalities.video.clip import MirroredVideo
from PIL import Image, ImageOps

from ofa_trainer.row_transforms.columns import MovingColumn, PictureColumns, Reach, reach_of
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
            if row.get(columns.image) is not None:
                self._picture(changed, columns, columns.depth, reach.plan, rng)
        for moving in reach.moving:
            if row.get(moving.column) is not None:
                changed[moving.column] = self._mirrored(row[moving.column], moving, moving.depth)
        if isinstance(reach.plan, Mirror) and reach.texts:
            swap = WordSwap(reach.plan.swap)
            for column in reach.texts:
                if column in row:
                    changed[column] = _swapped(row[column], swap)
        return changed

    def _picture(
        self, row: dict[str, object], columns: PictureColumns, depth: int, plan: Crop | Mirror, rng: np.random.Generator
    ) -> None:
        """Change the pictures and boxes of ``row`` in place."""
        if depth == 0:
            image = self._read(row[columns.image], columns.image)
            given = {column: row[column] for column in columns.boxes if row.get(column) is not None}
            boxes = [(column, box) for column, value in given.items() for box in _boxes(value, column, image.size)]
            row[columns.image], move = _moved(image, [box for _, box in boxes], plan, rng)
            for column, value in given.items():
                row[column] = _map_boxes(value, column, image.size, move)
            return
        items: Any = row[columns.image]
        if not isinstance(items, list | tuple | np.ndarray):
            return  # Encoding says what is wrong with it.
        below = [self._item(row, columns, place) for place in range(len(items))]
        for part in below:
            self._picture(part, columns, depth - 1, plan, rng)
        row.update({name: [part.get(name) for part in below] for name in (columns.image, *columns.boxes) if name in row})

    def _mirrored(self, value: Any, moving: MovingColumn, depth: int) -> object:
        """A clip or a motion, mirrored; inside repeats a list of them."""
        if depth:
            if not isinstance(value, list | tuple):
                return value  # Encoding says what is wrong with it.
            return [None if item is None else self._mirrored(item, moving, depth - 1) for item in value]
        if moving.modality == "VIDEO":
            return MirroredVideo(value)
        from ofa_modalities.motion.encoding import mirrored
        from ofa_modalities.motion.reading import read_motion

        motion = read_motion(value, moving.column, up=moving.up, root=self.root, hosts=self.hosts)
        try:
            return mirrored(motion)
        except ValueError as error:
            raise SampleError(moving.column, str(error)) from error

    @staticmethod
    def _item(row: Mapping[str, Any], columns: PictureColumns, place: int) -> dict[str, object]:
        """What belongs to one picture of a list; lists of other lengths are left to the encoder, which says so."""
        names = (columns.image, *columns.boxes)
        return {name: row[name][place] for name in names if row.get(name) is not None and place < len(row[name])}

    def _read(self, value: object, column: str) -> Image.Image:
        return read_image(value, column, root=self.root, hosts=self.hosts)[0]


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
) -> tuple[Image.Image, Callable[[Box], list[float]]]:
    """The changed picture, and where its boxes go."""
    match plan:
        case Crop():
            window = choose_window(image.size, boxes, plan, rng)
            return image.crop(window), lambda box: list(clip(box, window))
        case Mirror():
            width = image.width
            return ImageOps.mirror(image), lambda box: [width - box[2], box[1], width - box[0], box[3]]
        case _:
            assert_never(plan)


def _boxes(value: object, column: str, size_px: tuple[int, int]) -> Iterator[Box]:
    """All boxes in a value: one, or a list of them however deep."""
    if _is_list_of_boxes(value):
        items: Any = value
        for item in items:
            if item is not None:
                yield from _boxes(item, column, size_px)
    else:
        yield read_box(value, column, size_px)


def _map_boxes(value: object, column: str, size_px: tuple[int, int], move: Callable[[Box], list[float]]) -> object:
    if _is_list_of_boxes(value):
        items: Any = value
        return [None if item is None else _map_boxes(item, column, size_px, move) for item in items]
    return move(read_box(value, column, size_px))


def _is_list_of_boxes(value: object) -> bool:
    """Whether it is a list of boxes rather than the four numbers of one."""
    if isinstance(value, np.ndarray):
        return value.ndim > 1
    return isinstance(value, list | tuple) and all(
        part is None or isinstance(part, list | tuple | np.ndarray) or (isinstance(part, str) and "," in part) for part in value
    )


def _swapped(value: object, swap: WordSwap) -> object:
    if isinstance(value, str):
        return swap(value)
    if isinstance(value, list | tuple):
        return [_swapped(part, swap) for part in value]
    return value
