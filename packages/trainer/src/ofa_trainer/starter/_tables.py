"""Questions about a few rows of a real table, their SQL, and their answers as sqlite gives them.

In training every other table has its columns named anew with words of the dictionary, so that a name is looked up in the table,
not in memory; cells are always the table's own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias, TypedDict, TypeVar, get_args

import numpy as np

from ofa_trainer.starter._extension_pack import Cell, TableRecord, tables, words
from ofa_trainer.starter._pack import Split

TableKind = Literal["look_up", "which", "extreme", "count", "group", "total", "list"]
TABLE_KINDS: tuple[TableKind, ...] = get_args(TableKind)
ANSWERED: tuple[TableKind, ...] = ("look_up", "which", "extreme", "count", "group")
"""The kinds whose answer is one cell or a small number, which needs no arithmetic."""

_SHARES = {"look_up": 0.3, "which": 0.25, "extreme": 0.15, "count": 0.15, "group": 0.15, "total": 0.15, "list": 0.15}
_NUM_ROWS = (4, 5)
_NUM_COLUMNS = 3
_RENAMED = 0.5
_TYPES = frozenset(
    {
        "at",
        "avg",
        "any",
        "count",
        "data",
        "date",
        "day",
        "hour",
        "int",
        "interval",
        "max",
        "min",
        "minute",
        "month",
        "only",
        "open",
        "real",
        "second",
        "some",
        "sum",
        "text",
        "time",
        "top",
        "true",
        "false",
        "use",
        "user",
        "year",
        "zone",
    }
)
"""Words that mean something else in a query, though sqlite takes them as names."""


class NamedTable(TypedDict):
    """A table as the STRUCT modality reads it."""

    name: str
    columns: list[str]
    rows: list[list[Cell]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuestion:
    """A question about a table, in English and in SQL, and what sqlite answers; ``record`` is where the rows come from."""

    record: TableRecord
    table: NamedTable
    question: str
    sql: str
    answer: str
    kind: TableKind


Item = TypeVar("Item")
_Asked: TypeAlias = tuple[str, str]


@cache
def tables_of(split: Split) -> tuple[TableRecord, ...]:
    """The tables of a split, by name."""
    return tuple(record for record in tables() if record.split == split)


def ask_table(rng: np.random.Generator, split: Split, kinds: Sequence[TableKind]) -> TableQuestion:
    """A question of one of the kinds that a few rows of a table of the split settle; others are drawn until one does."""
    shares = np.array([_SHARES[kind] for kind in kinds])
    while True:
        kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
        record = _pick(rng, tables_of(split))
        if kind == "group" and not record.groups:
            record = _pick(rng, [other for other in tables_of(split) if other.groups])
        rename = split == "train" and rng.random() < _RENAMED
        table, group = _excerpt(rng, record, rename=rename, with_group=kind == "group")
        asked = _ask(rng, table, group, kind)
        if asked is None:
            continue
        found = run_sql(table, asked[1])
        if found and (kind == "list" or len(found) == 1):
            answer = ", ".join(_spell(row[0]) for row in found)
            return TableQuestion(record=record, table=table, question=asked[0], sql=asked[1], answer=answer, kind=kind)


def run_sql(table: NamedTable, sql: str) -> list[tuple[Cell, ...]]:
    """Rows that a query finds in a table, in a database of its own in memory. Raises sqlite3.Error for what is no query."""
    connection = sqlite3.connect(":memory:")
    try:
        columns = ", ".join(f'"{column}"' for column in table["columns"])
        connection.execute(f'CREATE TABLE "{table["name"]}" ({columns})')
        places = ", ".join("?" * len(table["columns"]))
        connection.executemany(f'INSERT INTO "{table["name"]}" VALUES ({places})', table["rows"])
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@cache
def _new_names() -> tuple[str, ...]:
    """Words of training that are names in SQL without quotes, as sqlite itself and the common dialects take them."""
    connection = sqlite3.connect(":memory:")
    try:
        short = (item.word for item in words() if item.split == "train" and len(item.word) <= 8)
        return tuple(word for word in short if word not in _TYPES and _is_name(connection, word))
    finally:
        connection.close()


def _is_name(connection: sqlite3.Connection, word: str) -> bool:
    try:
        connection.execute(f"SELECT {word} FROM (SELECT 1 AS {word}) AS {word} WHERE {word} > 0 ORDER BY {word}")
    except sqlite3.OperationalError:
        return False
    return True


def _excerpt(rng: np.random.Generator, record: TableRecord, *, rename: bool, with_group: bool) -> tuple[NamedTable, int | None]:
    """Some rows with different keys, the key and two other columns in any order behind it; and which column has few values."""
    others = (1 + rng.permutation(len(record.columns) - 1)).tolist()
    if with_group:
        group = record.columns.index(_pick(rng, record.groups))
        others.remove(group)
        others.insert(int(rng.integers(_NUM_COLUMNS - 1)), group)
    chosen = [0, *others[: _NUM_COLUMNS - 1]]
    wanted = int(rng.integers(_NUM_ROWS[0], _NUM_ROWS[1] + 1))
    rows: list[list[Cell]] = []
    for number in rng.permutation(len(record.rows)).tolist():
        row = [record.rows[number][column] for column in chosen]
        if row[0] not in [kept[0] for kept in rows]:
            rows.append(row)
        if len(rows) == wanted:
            break
    columns = [record.columns[column] for column in chosen]
    grouped = [place for place, column in enumerate(columns) if column in record.groups]
    name = record.name
    if rename:
        names = _new_names()
        drawn = rng.choice(len(names), len(columns) + 1, replace=False).tolist()
        name, *columns = (names[number] for number in drawn)
    return NamedTable(name=name, columns=columns, rows=rows), grouped[0] if grouped else None


def _ask(rng: np.random.Generator, table: NamedTable, group: int | None, kind: TableKind) -> _Asked | None:
    key, rows = table["columns"][0], table["rows"]
    if kind == "look_up":
        place = int(rng.integers(1, len(table["columns"])))
        return _look_up(rng, table, place)
    if kind == "group":
        return _group(rng, table, group)
    numeric = [place for place in range(1, len(table["columns"])) if all(not isinstance(row[place], str) for row in rows)]
    numeric = [place for place in numeric if place != group]
    if not numeric:
        return None
    place = _pick(rng, numeric)
    column, values = table["columns"][place], [row[place] for row in rows]
    if kind == "count":
        return _count(rng, table["name"], column, values)
    if len(set(values)) < len(values):
        return None
    high = bool(rng.integers(2))
    word, function, order = ("highest", "MAX", "DESC") if high else ("lowest", "MIN", "ASC")
    if kind == "which":
        ordered = f"ORDER BY {column} {order} LIMIT 1"
        return f"which {key} has the {word} {column}?", f"SELECT {key} FROM {table['name']} {ordered}"
    if kind == "extreme":
        return f"what is the {word} {column}?", f"SELECT {function}({column}) FROM {table['name']}"
    if kind == "total":
        word, function = _pick(rng, (("total", "SUM"), ("average", "AVG")))
        return f"what is the {word} {column}?", f"SELECT {function}({column}) FROM {table['name']}"
    word, sign = ("above", ">") if high else ("below", "<")
    limit = _pick(rng, values)
    return f"list each {key} with {column} {word} {limit}", f"SELECT {key} FROM {table['name']} WHERE {column} {sign} {limit}"


def _look_up(rng: np.random.Generator, table: NamedTable, place: int) -> _Asked:
    key, column = table["columns"][0], table["columns"][place]
    wanted = _pick(rng, table["rows"])[0]
    text = _pick(rng, ("what is the {column} of {wanted}?", "what {column} has {wanted}?", "{column} of the {key} {wanted}?"))
    question = text.format(column=column, key=key, wanted=wanted)
    return question, f"SELECT {column} FROM {table['name']} WHERE {key} = {_literal(wanted)}"


def _group(rng: np.random.Generator, table: NamedTable, group: int | None) -> _Asked | None:
    if group is None:
        return None
    column, wanted = table["columns"][group], _pick(rng, table["rows"])[group]
    question = f"how many rows have {column} {wanted}?"
    return question, f"SELECT COUNT(*) FROM {table['name']} WHERE {column} = {_literal(wanted)}"


def _count(rng: np.random.Generator, name: str, column: str, values: list[Cell]) -> _Asked:
    word, sign = _pick(rng, (("above", ">"), ("below", "<")))
    limit = _pick(rng, values)
    return f"how many rows have {column} {word} {limit}?", f"SELECT COUNT(*) FROM {name} WHERE {column} {sign} {limit}"


def _literal(value: Cell) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _spell(value: Cell) -> str:
    """A cell as the table's text says it; an average has six digits at most."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]
