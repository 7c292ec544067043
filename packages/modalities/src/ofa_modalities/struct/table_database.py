"""A table as the only one of a database: its texts stay what they are, and its numbers are numbers.

A column is one of numbers where every cell that SQLite would take for a number is spelled as that number is. Where one is
not (``007``, ``1e5``, ``+5``, ``1.50``, a number of twenty digits), the whole column is text, so that nothing is found that is
spelled otherwise; it is still ordered, and compared with < and >, by what its numbers are worth.
"""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

from ofa_modalities.struct.output import Cell, Table

COLLATION = "numbers"
"""Order of the texts of a column that holds numbers in other spellings: by value, then by spelling; other texts come behind."""

_NUMBER = re.compile(r"[ \t\n\v\f\r]*[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,9})?[ \t\n\v\f\r]*")
_LONGEST = 400
"""Characters of the longest number that is ordered by its value."""


def quote_name(name: str) -> str:
    """A name as SQL says it."""
    return '"' + name.replace('"', '""') + '"'


def make_table(connection: sqlite3.Connection, table: Table, ends: float) -> None:
    """Create the table, under its name or else as ``t``. ends: when ordering gives up, by the monotonic clock.

    Raises ValueError for a table without columns, sqlite3.Error for one that SQLite does not take.
    """
    names = table.columns or tuple(f"c{number}" for number in range(1, table.width + 1))
    if not names:
        raise ValueError("the table has no columns")
    kinds = [_kind([row[place] for row in table.rows]) for place in range(len(names))]

    def compare(first: str, second: str) -> int:
        # SQLite does not stop while it sorts; once all are equal, it is soon done, and then it does.
        return 0 if time.monotonic() > ends else _compare(first, second)

    connection.create_collation(COLLATION, compare)
    name = quote_name(table.name or "t")
    declared = ", ".join(f"{quote_name(column)} {kind}" for column, kind in zip(names, kinds, strict=True))
    connection.execute(f"CREATE TABLE {name} ({declared})")
    rows = ([_stored(cell, kind) for cell, kind in zip(row, kinds, strict=True)] for row in table.rows)
    connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(names))})", rows)


def _kind(cells: Sequence[Cell]) -> str:
    """How the column is declared: the first that changes no spelling."""
    for kind, stays in (("NUMERIC", _stays_numeric), ("REAL", _stays_real)):
        if all(map(stays, cells)):
            return kind
    return f"TEXT COLLATE {COLLATION}"


def _stays_numeric(cell: Cell) -> bool:
    """Whether SQLite's NUMERIC keeps the spelling; it makes whole numbers of floats such as 1.0."""
    if isinstance(cell, str):
        if _NUMBER.fullmatch(cell) is None:
            return True
        return _whole(cell) is not None or _fraction(cell)
    if isinstance(cell, int):
        return -(2**63) <= cell < 2**63
    return cell is None or not cell.is_integer()


def _stays_real(cell: Cell) -> bool:
    """Whether SQLite's REAL does; it makes floats of whole numbers."""
    if isinstance(cell, str):
        return _NUMBER.fullmatch(cell) is None or _is_float(cell)
    return cell is None or isinstance(cell, float)


def _whole(text: str) -> int | None:
    if len(text) > 20 or not text.removeprefix("-").isdecimal():
        return None
    number = int(text)
    return number if str(number) == text and -(2**63) <= number < 2**63 else None


def _is_float(text: str) -> bool:
    return len(text) <= 30 and repr(float(text)) == text and math.isfinite(float(text))


def _fraction(text: str) -> bool:
    return _is_float(text) and not float(text).is_integer()


def _stored(cell: Cell, kind: str) -> Cell:
    """What is put into a column of a kind."""
    if kind.startswith("TEXT"):
        return cell if cell is None or isinstance(cell, str) else str(cell)
    if isinstance(cell, str) and _NUMBER.fullmatch(cell):
        return float(cell) if kind == "REAL" or _whole(cell) is None else int(cell)
    return cell


def _compare(first: str, second: str) -> int:
    one, other = _key(first), _key(second)
    return (one > other) - (one < other)


@lru_cache(maxsize=65_536)
def _key(text: str) -> tuple[int, Decimal, str]:
    if len(text) <= _LONGEST and _NUMBER.fullmatch(text):
        return 0, Decimal(text.strip()), text
    return 1, Decimal(0), text
