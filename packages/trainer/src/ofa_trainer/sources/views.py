"""Sources over sources: other column names, a part of the rows, the hashed split into training and validation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ofa_trainer.source import Source

DEFAULT_VALID_SHARE = 0.05
MAX_VALID_ROWS = 500
MIN_ROWS_TO_SPLIT = 20


class Renamed:
    """The same rows under the column names of an instruction: ``columns`` maps those to names in the data.

    A row that lacks a column lacks it under either name.
    """

    def __init__(self, source: Source, columns: Mapping[str, str]) -> None:
        self.source, self.columns = source, dict(columns)
        self.root: Path | None = getattr(source, "root", None)

    def __len__(self) -> int:
        return len(self.source)

    def address(self, index: int) -> str:
        """The source's own."""
        return self.source.address(index)

    def fingerprint(self) -> str:
        """The source's, with the names."""
        return _digest(self.source.fingerprint(), repr(sorted(self.columns.items())))

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row."""
        row = self.source.read(index, epoch)
        kept = {name: value for name, value in row.items() if name not in self.columns}
        return kept | {name: row[stored] for name, stored in self.columns.items() if stored in row}


class Picked:
    """Some rows of a source: those of ``picked`` (sorted), or all others."""

    def __init__(self, source: Source, picked: NDArray[np.int64], *, others: bool = False) -> None:
        self.source, self.picked, self.others = source, picked, others
        self._before = picked - np.arange(len(picked))  # how many of the others stand before each picked row
        self.root: Path | None = getattr(source, "root", None)

    def __len__(self) -> int:
        return len(self.source) - len(self.picked) if self.others else len(self.picked)

    def index(self, index: int) -> int:
        """The row's index in the source."""
        if not self.others:
            return int(self.picked[index])
        return index + int(np.searchsorted(self._before, index, side="right"))

    def address(self, index: int) -> str:
        """The source's own."""
        return self.source.address(self.index(index))

    def fingerprint(self) -> str:
        """The source's, with what was picked."""
        picked = hashlib.sha256(self.picked.tobytes()).hexdigest()
        return _digest(self.source.fingerprint(), picked, str(self.others))

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row."""
        return self.source.read(self.index(index), epoch)


def row_number(source: Source, index: int) -> int:
    """Which row of the data a row of a source is, counted from 1, whatever was picked from it."""
    if isinstance(source, Renamed):
        return row_number(source.source, index)
    return row_number(source.source, source.index(index)) if isinstance(source, Picked) else index + 1


def column_of(source: Source, name: str) -> Iterable[object] | None:
    """All values of a column where the source can read it alone (it has a method ``column``); None: read the rows."""
    if isinstance(source, Renamed):
        return column_of(source.source, source.columns.get(name, name))
    if isinstance(source, Picked):
        values = column_of(source.source, name)
        if values is None:
            return None
        listed = list(values)
        return [listed[source.index(index)] for index in range(len(source))]
    read = getattr(source, "column", None)
    return None if read is None else cast("Iterable[object]", read(name))


def split_off(source: Source, share: float = DEFAULT_VALID_SHARE, most: int = MAX_VALID_ROWS) -> tuple[Source, Source | None]:
    """(training, validation): the rows with the smallest hashes of their index, the same in every run.

    No validation rows are split off fewer than 20 rows.
    """
    total = len(source)
    if total < MIN_ROWS_TO_SPLIT:
        return source, None
    count = max(1, min(most, round(total * share)))
    hashes = _mix(np.arange(total, dtype=np.uint64))
    picked = np.sort(np.argpartition(hashes, count - 1)[:count]).astype(np.int64)
    return Picked(source, picked, others=True), Picked(source, picked)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: neighbours become unrelated."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
