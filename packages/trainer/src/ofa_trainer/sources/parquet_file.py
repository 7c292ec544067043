"""Parquet by row groups: the groups in use stay decoded, all others on disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ofa_modalities.processor import SampleError

from ofa_trainer.sources.arrow_cells import ArrowCells
from ofa_trainer.sources.common import DataError, file_digest, find_file
from ofa_trainer.sources.specs import ParquetOptions

_GROUPS_IN_MEMORY = 8


class ParquetSource:
    """Rows of one or more Parquet files, in order of their names. ``root`` is where media paths start."""

    def __init__(self, paths: tuple[Path, ...], root: Path, columns: tuple[str, ...] | None = None) -> None:
        self.paths, self.root, self._wanted = paths, root, columns
        self._files: dict[int, Any] = {}
        self._cache: OrderedDict[int, Any] = OrderedDict()
        self._groups: list[tuple[int, int]] = []
        sizes: list[int] = []
        names: list[str] = []
        for number, path in enumerate(paths):
            file = self._file(number)
            names = names or list(file.schema_arrow.names)
            if list(file.schema_arrow.names) != names:
                raise DataError(f"{path.name}: its columns differ from those of {paths[0].name}")
            for group in range(file.num_row_groups):
                self._groups.append((number, group))
                sizes.append(file.metadata.row_group(group).num_rows)
        for name in columns or ():
            if name not in names:
                raise DataError(f"{paths[0].name}: no column `{name}`; there are: {' '.join(names)}")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{paths[0].name}: two columns are called `{twice}`")
        self.columns = tuple(columns or names)
        self._first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._digest = file_digest(*paths)
        self._cells = ArrowCells.of_schema(self._file(0).schema_arrow, self._whole_column)

    def _file(self, number: int) -> Any:
        if number not in self._files:
            parquet = _pyarrow_parquet()
            try:
                self._files[number] = parquet.ParquetFile(self.paths[number])
            except (OSError, ValueError) as error:
                raise DataError(f"{self.paths[number].name}: not a Parquet file: {error}") from error
        return self._files[number]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}, "_cache": OrderedDict()}

    def __len__(self) -> int:
        return int(self._first[-1])

    def address(self, index: int) -> str:
        """``my.parquet:row 12``, counted from 1 within the file."""
        group = int(np.searchsorted(self._first, index, side="right")) - 1
        number = self._groups[group][0]
        start = next(int(self._first[at]) for at, (file, _) in enumerate(self._groups) if file == number)
        return f"{self.paths[number].name}:row {index - start + 1}"

    def fingerprint(self) -> str:
        """Digest of the files."""
        return self._digest

    def column(self, name: str) -> list[object]:
        """All values of one column; reads no other."""
        return self._cells.column(self._whole_column(name), name)

    def _whole_column(self, name: str) -> Any:
        import pyarrow

        try:
            parts = [self._file(number).read(columns=[name]).column(name) for number in range(len(self.paths))]
        except (OSError, ValueError) as error:
            raise DataError(f"the column `{name}` of {self.paths[0].name} cannot be read: {error}") from error
        return pyarrow.chunked_array([chunk for part in parts for chunk in part.chunks], type=parts[0].type)

    def scan(self, names: Sequence[str]) -> Iterator[tuple[object, ...]]:
        """The values of some columns, row by row, a row group at a time; None of a column that is not there."""
        there = [name for name in names if name in self.columns]
        for group, (number, inside) in enumerate(self._groups):
            size = int(self._first[group + 1] - self._first[group])
            table = self._file(number).read_row_group(inside, columns=there)
            values = [self._cells.column(table.column(name), name) if name in there else [None] * size for name in names]
            yield from zip(*values, strict=True)

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row."""
        group = int(np.searchsorted(self._first, index, side="right")) - 1
        table = self._cache.get(group)
        if table is None:
            number, inside = self._groups[group]
            try:
                table = self._file(number).read_row_group(inside, columns=list(self.columns))
            except (OSError, ValueError) as error:
                raise SampleError("", f"cannot be read: {error}", self.address(index)) from error
            self._cache[group] = table
            if len(self._cache) > _GROUPS_IN_MEMORY:
                self._cache.popitem(last=False)
        self._cache.move_to_end(group)
        return self._cells.row(table, index - int(self._first[group]), self.columns, self.address(index))


def _pyarrow_parquet() -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise DataError("Parquet needs pyarrow: pip install 'ofa-trainer[parquet]'") from error
    return parquet


def open_parquet(options: ParquetOptions, base: Path) -> ParquetSource:
    """The source ``parquet``. Raises DataError."""
    path, root = find_file(options, base)
    paths = tuple(sorted(path.glob("*.parquet"))) if path.is_dir() else (path,)
    if not paths:
        raise DataError(f"`{path}` holds no *.parquet files")
    return ParquetSource(paths, root, options.columns)
