"""Rows that the program already holds: lists of mappings, frames, Arrow tables, Hugging Face datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ofa_modalities.processor import SampleError
from ofa_modalities.text.numbers import column_values, plain_list

from ofa_trainer.sources.arrow_cells import ArrowCells
from ofa_trainer.sources.common import DataError

_SCANNED_AT_ONCE = 256


class RowsSource:
    """A sequence of mappings; recorded as columns and count, so a resumed run must be given them again."""

    def __init__(self, rows: Sequence[Mapping[str, object]], name: str = "rows", root: Path | None = None) -> None:
        self.rows, self.name, self.root = rows, name, root

    def __len__(self) -> int:
        return len(self.rows)

    def address(self, index: int) -> str:
        """``rows:row 12``, counted from 1."""
        return f"{self.name}:row {index + 1}"

    def fingerprint(self) -> str:
        """Digest of columns and count."""
        columns = sorted(self.rows[0]) if self.rows and isinstance(self.rows[0], Mapping) else []
        return hashlib.sha256(repr((columns, len(self.rows))).encode()).hexdigest()

    def column(self, name: str) -> list[object]:
        """All values of one column; None where a row has none."""
        return [row.get(name) if isinstance(row, Mapping) else None for row in self.rows]

    def scan(self, names: Sequence[str]) -> Iterator[tuple[object, ...]]:
        """The values of some columns, row by row; None where a row has none."""
        for row in self.rows:
            yield tuple(row.get(name) if isinstance(row, Mapping) else None for name in names)

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row."""
        row = self.rows[index]
        if not isinstance(row, Mapping):
            raise SampleError("", f"expected a mapping of columns, found {type(row).__name__}", self.address(index))
        return row


class ArrowSource:
    """An Arrow table, or a frame that hands itself over as one (polars); see :mod:`ofa_trainer.sources.arrow_cells`."""

    root: Path | None = None

    def __init__(self, table: Any, name: str = "table") -> None:
        """Raises DataError where two columns have one name."""
        self.table, self.name = table, name
        self.columns = check_names(table.column_names)
        self._cells = ArrowCells.of_schema(table.schema, table.column)

    def __len__(self) -> int:
        return len(self.table)

    def address(self, index: int) -> str:
        """``table:row 12``, counted from 1."""
        return f"{self.name}:row {index + 1}"

    def fingerprint(self) -> str:
        """Digest of columns and count."""
        return hashlib.sha256(repr((sorted(self.columns), len(self))).encode()).hexdigest()

    def column(self, name: str) -> list[object]:
        """All values of one column; None for those that cannot be read."""
        return self._cells.column(self.table.column(name), name)

    def scan(self, names: Sequence[str]) -> Iterator[tuple[object, ...]]:
        """The values of some columns, row by row; None of a column that is not there."""
        return _scanned(
            lambda part: self.table.slice(part.start, part.stop - part.start), len(self), names, self.columns, self._cells
        )

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row."""
        return self._cells.row(self.table, index, self.columns, self.address(index))


class DatasetSource:
    """A `datasets.Dataset`: rows are those of its Arrow table whatever its format, or what its own transform makes."""

    root: Path | None = None

    def __init__(self, dataset: Any, name: str = "dataset") -> None:
        self.name, self._names = name, tuple(dataset.column_names)
        self._own = str(getattr(dataset, "_fingerprint", ""))
        self._transformed = dataset.format["type"] == "custom"
        self.dataset = dataset if self._transformed else dataset.with_format("arrow")
        self._cells = ArrowCells(features=dataset.features.to_dict())

    def __len__(self) -> int:
        return len(self.dataset)

    def address(self, index: int) -> str:
        """``dataset:row 12``, counted from 1."""
        return f"{self.name}:row {index + 1}"

    def fingerprint(self) -> str:
        """Digest of the dataset's columns and its own fingerprint, where it keeps one."""
        return hashlib.sha256(repr((sorted(self._names), len(self), self._own)).encode()).hexdigest()

    def column(self, name: str) -> Sequence[object]:
        """All values of one column; class labels by their names, as in :meth:`read`."""
        if self._transformed:
            return [row.get(name) for row in (self.read(index, 0) for index in range(len(self)))]
        return self._cells.column(self.dataset.select_columns([name])[:].column(name), name)

    def scan(self, names: Sequence[str]) -> Iterator[tuple[object, ...]] | None:
        """The values of some columns, row by row; None where the dataset's own transform makes them."""
        return None if self._transformed else _scanned(self.dataset.__getitem__, len(self), names, self._names, self._cells)

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row; class labels by their names, media as bytes or paths. Raises SampleError for a cell that cannot be read."""
        if self._transformed:
            return dict(self.dataset[index])
        return self._cells.row(self.dataset[index], 0, self._names, self.address(index))


def _scanned(
    part: Callable[[slice], Any], total: int, names: Sequence[str], there: Sequence[str], cells: ArrowCells
) -> Iterator[tuple[object, ...]]:
    """The values of some columns of an Arrow table, a few rows at a time."""
    for start in range(0, total, _SCANNED_AT_ONCE):
        size = min(_SCANNED_AT_ONCE, total - start)
        table = part(slice(start, start + size))
        yield from zip(
            *(cells.column(table.column(name), name) if name in there else [None] * size for name in names), strict=True
        )


def rows_of_frame(frame: Any) -> list[Mapping[str, object]]:
    """Rows of a pandas frame, its columns as :func:`ofa_modalities.text.numbers.column_values` reads them.

    Raises DataError where two columns have one name.
    """
    if any(name is not None for name in frame.index.names):
        frame = _with_index(frame)
    names = check_names([" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns])
    columns = [map(_listed, column_values(frame.iloc[:, place])) for place in range(len(names))]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _with_index(frame: Any) -> Any:
    """The frame with its index as columns where that has names, as pandas writes it to files."""
    try:
        return frame.reset_index()
    except ValueError as error:
        raise DataError(f"the frame's index is called as one of its columns is: {error}") from error


def _listed(value: object) -> object:
    """A list that pandas keeps as an array is a list again; pictures and other arrays of several axes stay as they are."""
    if isinstance(value, np.ndarray) and (value.ndim == 1 or value.dtype.kind == "O"):
        return plain_list(value)
    return value


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of columns. Raises DataError where one occurs twice."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two columns are called `{twice}`")
    return tuple(names)
