"""STRUCT: tables, queries and databases ⇄ ids of the text block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan

from ofa_modalities.processor import BaseProcessor, DecodeContext, EncodeContext, Item, Resources, SampleError, TokenRule
from ofa_modalities.reading import Reading
from ofa_modalities.struct.database import Schema, SqlError, open_database, read_schema
from ofa_modalities.struct.encoding import MOST_CHARACTERS_OF_A_TOKEN, column_types, linearise_within, parse_table
from ofa_modalities.struct.finding import find_database, names_columns, spider_schema
from ofa_modalities.struct.output import Sql, Table
from ofa_modalities.struct.query import check_query, normalise_query
from ofa_modalities.struct.reading import TableReader
from ofa_modalities.struct.schema import SchemaText, match_values
from ofa_modalities.struct.spec import SOURCE_LENGTH, TARGET_LENGTH, DatabaseOptions, StructOptions, TableOptions
from ofa_modalities.text.reading import read_text

_MOST_PARTS = 10_000
"""Of a list, that words for a tokenizer are looked for in."""
_FILES = (".csv", ".tsv", ".json", ".jsonl", ".db", ".sqlite", ".sqlite3", ".sql")


class _TextOfStruct(BaseProcessor):
    """What both processors share: a text becomes ids within a budget."""

    def __init__(self, slot: SlotPlan, options: StructOptions, resources: Resources) -> None:
        """Raises ValueError for a closed set."""
        super().__init__(slot, options, resources)
        if resources.candidates is not None:
            raise ValueError(f"column `{slot.column}`: a table or a query has no closed set; a TEXT slot takes one")
        self.max_length = options.max_length or (SOURCE_LENGTH if slot.side == "source" else TARGET_LENGTH)
        self._uncased = options.uncased
        self._tokenizer = resources.vocabulary.tokenizer

    def _count(self, text: str) -> int:
        return len(self._ids(text))

    def _ids(self, text: str) -> list[int]:
        try:
            return self._tokenizer.encode(text.lower() if self._uncased else text)
        except ValueError as error:
            raise SampleError(self.slot.column, str(error)) from error

    def _item(self, text: str) -> Item:
        ids = self._ids(text)
        if not ids:
            raise SampleError(self.slot.column, "there is nothing to encode")
        return Item(units=np.array(ids, np.int64), shape=(len(ids),))

    def token_rule(self) -> TokenRule:
        """Text until ``<end>``."""
        return TokenRule(blocks=("text",))

    @classmethod
    def corpus(cls, slot: SlotPlan, options: Any, value: object) -> Iterable[str]:
        """Names and cells, as they will stand in the text; files are not opened."""
        is_query = isinstance(options, TableOptions) and options.form == "sql"
        for text in _words(value):
            text = text.lower() if options.uncased else text
            yield text if is_query else f"row 1 : {text} | {text}"


class TableProcessor(_TextOfStruct):
    """Encodes a table as its linearised text, or a query (``as=sql``); see :mod:`ofa_modalities.struct.encoding`.

    What is read is cut to ``max_length`` tokens, rows before columns; rows that cannot fit (each has two tokens at least) are
    counted and not looked at. An answer is learnt whole or not at all.
    """

    def __init__(self, slot: SlotPlan, options: TableOptions, resources: Resources) -> None:
        super().__init__(slot, options, resources)
        self.options = options
        self.form: Literal["table", "sql"] = options.form
        self.is_learnt = slot.side == "target" and not slot.no_loss
        self._reader = TableReader(
            column=slot.column,
            header=options.header,
            table=options.table,
            most_rows=self.max_length // 2 if self.is_learnt else min(options.max_rows, self.max_length // 2),
            max_columns=options.max_columns,
            max_cells=options.max_cells,
            max_bytes=options.max_bytes,
        )

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Ids of the text. Raises SampleError for what is no table, or no query, and for an answer that is too long."""
        if self.form == "sql":
            return self._query(value)
        table = self._reader.read(value, root=context.root, hosts=context.hosts)
        if self.options.types and not table.types:
            table = replace(table, types=column_types(table))
        if self.is_learnt:
            self._check_rows(table)
            return self._whole(str(table), "table")
        text = linearise_within(self._shortened(table), self.max_length, self._count)
        if text is None:
            raise SampleError(self.slot.column, f"not even the first column's name fits into max_length={self.max_length} tokens")
        return self._item(text)

    def reference(self, value: object, context: EncodeContext) -> Table | str:
        """The table with all its rows, or the query as it is written when it is learnt.

        Raises SampleError for anything else, and for a table of more rows than an answer may have.
        """
        if self.form == "sql":
            return self._query_text(value)
        table = self._reader.read(value, root=context.root, hosts=context.hosts)
        self._check_rows(table)
        return table

    def _query(self, value: object) -> Item:
        return self._whole(self._query_text(value), "query", cased=True)

    def _query_text(self, value: object) -> str:
        text = read_text(str(value) if isinstance(value, Sql) else value, self.slot.column)
        try:
            check_query(text)
        except SqlError as error:
            raise SampleError(self.slot.column, str(error)) from error
        return normalise_query(text, uncased=self._uncased)

    def _whole(self, text: str, what: str, *, cased: bool = False) -> Item:
        if len(text) > MOST_CHARACTERS_OF_A_TOKEN * self.max_length:
            raise self._too_long(f"the {what} has {len(text):,} characters")
        ids = self._tokenizer.encode(text) if cased else self._ids(text)
        if len(ids) > self.max_length:
            raise self._too_long(f"the {what} has {len(ids)} tokens")
        return Item(units=np.array(ids, np.int64), shape=(len(ids),))

    def _check_rows(self, table: Table) -> None:
        if self.is_learnt and table.more_rows:
            raise self._too_long(f"the table has {len(table.rows) + table.more_rows:,} rows of two tokens at least")

    def _too_long(self, what: str) -> SampleError:
        return SampleError(self.slot.column, f"{what}, more than max_length={self.max_length} tokens")

    def _shortened(self, table: Table) -> Table:
        """The same rows with cells of at most ``max_cell_length`` characters."""
        most = self.options.max_cell_length
        cut = tuple(
            tuple(cell if not isinstance(cell, str) or len(cell) <= most else cell[: most - 3].rstrip() + "..." for cell in row)
            for row in table.rows
        )
        return replace(table, rows=cut)

    def decode(self, units: NDArray[Any], context: DecodeContext) -> Table | Sql:
        """A table, mended where the text is not quite one, or the query as it was written."""
        ids = units.tolist()
        text = self._tokenizer.decode(self._tokenizer.whole(ids) if context.is_cut else ids)
        return Sql(text) if self.form == "sql" else parse_table(text)


class DatabaseProcessor(_TextOfStruct):
    """Encodes the schema of a database; see :mod:`ofa_modalities.struct.schema`.

    A value is a path or the bytes of a SQLite database, SQL text that creates one, or a mapping: ``database`` or ``db_path``
    (one of these), or a schema in the columns of Spider (``db_table_names`` and its like); with ``question`` and ``db_id``
    where it has them.
    """

    def __init__(self, slot: SlotPlan, options: DatabaseOptions, resources: Resources) -> None:
        """Raises ValueError on the target side: a database is read, not answered."""
        super().__init__(slot, options, resources)
        if slot.generator is not None:
            raise ValueError(f"column `{slot.column}`: a database is read, not answered; an answer is a table or `as=sql`")
        self.options = options

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Ids of the schema. Raises SampleError for what is no database, and where the question's column is missing."""
        question = self._question(value, context)
        with Reading(self.slot.column, "database"):
            schema, values = self._read(value, question, context)
        text = SchemaText(schema=schema, values=values, keys=self.options.keys, types=self.options.types)
        found = text.within(self.max_length, self._count)
        if found is None:
            raise SampleError(self.slot.column, f"not even one column of one table fits into max_length={self.max_length} tokens")
        return self._item(found)

    def decode(self, units: NDArray[Any], context: DecodeContext) -> str:
        """The text."""
        return self._tokenizer.decode(units.tolist())

    def _question(self, value: object, context: EncodeContext) -> str | None:
        column = self.options.question
        if column is None:
            asked = value.get("question") if isinstance(value, Mapping) else None
            return asked if isinstance(asked, str) else None
        if column not in context.row:
            raise SampleError(self.slot.column, f"the option `question={column}` names no column of the row")
        return read_text(context.row[column], column)

    def _read(
        self, value: object, question: str | None, context: EncodeContext
    ) -> tuple[Schema, Mapping[tuple[str, str], tuple[str, ...]]]:
        column, options = self.slot.column, self.options
        if isinstance(value, Mapping) and names_columns(value):
            return self._checked(spider_schema(value, column)), {}
        try:
            source, name = find_database(value, column, root=context.root, hosts=context.hosts, max_bytes=options.max_bytes)
            with open_database(source, max_seconds=options.max_seconds, max_bytes=options.max_bytes) as connection:
                schema = read_schema(connection, name, max_tables=options.max_tables, max_columns=options.max_columns)
                values = (
                    match_values(connection, schema, question, max_values=options.max_values, max_scan_rows=options.max_scan_rows)
                    if question
                    else {}
                )
        except SqlError as error:
            raise SampleError(column, f"the database cannot be read: {error}") from error
        return schema, values

    def _checked(self, schema: Schema) -> Schema:
        total = sum(len(table.columns) for table in schema.tables)
        for count, most, what in (
            (len(schema.tables), self.options.max_tables, "tables"),
            (total, self.options.max_columns, "columns"),
        ):
            if not 0 < count <= most:
                raise SampleError(self.slot.column, f"the database has {count:,} {what}; from 1 to max_{what}={most:,} are read")
        return schema


def _words(value: object) -> Iterator[str]:
    """Texts of a raw value that a tokenizer should know; what names a file, or is one, is passed over."""
    if isinstance(value, str):
        if value.strip() and value[:5].lower() != "data:" and not (value.lower().endswith(_FILES) and "\n" not in value):
            yield value
    elif isinstance(value, Mapping):
        if not value.keys() <= {"bytes", "path"}:
            yield from (str(key) for key in value)
            for part in value.values():
                yield from _words(part)
    elif isinstance(value, list | tuple):
        for part in islice(value, _MOST_PARTS):
            yield from _words(part)
    elif isinstance(value, Table | Sql):
        yield str(value)
    elif hasattr(value, "columns") and hasattr(value, "itertuples"):
        yield from (str(column) for column in value.columns)
        for row in value.itertuples(index=False, name=None):
            yield from (cell for cell in row if isinstance(cell, str))
    elif hasattr(value, "tolist"):
        array: Any = value
        yield from _words((array[:_MOST_PARTS] if getattr(array, "ndim", 0) else array).tolist())
