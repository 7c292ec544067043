"""A raw value → a table, read and checked.

rows       list of lists or tuples, the first naming the columns; a 2-D array
records    list of mappings, or anything with ``columns`` and ``itertuples`` (a pandas frame)
columns    mapping of equally long lists
named      mapping with ``columns`` or ``header``, ``rows`` or ``data`` and, where it has one, ``name``; also OFASys' own
           ``table_head``, ``table_content``, ``table_name``
text       CSV, TSV, JSON or the linearised text itself; a path to .csv .tsv .json .jsonl or a SQLite database; bytes
"""

from __future__ import annotations

import base64
import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from ofa_modalities.delimited import cells, recognise, records
from ofa_modalities.lines import decode_text, encoding_of, split_lines
from ofa_modalities.media import media_source, read_object
from ofa_modalities.processor import SampleError
from ofa_modalities.reading import Reading
from ofa_modalities.struct.database import MAGIC, is_database, read_table_of
from ofa_modalities.struct.encoding import parse_table
from ofa_modalities.struct.output import Table, spell
from ofa_modalities.text.numbers import column_values, is_missing, plain, plain_list, spell_number

_KEYS = (("columns", "header", "table_head"), ("rows", "data", "table_content"), ("name", "table_name"))
"""Keys of a named table: its header, rows and name."""

_DATABASE_IN_BASE64 = base64.b64encode(MAGIC[:15]).decode()
"""How base64 of a SQLite database begins; it may have line breaks."""
_LINEARISED = re.compile(r"\s*(?:table|col|row 1) :(?= |$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableReader:
    """Reads the tables of one column.

    header: whether the first of a list of rows names the columns. table: which one of a database. most_rows: that are kept;
    None: all. Limits as in :class:`ofa_modalities.struct.spec.TableOptions`.
    """

    column: str
    header: bool = True
    table: str | None = None
    most_rows: int | None = None
    max_columns: int = 256
    max_cells: int = 1_000_000
    max_bytes: int = 64_000_000

    def read(self, value: object, *, root: Path | None = None, hosts: frozenset[str] = frozenset()) -> Table:
        """The table that a raw value holds, its cells as text. Raises SampleError."""
        with Reading(self.column, "table"):
            if isinstance(value, str) and (table := self._inline(value)) is not None:
                return table
            if not isinstance(value, Mapping) or value.keys() <= {"bytes", "path"}:
                most = self.max_bytes
                value = read_object(value, self.column, "table", most)
                source = media_source(value, self.column, root=root, known=is_database, what="table", max_bytes=most, hosts=hosts)
                if source is not None:
                    return self._file(source)
            return self._object(value)

    def fail(self, message: str) -> SampleError:
        """The error to raise."""
        return SampleError(self.column, message)

    # Values

    def _object(self, value: Any) -> Table:
        if value is None:
            raise self.fail("the table is missing")
        if isinstance(value, Table):
            self._check_width(value.width)
            rows, more = self._rows(value.rows, value.width)
            return replace(replace(value, rows=()).as_text(), rows=rows, more_rows=value.more_rows + more)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if hasattr(value, "columns") and hasattr(value, "itertuples"):
            columns = list(value.columns)
            self._check_width(len(columns))
            self._check_cells(len(value), len(columns))
            names = [self._joined(column) if isinstance(column, tuple) else column for column in columns]
            return self._table(names, _frame_rows(value))
        if isinstance(value, np.ndarray) and value.ndim == 2 and self.most_rows is not None:
            self._check_cells(*value.shape)
            left_out = max(0, len(value) - self.header - self.most_rows)
            table = self._object(plain_list(value[: len(value) - left_out]))
            return replace(table, more_rows=table.more_rows + left_out)
        if hasattr(value, "tolist"):
            value = plain_list(value)
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise self.fail(f"a table is rows, columns, a CSV text, a path or a frame, not {type(value).__name__}")
        if not value:
            raise self.fail("the table is empty")
        if isinstance(value[0], Mapping):
            return self._records(value)
        return self._listed(value)

    def _mapping(self, value: Mapping[Any, Any]) -> Table:
        header, rows, name = (next((key for key in keys if key in value), None) for keys in _KEYS)
        given = value[rows] if rows is not None else None
        if header is not None and isinstance(given, Sequence) and not isinstance(given, str):
            columns = list(self._sequence(value[header], "the header"))
            self._check_width(len(columns))
            if given and isinstance(given[0], Mapping):
                given = [[row.get(column) for column in columns] for row in given]
            return self._table(columns, given, name=self._cell(value[name], "the name") if name is not None else "")
        if not value:
            raise self.fail("the table is empty")
        self._check_width(len(value))
        lists = [self._sequence(cells, f"column {spell(str(key))!r}") for key, cells in value.items()]
        lengths = {len(cells) for cells in lists}
        if len(lengths) > 1:
            raise self.fail(f"the columns of the table are not equally long: {_few(map(len, lists))} cells")
        return self._table(list(value), zip(*lists, strict=True))

    def _records(self, rows: Sequence[Any]) -> Table:
        columns: dict[object, None] = {}
        for number, row in enumerate(rows, 1):
            if not isinstance(row, Mapping):
                raise self.fail(f"row {number} of the table is {type(row).__name__}, and row 1 a mapping")
            if row.keys() != columns.keys():
                columns.update(dict.fromkeys(row))
                self._check_width(len(columns))
        self._check_cells(len(rows), len(columns))
        kept = rows if self.most_rows is None else rows[: self.most_rows]
        table = self._table(list(columns), [[row.get(name) for name in columns] for row in kept])
        return replace(table, more_rows=len(rows) - len(kept))

    def _listed(self, rows: Iterable[Any]) -> Table:
        """Rows, the first naming the columns where there is a header."""
        if not isinstance(rows, list | tuple):
            first = list(islice(rows := iter(rows), 1))
            remaining: Iterable[Any] = rows
            rows = chain(first, rows)
        else:
            first, remaining = list(rows[:1]), rows[1:]
        head = first[0] if first else None
        if head is None:
            raise self.fail("the table is empty")
        width = len(self._sequence(head, "row 1"))
        self._check_width(width)
        if not width:
            raise self.fail("the first row of the table is empty")
        if self.header:
            return self._table(list(head), remaining)
        kept, more = self._rows(rows, width)
        return Table(columns=(), rows=kept, more_rows=more)

    def _table(self, columns: Sequence[object], rows: Iterable[Any], name: str = "") -> Table:
        if not columns:
            raise self.fail("the table has no columns")
        names = tuple(self._cell(column, f"column {number}") for number, column in enumerate(columns, 1))
        kept, more = self._rows(rows, len(names))
        return Table(columns=names, rows=kept, name=name, more_rows=more)

    def _rows(self, rows: Iterable[Any], width: int) -> tuple[tuple[tuple[str, ...], ...], int]:
        """The first ``most_rows`` rows, and how many more there are; these are counted, and their cells are not looked at."""
        made: list[tuple[str, ...]] = []
        number = 0
        if self.most_rows is not None and isinstance(rows, list | tuple) and _are_wide(rows[self.most_rows :], width):
            self._check_cells(len(rows), width)
            kept, _ = self._rows(iter(rows[: self.most_rows]), width)
            return kept, len(rows) - len(kept)
        for number, row in enumerate(rows, 1):
            cells = self._sequence(row, f"row {number}")
            if len(cells) != width:
                raise self.fail(f"row {number} of the table has {len(cells)} cells, and the table {width} columns")
            self._check_cells(number, width)
            if self.most_rows is None or number <= self.most_rows:
                made.append(tuple([self._cell(cell, f"row {number}") for cell in cells]))
        return tuple(made), number - len(made)

    def _joined(self, name: tuple[object, ...]) -> str:
        """The name of a column that has several levels."""
        return " ".join(filter(None, (self._cell(level, "the header") for level in name)))

    def _check_width(self, width: int) -> None:
        if width > self.max_columns:
            raise self.fail(f"the table has {width:,} columns, more than max_columns={self.max_columns:,}")

    def _check_cells(self, rows: int, width: int) -> None:
        if rows * width > self.max_cells:
            raise self.fail(f"the table has more than {self.max_cells:,} cells")

    def _sequence(self, value: Any, what: str) -> Sequence[Any]:
        if hasattr(value, "isna") and hasattr(value, "dtype"):
            value = column_values(value)
        elif hasattr(value, "tolist"):
            value = plain_list(value)
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise self.fail(f"{what} of the table is a list of cells, not {type(value).__name__}")
        return value

    def _cell(self, value: Any, where: str) -> str:
        if isinstance(value, str):
            if "\0" in value:
                raise self.fail(f"{where} of the table holds a NUL character, which no text has")
            return spell(value)
        value = plain(value)
        if is_missing(value) or (isinstance(value, float) and math.isinf(value)):
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        try:
            text = spell_number(value)
        except ValueError as error:
            raise self.fail(f"{where} of the table: {error}") from error
        if text is not None:
            return spell(text)
        raise self.fail(f"{where} of the table holds {type(value).__name__}; a cell is a text or a number")

    # Texts and files

    def _inline(self, text: str) -> Table | None:
        """The table that a string itself holds; None where it stands for a file."""
        if not holds_table(text):
            return None
        if _LINEARISED.match(text):
            table = parse_table(text)
            if table.problems:
                raise self.fail(f"not the text of a table: {table.problems[0]}")
            return self._object(table)
        if text.lstrip()[:1] in ("[", "{"):
            return self._json(text)
        return self._delimited(text)

    def _file(self, source: Path | bytes) -> Table:
        try:
            content = source[:16] if isinstance(source, bytes) else _head_of(source)
            if is_database(content):
                return self._object(
                    read_table_of(source, self.column, self.table, self.max_cells, self.max_columns, self.max_bytes)
                )
            data = source if isinstance(source, bytes) else source.read_bytes()
        except OSError as error:
            raise self.fail(f"cannot read `{source!r}`: {error}") from error
        suffix = source.suffix.lower() if isinstance(source, Path) else ""
        what = f"`{source}`" if isinstance(source, Path) else "the table"
        if b"\0" in data and encoding_of(data[:4]) not in ("utf-16", "utf-32"):
            raise self.fail(f"{what} holds NUL bytes: neither a text nor a SQLite database")
        try:
            text = decode_text(data)
        except UnicodeDecodeError as error:
            raise self.fail(f"{what} is neither a text in UTF-8 nor a SQLite database") from error
        if not text.strip():
            raise self.fail(f"{what} holds blanks alone")
        if suffix == ".jsonl":
            return self._json("[" + ",".join(line for line in split_lines(text) if line.strip()) + "]")
        if suffix in ("", ".json", ".txt") and (table := self._inline(text)) is not None:
            return table
        return self._delimited(text, usual="," if suffix == ".csv" else "\t")

    def _json(self, text: str) -> Table:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = "too deeply nested" if isinstance(error, RecursionError) else str(error)
            raise self.fail(f"a table that starts with `{text.strip()[:1]}` is JSON, and this is not: {reason}") from error
        return self._object(value)

    def _delimited(self, text: str, usual: str = "\t") -> Table:
        if "\0" in text:
            raise self.fail("the table holds a NUL character, which no text has")
        delimiter = recognise(text, usual)
        first = 1

        def lines() -> Iterator[str]:
            nonlocal first
            for record, _, number in records(text, delimiter):
                first = number
                yield record

        try:
            return self._listed(row for row in cells(lines(), delimiter) if row)
        except csv.Error as error:
            raise self.fail(f"line {first} of the table cannot be read: {error}") from error


def _frame_rows(frame: Any) -> Iterable[tuple[Any, ...]]:
    """A frame's rows, those of pandas with numbers as :func:`column_values` gives them."""
    if not hasattr(frame, "iloc"):
        rows: Iterable[tuple[Any, ...]] = frame.itertuples(index=False, name=None)
        return rows
    return zip(*(column_values(frame.iloc[:, place]) for place in range(len(frame.columns))), strict=True)


def holds_table(text: str) -> bool:
    """Whether a string itself holds a table: linearised, JSON or lines; otherwise it stands for a file.

    >>> holds_table("a,b\\n1,2"), holds_table("tables/items.csv")
    (True, False)
    """
    if _LINEARISED.match(text) or text.lstrip()[:1] in ("[", "{"):
        return True
    return "\n" in text.strip() and text[:5].lower() != "data:" and not text.lstrip().startswith(_DATABASE_IN_BASE64)


def _head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _are_wide(rows: Sequence[Any], width: int) -> bool:
    """Whether they are lists of that many cells, all of them, without a look at one after the other."""
    return set(map(type, rows)) <= {list, tuple} and set(map(len, rows)) <= {width}


def _few(numbers: Iterable[int]) -> str:
    distinct = sorted(set(numbers))
    return ", ".join(map(str, distinct[:4])) + (" …" if len(distinct) > 4 else "")
