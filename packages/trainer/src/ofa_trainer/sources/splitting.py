"""The split into training and validation rows: a share that is a share, and what belongs together stays together.

    rows ─scan─▶ a key for each medium and each text that is read ─join─▶ groups ─▶ whole groups are held out

Rows that show one picture (or sound, clip, motion, by its path, URL or bytes) are one group, and so are rows that read one text
where nothing but texts is read. A text that so many rows share that no small part could be held out (a question asked of every
picture, a sentence repeated) joins nothing, and neither does a number beside other texts, which is a cell of a table and no text
of its own. Where groups are too large for the share, rows are held out one by one. How many of the held-out rows then share
something with a training row is counted (:attr:`Split.shared`), and told when a run starts.

    # N rows, K pairs of a row and a key
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike, path
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ofa_instruction import Catalog, InstructionError, parse_template
from ofa_instruction.syntax import Node, Repeat, Slot, Text
from ofa_modalities.suffixes import MEDIA
from ofa_modalities.text.equality import canonical

from ofa_trainer.source import Source
from ofa_trainer.sources.views import Picked, scan

Int64 = NDArray[np.int64]

DEFAULT_VALID_SHARE = 0.05
MAX_VALID_ROWS = 500
MIN_ROWS_TO_SPLIT = 20
_MOST_IN_LARGE_GROUPS = 0.1
"""A text joins rows only where at most this share of them is then in groups that are larger than what is held out."""
_MOST_HELD_OUT = 0.2
"""Of the rows, where no group is as small as the default share."""
_LONGEST_PATH = 4096
_UNUSUAL = re.compile(r"//|\\|(?:^|/)\.{1,2}(?:/|$)|/$")
"""In a path that may be spelled in another way too."""
_NUMBER = re.compile(r"[+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)?%?")
_READ_AS_TEXT = frozenset({"PHONE", "STRUCT", "TEXT"})


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column whose values tell which rows belong together. depth: repeats around it."""

    name: str
    is_medium: bool
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """rows: held-out rows whose value of a column also stands in a training row; of so many held-out ones."""

    column: KeyColumn
    rows: int
    of: int

    def __str__(self) -> str:
        what = f"show a medium (`{self.column.name}`)" if self.column.is_medium else f"read a text (`{self.column.name}`)"
        return f"{self.rows:,} of {self.of:,} validation rows {what} that is also trained on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """train, valid: None where nothing is held out. shared: by column, where some rows are on both sides."""

    train: Source
    valid: Source | None
    shared: tuple[Shared, ...] = ()


def key_columns(instruction: str, catalog: Catalog) -> tuple[KeyColumn, ...]:
    """Columns of media, and, where no medium is read, of texts that are; none of an instruction that cannot be parsed."""
    try:
        parsed = parse_template(instruction, catalog=catalog)
    except InstructionError:
        return ()  # Compiling it says what is wrong.
    sources = [pair for one in parsed for pair in _slots(one.source, 0)]
    targets = [pair for one in parsed for pair in _slots(one.target, 0)]
    found = {slot.name: KeyColumn(slot.name, True, depth) for slot, depth in (*sources, *targets) if slot.modality in MEDIA}
    if not any(slot.modality in MEDIA for slot, _ in sources):
        texts = (KeyColumn(slot.name, False, depth) for slot, depth in sources if slot.modality in _READ_AS_TEXT)
        found |= {column.name: column for column in texts if column.name not in found}
    return tuple(found.values())


def _slots(nodes: Sequence[Node], depth: int) -> Iterator[tuple[Slot, int]]:
    for node in nodes:
        match node:
            case Slot():
                yield node, depth
            case Repeat(body=body):
                yield from _slots(body, depth + 1)
            case Text():
                pass
            case _:
                yield from ((member, depth) for member in node.members)


def split_off(source: Source, columns: Sequence[KeyColumn] = (), share: float | None = None) -> Split:
    """Hold out a share of the rows, the same ones in every run: whole groups by the hash of their first row's index.

    share: of the rows; None: 5 %, at most 500 rows, and none of fewer than 20.
    """
    total = len(source)
    if share == 0 or total < 2 or (share is None and total < MIN_ROWS_TO_SPLIT):
        return Split(train=source, valid=None)
    wanted = round(total * (DEFAULT_VALID_SHARE if share is None else share))
    count = min(total - 1, max(1, wanted if share is not None else min(MAX_VALID_ROWS, wanted)))
    most = count if share is not None else max(count, int(_MOST_HELD_OUT * total))
    keys = read_keys(source, columns)
    picked = _whole_groups(_groups(keys, total, count), count, most)
    if picked is None:
        picked = _whole_groups(np.arange(total), count, count)
        assert picked is not None, "single rows always fill a share"
    held_out = np.zeros(total, bool)
    held_out[picked] = True
    return Split(
        train=Picked(source, picked, others=True),
        valid=Picked(source, picked),
        shared=tuple(_shared(keys, held_out, len(picked))),
    )


def shared_media(train: Source, valid: Source, columns: Sequence[KeyColumn]) -> tuple[Shared, ...]:
    """What validation rows of their own show that is also trained on, media alone; training rows are read once."""
    media = [column for column in columns if column.is_medium]
    ours, theirs = read_keys(valid, media), read_keys(train, media)
    found = []
    for column, one in ours.items():
        if column in theirs:
            rows = np.unique(one.rows[np.isin(one.keys, theirs[column].keys)])
            found.append(Shared(column=column, rows=len(rows), of=len(valid)))
    return tuple(shared for shared in found if shared.rows)


@dataclass(frozen=True, slots=True)
class Keys:
    """int64 ``[K]`` rows and the keys they have; a row has one a medium, several where it stands in a repeat, or none."""

    rows: Int64
    keys: Int64


def read_keys(source: Source, columns: Sequence[KeyColumn]) -> dict[KeyColumn, Keys]:
    """The keys of all rows, by column, in one pass; nothing of a source that can be read only row by row (it has no ``scan``).

    A key is a hash of 64 bits; nothing else of the rows stays in memory.
    """
    values = scan(source, [column.name for column in columns]) if columns else None
    if values is None:
        return {}
    root: Path | None = getattr(source, "root", None)
    text_key = _words_key if sum(not column.is_medium for column in columns) > 1 else _text_key
    readers = [(column.depth, partial(_medium_key, root=root) if column.is_medium else text_key) for column in columns]
    rows, keys = [array("q") for _ in columns], [array("q") for _ in columns]
    for number, row in enumerate(values):
        for place, (depth, read) in enumerate(readers):
            for item in (row[place],) if not depth else _items(row[place], depth):
                key = read(item)
                if key is not None:
                    rows[place].append(number)
                    keys[place].append(hash(key))
    return {
        column: Keys(np.frombuffer(rows[place], np.int64), np.frombuffer(keys[place], np.int64))
        for place, column in enumerate(columns)
    }


def _items(value: object, depth: int) -> Iterator[object]:
    if depth == 0:
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _items(item, depth - 1)


def _text_key(value: object) -> str | None:
    if isinstance(value, str):
        return canonical(value) or None
    if isinstance(value, int | float) and not math.isnan(value):
        return str(value)
    return None


def _words_key(value: object) -> str | None:
    """As :func:`_text_key`, and None of a number, which many rows of a table have without having more in common."""
    key = _text_key(value)
    return None if key is None or _NUMBER.fullmatch(key) else key


def _medium_key(value: object, root: Path | None) -> object:
    """What two values have in common that show one medium; None where there is none, or where nothing tells."""
    if isinstance(value, str) or isinstance(value, PathLike):  # noqa: SIM101  (a text is told first: the other takes long)
        return _path_key(str(value), root)
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case Mapping() if {"bytes", "path"} & value.keys():
            content = value.get("bytes")
            return _medium_key(value.get("path") if content is None else content, root)
        case Mapping():
            parts = {str(name): _medium_key(part, root) for name, part in value.items()}
            return tuple(sorted(parts.items(), key=lambda pair: pair[0])) if any(parts.values()) else None
        case list() | tuple():
            items = tuple(_medium_key(item, root) for item in value)
            return items if any(item is not None for item in items) else None
        case bool() | int() | float():
            return value
        case _:
            return _content(value)


def _path_key(text: str, root: Path | None) -> str | None:
    text = text.strip()
    if not text or len(text) >= _LONGEST_PATH or (":" in text and (text[:5].lower() == "data:" or "://" in text[:12])):
        return text or None
    if _UNUSUAL.search(text):
        text = path.normpath(text)
    return text if root is None or text[0] == "/" else f"{root}/{text}"


def _content(value: object) -> object:
    """The numbers of an array, a tensor or a picture, with its shape."""
    if callable(getattr(value, "detach", None)):
        value = value.detach().cpu().numpy()  # type: ignore[attr-defined]
    content = getattr(value, "tobytes", None)
    shape = getattr(value, "shape", getattr(value, "size", None))
    return (str(shape), content()) if callable(content) else None


def _groups(keys: Mapping[KeyColumn, Keys], total: int, count: int) -> Int64:
    """The first row of each row's group, int64 ``[N]``."""
    groups = np.arange(total)
    for column, one in keys.items():
        joined = _joined(groups, one)
        sizes = np.bincount(joined, minlength=total)
        in_large = int(sizes[sizes > count].sum())
        if column.is_medium or in_large <= _MOST_IN_LARGE_GROUPS * total:
            groups = joined
    return groups


def _joined(groups: Int64, keys: Keys) -> Int64:
    """Groups in which rows of one key are together: each group is hooked to the smallest it shares a key with."""
    _, number = np.unique(keys.keys, return_inverse=True)
    groups = groups.copy()
    while True:
        mine = groups[keys.rows]
        smallest = np.full(int(number.max(initial=-1)) + 1, len(groups))
        np.minimum.at(smallest, number, mine)
        if (smallest[number] == mine).all():
            return groups
        np.minimum.at(groups, mine, smallest[number])
        while not np.array_equal(shorter := groups[groups], groups):
            groups = shorter


def _whole_groups(groups: Int64, count: int, most: int) -> Int64 | None:
    """Rows of whole groups, about ``count`` of them; None where it takes a group that makes more than ``most`` of them."""
    sizes = np.bincount(groups, minlength=len(groups))
    first = np.flatnonzero(sizes)
    order = first[np.argsort(_mix(first.astype(np.uint64)), kind="stable")]
    chosen, left = [], count
    for group, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        if size <= left:
            chosen.append(group)
            left -= size
            if not left:
                break
    if left > count / 2:
        others = np.setdiff1d(order, chosen)
        smallest = others[np.argmin(sizes[others])]
        if count - left + sizes[smallest] > most or count - left + sizes[smallest] == len(groups):
            return None
        chosen.append(int(smallest))
    return np.flatnonzero(np.isin(groups, chosen))


def _shared(keys: Mapping[KeyColumn, Keys], held_out: NDArray[np.bool_], count: int) -> Iterator[Shared]:
    for column, one in keys.items():
        outside = held_out[one.rows]
        both = outside & np.isin(one.keys, one.keys[~outside])
        rows = len(np.unique(one.rows[both]))
        if rows:
            yield Shared(column=column, rows=rows, of=count)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: neighbours become unrelated."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
