"""Sources over sources: other column names, a part of the rows. No numpy at import: a run file is checked without it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ofa_trainer.source import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Renamed:
    """The same rows under the column names of an instruction: ``columns`` maps those to names in the data.

    A row that lacks a column lacks it under either name. either: the instruction's own name will do, and the data's is left out.
    """

    def __init__(self, source: Source, columns: Mapping[str, str], *, either: bool = False) -> None:
        self.source, self.columns, self.either = source, dict(columns), either
        self.renamed = frozenset(columns.values()) - frozenset(columns)
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
        left_out = self.renamed if self.either else self.columns
        kept = {name: value for name, value in row.items() if name not in left_out}
        return kept | {name: row[stored] for name, stored in self.columns.items() if stored in row}


class Picked:
    """Some rows of a source: those of ``picked`` (sorted), or all others."""

    def __init__(self, source: Source, picked: NDArray[np.int64], *, others: bool = False) -> None:
        import numpy as np

        self.source, self.picked, self.others = source, picked, others
        self._before = picked - np.arange(len(picked))  # how many of the others stand before each picked row
        self.root: Path | None = getattr(source, "root", None)

    def __len__(self) -> int:
        return len(self.source) - len(self.picked) if self.others else len(self.picked)

    def mask(self) -> NDArray[np.bool_]:
        """Which rows of the source these are."""
        import numpy as np

        mask = np.full(len(self.source), self.others)
        mask[self.picked] = not self.others
        return mask

    def index(self, index: int) -> int:
        """The row's index in the source."""
        if not self.others:
            return int(self.picked[index])
        return index + int(self._before.searchsorted(index, side="right"))

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


def scan(source: Source, names: Sequence[str]) -> Iterator[tuple[object, ...]] | None:
    """The values of some columns, row by row, in one pass that costs little; None of what is missing, or cannot be read.

    None where the source has no such way (a method ``scan``).
    """
    if isinstance(source, Renamed):
        return scan(source.source, [source.columns.get(name, name) for name in names])
    if isinstance(source, Picked):
        values = scan(source.source, names)
        return None if values is None else compress(values, source.mask().tolist())
    read = getattr(source, "scan", None)
    return None if read is None else cast("Iterator[tuple[object, ...]]", read(names))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
