"""Looking at some rows before a run: what would be read as something else than it is. No torch here.

`ofa check`, `ofa explain` and the start of a run look at the same spread rows and say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ofa_instruction.binding import items_of
from ofa_instruction.errors import BindError
from ofa_modalities.processor import SampleError

from ofa_trainer.row_transforms.columns import PictureColumns, picture_columns
from ofa_trainer.sources.choosing import spread_indices

if TYPE_CHECKING:
    from ofa_instruction import TaskPlan
    from ofa_modalities.box.forms import BoxSample

    from ofa_trainer.source import Source

BOX_ROWS = 64
_BOXES_OF_A_ROW = 64

Row = Mapping[str, object]


def look_at_boxes(plan: TaskPlan, source: Source, rows: int = BOX_ROWS) -> list[str]:
    """What is wrong with the boxes of some rows, a sentence a column, with the options that read them; empty: nothing.

    Raises ValueError where one column of boxes is read in two forms.
    """
    pictures = [columns for columns in picture_columns(plan).values() if columns.boxes]
    if not pictures:
        return []
    from ofa_modalities.box.forms import describe

    forms = {name: box.form for columns in pictures for name, box in columns.boxes.items()}
    found: dict[str, list[BoxSample]] = {name: [] for name in forms}
    root: Path | None = getattr(source, "root", None)
    for address, row in look_at_rows(source, rows):
        for columns in pictures:
            for name, sample in islice(_boxes(row, columns, columns.depth, root, address), _BOXES_OF_A_ROW):
                found[name].append(sample)
    return [told for name, samples in found.items() if (told := describe(samples, name, forms[name]))]


def look_at_rows(source: Source, rows: int) -> Iterator[tuple[str, Row]]:
    """Spread rows that can be read, each with its address."""
    for index in spread_indices(len(source), rows):
        try:
            yield source.address(index), source.read(index, 0)
        except SampleError:
            continue


def _boxes(row: Row, columns: PictureColumns, depth: int, root: Path | None, address: str) -> Iterator[tuple[str, BoxSample]]:
    """The boxes of each picture of a row, by column; what cannot be read is passed over, encoding reports it."""
    from ofa_modalities.box.forms import BoxSample
    from ofa_modalities.box.reading import four_numbers
    from ofa_modalities.image.reading import picture_size

    if depth:
        images = leaves(row.get(columns.image), 1)
        for place, image in enumerate(images):
            items = {name: list(leaves(row.get(name), 1)) for name in columns.boxes}
            part = {name: values[place] for name, values in items.items() if len(values) == len(images)}
            yield from _boxes(part | {columns.image: image}, columns, depth - 1, root, address)
        return
    size = picture_size(row.get(columns.image), root=root)
    for name, box in columns.boxes.items():
        for value in leaves(row.get(name), box.depth):
            try:
                yield name, BoxSample(numbers=four_numbers(value, name), size_px=size, address=address)
            except SampleError:
                continue


def leaves(value: object, depth: int) -> list[object]:
    """The boxes inside of so many repeats, or the value itself; nothing of what is no list there, or is missing."""
    if value is None:
        return []
    if depth == 0:
        return [value]
    try:
        items = items_of("", value, splits=depth == 1)
    except BindError:
        return []
    return [leaf for place in range(len(items)) for leaf in leaves(items[place], depth - 1)]
