"""Looking at some rows before a run: what would be read as something else than it is. No torch here.

`ofa check`, `ofa explain` and the start of a run look at the same spread rows and say the same.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ofa_instruction.binding import is_empty, items_of
from ofa_instruction.errors import BindError
from ofa_modalities.processor import SampleError
from ofa_modalities.suffixes import MEDIA
from ofa_modalities.text.equality import canonical

from ofa_trainer.row_transforms.columns import PictureColumns, picture_columns, slots_below
from ofa_trainer.sources.choosing import spread_indices

if TYPE_CHECKING:
    from ofa_instruction import TaskPlan
    from ofa_modalities.box.forms import BoxSample

    from ofa_trainer.source import Source

BOX_ROWS = 64
MEDIA_ROWS = 1000
"""Rows whose files are looked for, spread over all."""
LABEL_ROWS = 20_000
_LONGEST_PATH = 4096
_SHORTEST_BASE64 = 40
_MOST_NEAR = 10_000
_BOXES_OF_A_ROW = 64

Row = Mapping[str, object]


def look_at_boxes(plan: TaskPlan, source: Source) -> list[str]:
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
    for address, row in look_at_rows(source, BOX_ROWS):
        for columns in pictures:
            for name, sample in islice(_boxes(row, columns, columns.depth, root, address), _BOXES_OF_A_ROW):
                found[name].append(sample)
    return [told for name, samples in found.items() if (told := describe(samples, name, forms[name]))]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellsFound:
    """Cells of one column that some rows have. rows: that have such; of: rows looked at. first: the first, in words."""

    column: str
    rows: int
    of: int
    first: str

    @property
    def share(self) -> float:
        """Of the rows looked at."""
        return self.rows / max(1, self.of)


def look_for_media(plan: TaskPlan, source: Source) -> list[CellsFound]:
    """The columns of media that name files that are not there, in some of up to 1,000 rows."""
    depths = {slot.column: depth for slot, depth in slots_below(plan) if slot.modality in MEDIA}
    root: Path | None = getattr(source, "root", None)
    if not depths or root is None:
        return []
    counts, firsts, total = Counter[str](), dict[str, str](), 0
    for address, row in look_at_rows(source, MEDIA_ROWS):
        total += 1
        for column, depth in depths.items():
            missing = next((why for value in leaves(row.get(column), depth) if (why := _missing_file(value, root))), "")
            counts[column] += bool(missing)
            if missing and column not in firsts:
                firsts[column] = f"{address}: {missing}"
    return [CellsFound(column=name, rows=counts[name], of=total, first=first) for name, first in firsts.items()]


def look_for_empty(plan: TaskPlan, source: Source) -> tuple[list[CellsFound], list[CellsFound]]:
    """The columns that are read, and those that are answered, that are empty in some of up to 1,000 rows."""
    answered = {slot.column: slot.generator is not None for slot, _ in slots_below(plan)}
    counts, firsts, total = Counter[str](), dict[str, str](), 0
    for address, row in look_at_rows(source, MEDIA_ROWS):
        total += 1
        for column in answered:
            if is_empty(row.get(column)):
                counts[column] += 1
                firsts.setdefault(column, address)
    found = [CellsFound(column=name, rows=counts[name], of=total, first=first) for name, first in firsts.items()]
    return [one for one in found if not answered[one.column]], [one for one in found if answered[one.column]]


def first_labels(plan: TaskPlan, column: str, source: Source) -> tuple[str, ...]:
    """Up to two different labels of a column; fewer only where no row of as many as are fitted to has more."""
    depth = next(depth for slot, depth in slots_below(plan) if slot.column == column)
    found: dict[str, str] = {}
    for _, row in look_at_rows(source, LABEL_ROWS):
        for value in leaves(row.get(column), depth):
            if not is_empty(value):
                found.setdefault(canonical(str(value)), str(value).strip())
        if len(found) > 1:
            break
    return tuple(found.values())


def _missing_file(value: object, root: Path) -> str:
    """Why a value that names a file does not; empty where it does, and where it is no name of a file."""
    if isinstance(value, Mapping) and value.get("bytes") is None:
        value = value.get("path")
    if not isinstance(value, str | PathLike) or is_empty(value):
        return ""
    text = str(value).strip()
    if len(text) >= _LONGEST_PATH or text[:5].lower() == "data:" or "://" in text[:12]:
        return ""
    path = root / text
    try:
        there = path.exists()
    except (OSError, ValueError):
        there = False
    if not there:
        return "" if _is_base64(text) else f"there is no file `{text}` under `{root}`{_near(path)}"
    if not path.resolve().is_relative_to(root.resolve()):
        return f"`{text}` lies outside of the data root `{root}`; `root` of the task names another"
    return ""


def _is_base64(text: str) -> bool:
    """Whether a text may be a small file in base64, and is no name with a suffix."""
    return len(text) >= _SHORTEST_BASE64 and not Path(text).suffix and not re.search(r"[^A-Za-z0-9+/=_\-\s]", text)


def _near(path: Path) -> str:
    """The name in the same folder that is like it."""
    if not path.parent.is_dir():
        return f", and no folder `{path.parent}`"
    names = [entry.name for entry in islice(path.parent.iterdir(), _MOST_NEAR)]
    near = difflib.get_close_matches(path.name, sorted(names), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


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
