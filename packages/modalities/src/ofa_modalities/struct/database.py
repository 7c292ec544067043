"""SQLite databases, opened so that nothing in them or asked of them can write or run for ever.

A path is opened with ``mode=ro`` and ``immutable=1``; bytes and SQL text live in memory. A file that is cut off, or whose
changes lie in a write-ahead log that ``immutable=1`` would leave out, is refused. Queries are compiled under an
authorizer that knows reading alone, run under ``query_only`` and a limit on the size of a value, and are interrupted when
their time is up.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofa_modalities.processor import SampleError
from ofa_modalities.struct.output import Cell, Table
from ofa_modalities.struct.table_database import make_table, quote_name

MAGIC = b"SQLite format 3\0"
_HEAD_BYTES = 100
_CHECK_EVERY = 1000
"""Steps of SQLite's machine between two looks at the clock."""
_MOST_IN_MEMORY = 64_000_000
"""Largest database that SQL text or a table may make, in bytes."""
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_MAKING = _READING | {
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_CREATE_INDEX,
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_REINDEX,
    sqlite3.SQLITE_TRANSACTION,
}
_BAD_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})


class SqlError(ValueError):
    """A query that is not accepted or cannot be answered, or a database that cannot be read."""


def is_database(head: bytes) -> bool:
    """Whether the first bytes are those of a SQLite database."""
    return head.startswith(MAGIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSchema:
    """type: as declared, lower case. key: of the primary key. refers: (table, column) of a foreign key."""

    name: str
    type: str = ""
    key: bool = False
    refers: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """A table of a database."""

    name: str
    columns: tuple[ColumnSchema, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The tables of a database, in the order they were created."""

    name: str = ""
    tables: tuple[TableSchema, ...] = ()


def creates_tables(text: str) -> bool:
    """Whether a text is SQL that creates a database rather than a path."""
    return "create table" in " ".join(text.lower().split())


@contextmanager
def open_database(
    source: str | Path | bytes | Table, *, max_seconds: float = 5.0, max_bytes: int = 10_000_000
) -> Iterator[sqlite3.Connection]:
    """A connection that reads, until ``max_seconds`` are over; no value is larger than ``max_bytes``.

    source: a path, the bytes of a database, SQL text that creates one (CREATE TABLE, INSERT), or a table, which becomes the
    only one, named as it is or else ``t``.
    Raises SqlError, also for what goes wrong with the database inside the ``with``.
    """
    ends = time.monotonic() + max_seconds
    try:
        connection = _connect(source, ends, max_bytes)
    except (sqlite3.Error, ValueError, OSError) as error:
        raise _told(error, ends, max_seconds) from error
    try:
        connection.execute("PRAGMA query_only = ON")
        _guard(connection, ends, max_bytes, _READING)
        yield connection
    except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
        raise _told(error, ends, max_seconds) from error
    finally:
        connection.close()


def _told(error: BaseException, ends: float, max_seconds: float) -> SqlError:
    if isinstance(error, SqlError):
        return error
    if isinstance(error, sqlite3.OperationalError) and "interrupted" in str(error) and time.monotonic() >= ends:
        return SqlError(f"it took longer than {max_seconds:g} seconds and was stopped")
    return SqlError(str(error))


def _connect(source: str | Path | bytes | Table, ends: float, max_bytes: int) -> sqlite3.Connection:
    if isinstance(source, bytes | Table) or (isinstance(source, str) and creates_tables(source)):
        connection = sqlite3.connect(":memory:")
    else:
        connection = sqlite3.connect(_address(Path(source)), uri=True)
    try:
        if isinstance(source, bytes):
            _load(connection, source)
        elif isinstance(source, Table):
            connection.execute(f"PRAGMA max_page_count = {_pages(max_bytes)}")
            make_table(connection, source, ends)
        elif isinstance(source, str) and creates_tables(source):
            connection.execute(f"PRAGMA max_page_count = {_pages(max_bytes)}")
            _guard(connection, ends, max_bytes, _MAKING)
            connection.executescript(source)
            connection.set_authorizer(None)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
    except BaseException:
        connection.close()
        raise
    connection.text_factory = _text
    return connection


def _address(path: Path) -> str:
    if not path.is_file():
        raise SqlError(f"there is no database `{path}`")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not is_database(head):
        raise SqlError(f"`{path}` is not a SQLite database")
    path = path.resolve()
    log = path.with_name(f"{path.name}-wal")
    if log.is_file() and log.stat().st_size:
        raise SqlError(
            f"`{path}` has changes that are not checkpointed, in `{log.name}`: close what writes to it, or run"
            f" `PRAGMA wal_checkpoint(TRUNCATE)` on it"
        )
    _check_whole(head, path.stat().st_size)
    return f"{path.as_uri()}?mode=ro&immutable=1"


def _check_whole(head: bytes, size: int) -> None:
    """Raises SqlError for a database that is cut off, which SQLite reads as if the rest were empty.

    https://www.sqlite.org/fileformat2.html#the_database_header
    """
    if len(head) < _HEAD_BYTES:
        raise SqlError(f"the database is truncated: a header has {_HEAD_BYTES} bytes, and it has {size:,}")
    page_size = int.from_bytes(head[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    if page_size < 512 or page_size & (page_size - 1):
        return  # no page size; SQLite says so
    pages = int.from_bytes(head[28:32], "big")
    if pages and head[24:28] == head[92:96]:
        if size < pages * page_size:
            count = f"{pages:,} page{'s' if pages > 1 else ''} of {page_size}"
            raise SqlError(f"the database is truncated: its header says {count} bytes, and it has {size:,} bytes")
    elif size % page_size:  # the count was left by a version of SQLite before 3.7.0, which does not keep it
        raise SqlError(f"the database is truncated: its pages have {page_size} bytes each, and it has {size:,} bytes")


def _load(connection: sqlite3.Connection, content: bytes) -> None:
    if not is_database(content[:16]):
        raise SqlError("these bytes are not a SQLite database")
    _check_whole(content[:_HEAD_BYTES], len(content))
    # Versions 2 mean a write-ahead log, which lies in a file; in memory there is none.
    connection.deserialize(content[:18] + b"\1\1" + content[20:])


def _pages(max_bytes: int) -> int:
    """Most pages of a database that is made in memory."""
    return max(16, min(max_bytes, _MOST_IN_MEMORY) // 4096)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _guard(connection: sqlite3.Connection, ends: float, max_bytes: int, allowed: frozenset[int]) -> None:
    def authorize(action: int, first: str | None, second: str | None, database: str | None, inner: str | None) -> int:
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _BAD_FUNCTIONS:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_PRAGMA:
            # Asked by those who read the schema; what a script says has no effect.
            return sqlite3.SQLITE_OK if first in ("table_info", "foreign_key_list") else sqlite3.SQLITE_IGNORE
        return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY

    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max_bytes)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.set_authorizer(authorize)
    connection.set_progress_handler(lambda: int(time.monotonic() > ends), _CHECK_EVERY)


def read_schema(connection: sqlite3.Connection, name: str = "", *, max_tables: int = 256, max_columns: int = 2048) -> Schema:
    """Tables, columns and keys. Raises SqlError where there are more than so many, or none."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")]
    names = [table for table in names if not table.lower().startswith("sqlite_")]
    if not names:
        raise SqlError("the database has no tables")
    if len(names) > max_tables:
        raise SqlError(f"the database has {len(names):,} tables, more than max_tables={max_tables:,}")
    primary: dict[str, list[str]] = {}
    found = []
    total = 0
    for table in names:
        info = connection.execute(f"PRAGMA table_info({quote_name(table)})").fetchall()
        total += len(info)
        if total > max_columns:
            raise SqlError(f"the database has more than {max_columns:,} columns")
        primary[table.lower()] = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
        found.append((table, info, connection.execute(f"PRAGMA foreign_key_list({quote_name(table)})").fetchall()))
    return Schema(name=name, tables=tuple(_table_schema(table, info, foreign, primary) for table, info, foreign in found))


def _table_schema(
    table: str, info: Sequence[Sequence[Any]], foreign: Sequence[Sequence[Any]], primary: Mapping[str, Sequence[str]]
) -> TableSchema:
    refers: dict[str, tuple[str, str]] = {}
    for _, place, other, column, to, *_ in foreign:
        keys = primary.get(other.lower(), ())
        target = to if to is not None else keys[place] if place < len(keys) else ""
        refers.setdefault(column.lower(), (other, target))
    columns = tuple(
        ColumnSchema(name=name, type=(kind or "").lower(), key=bool(key), refers=refers.get(name.lower()))
        for _, name, kind, _, _, key in info
    )
    return TableSchema(name=table, columns=columns)


def read_table_of(
    source: Path | bytes, column: str, table: str | None, max_cells: int, max_columns: int, max_bytes: int
) -> Table:
    """One table of a database. Raises SampleError where it holds several and ``table`` names none."""
    try:
        with open_database(source, max_bytes=max_bytes) as connection:
            names = [found.name for found in read_schema(connection, max_columns=1 << 20).tables]
            chosen = table if table is not None else names[0]
            if chosen not in names or (table is None and len(names) > 1):
                which = f"no table `{table}`" if table is not None else f"{len(names)} tables"
                raise SampleError(column, f"the database has {which}: {', '.join(names[:10])}; say which with `table=`")
            cursor = connection.execute(f"SELECT * FROM {quote_name(chosen)}")
            columns = tuple(entry[0] for entry in cursor.description)
            if len(columns) > max_columns:
                raise SampleError(column, f"the table has {len(columns):,} columns, more than max_columns={max_columns:,}")
            too_much = SampleError(column, f"the table has more than {max_cells:,} cells or {max_bytes:,} bytes")
            most = max_cells // max(1, len(columns))
            rows = fetch(cursor, lambda count, size: too_much, max_rows=most, max_bytes=max_bytes)
    except SqlError as error:
        raise SampleError(column, f"the database cannot be read: {error}") from error
    return Table(columns=columns, rows=rows, name=chosen)


def fetch(
    cursor: sqlite3.Cursor, too_much: Callable[[int, int], Exception], *, max_rows: int, max_bytes: int
) -> tuple[tuple[Cell, ...], ...]:
    """All rows of a cursor; raises what ``too_much`` makes of their number and bytes where there are more."""
    rows: list[tuple[Cell, ...]] = []
    size = 0
    for row in cursor:
        cells = tuple(_cell(value) for value in row)
        size += sum(len(cell) if isinstance(cell, str) else 8 for cell in cells)
        if len(rows) == max_rows or size > max_bytes:
            raise too_much(len(rows), size)
        rows.append(cells)
    return tuple(rows)


def _cell(value: Any) -> Cell:
    return f"x'{value.hex()}'" if isinstance(value, bytes) else value
