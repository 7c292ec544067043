"""A database's schema ⇄ its text, and which of its values a question names.

    | concerts | singer : id key , name ( Joe Sharp ) , age | song : id key , singer refers singer.id

The form of Shaw et al. 2021 (arXiv 2010.12725) and PICARD (Scholak et al. 2021, arXiv 2109.05093): the database, then its
tables with their columns, a column's matched values in parentheses behind it; here with what its keys are. Where not all of it
fits, ``...`` stands for columns, and for tables, that were left out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ofa_modalities.struct.database import ColumnSchema, Schema, TableSchema
from ofa_modalities.struct.output import spell
from ofa_modalities.struct.table_database import quote_name
from ofa_modalities.text.equality import folded
from ofa_modalities.text.words import plain_words

Values = Mapping[tuple[str, str], tuple[str, ...]]
"""Matched values by (table, column)."""

_MOST_WORDS = 8
_MOST_CHARACTERS = 100
_COMMON_WORDS = """
    a an and are as at by do does for from has have how in is it list many more most name no not of on or show than that the
    their there to what when where which who with yes
"""
_COMMON = frozenset(_COMMON_WORDS.split())
"""Words of questions that say nothing about the values of a database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaText:
    """How a schema is written. keys, types: whether they are. values: matched ones."""

    schema: Schema
    values: Values
    keys: bool = True
    types: bool = False

    def write(self, most_columns: int | None = None, most_tables: int | None = None) -> str:
        """The text, with at most so many columns of each table, and so many tables."""
        tables = self.schema.tables if most_tables is None else self.schema.tables[:most_tables]
        parts = [spell(self.schema.name)] if self.schema.name else []
        parts += [self._table(table, most_columns) for table in tables]
        if len(tables) < len(self.schema.tables):
            parts.append("...")
        return "| " + " | ".join(parts)

    def within(self, limit: int, count: Callable[[str], int]) -> str | None:
        """The text in at most ``limit`` tokens: columns are left out of the widest tables, then tables from the last one on.

        Keys and columns with matched values are the last to go. None: not even one table with one column fits.
        """
        text = self.write()
        if count(text) <= limit:
            return text
        widest = max(len(table.columns) for table in self.schema.tables)
        columns = _largest(widest, lambda most: count(self.write(most)) <= limit)
        if columns:
            return self.write(columns)
        tables = _largest(len(self.schema.tables), lambda most: count(self.write(1, most)) <= limit)
        return self.write(1, tables) if tables else None

    def _table(self, table: TableSchema, most: int | None) -> str:
        columns = table.columns
        if most is not None and len(columns) > most:
            order = sorted(range(len(columns)), key=lambda place: (not self._is_told(table, columns[place]), place))
            columns = tuple(columns[place] for place in sorted(order[:most]))
        written = [self._column(table, column) for column in columns]
        if len(columns) < len(table.columns):
            written.append("...")
        return f"{spell(table.name)} : {' , '.join(written)}"

    def _is_told(self, table: TableSchema, column: ColumnSchema) -> bool:
        return (table.name, column.name) in self.values or (self.keys and (column.key or column.refers is not None))

    def _column(self, table: TableSchema, column: ColumnSchema) -> str:
        words = [spell(column.name)]
        if self.types and column.type:
            words.append(spell(column.type))
        if self.keys and column.key:
            words.append("key")
        if self.keys and column.refers is not None:
            words.append(f"refers {spell('.'.join(part for part in column.refers if part))}")
        matched = self.values.get((table.name, column.name), ())
        if matched:
            words.append(f"( {' , '.join(matched)} )")
        return " ".join(words)


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number in 1 .. ``most`` that fits, smaller ones fitting as well; 0: none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def match_values(
    connection: sqlite3.Connection, schema: Schema, question: str, *, max_values: int = 2, max_scan_rows: int = 10_000
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Texts of the database that occur in a question as whole words, case aside; the longest of each column first."""
    runs = _runs(question)
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    if not runs or not max_values or not max_scan_rows:
        return found
    for table in schema.tables:
        for column in table.columns:
            name = quote_name(column.name)
            rows = connection.execute(
                f"SELECT DISTINCT value FROM (SELECT {name} AS value FROM {quote_name(table.name)} LIMIT ?)"
                " WHERE typeof(value) = 'text' AND length(value) <= ?",
                (max_scan_rows, _MOST_CHARACTERS),
            )
            matched = {spell(value): None for (value,) in rows if _key(value) in runs}
            if matched:
                best = sorted(matched, key=lambda value: (-len(value), value))[:max_values]
                found[table.name, column.name] = tuple(best)
    return found


def _key(text: str) -> str:
    return " ".join(plain_words(folded(text)))


def _runs(question: str) -> frozenset[str]:
    """Runs of words of a question that may be values."""
    said = plain_words(folded(question))
    runs = {
        " ".join(said[start:stop])
        for start in range(len(said))
        for stop in range(start + 1, min(len(said), start + _MOST_WORDS) + 1)
        if not _COMMON.issuperset(said[start:stop])
    }
    return frozenset(run for run in runs if len(run) > 1)
