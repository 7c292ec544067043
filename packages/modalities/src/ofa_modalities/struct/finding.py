"""A raw value → where its database lies, or the schema that it states itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofa_modalities.media import media_source
from ofa_modalities.processor import SampleError
from ofa_modalities.struct.database import ColumnSchema, Schema, TableSchema, creates_tables, is_database
from ofa_modalities.struct.output import spell


def find_database(
    value: object,
    column: str,
    *,
    root: Path | None = None,
    hosts: frozenset[str] = frozenset(),
    max_bytes: int = 1_000_000_000,
) -> tuple[str | Path | bytes, str]:
    """What :func:`ofa_modalities.struct.database.open_database` opens, and the database's name; empty where it has none.

    value: a path, bytes or SQL text with CREATE TABLE, or a mapping with one of these as ``database`` or ``db_path``, and its
    name as ``db_id``. Raises SampleError.
    """
    if isinstance(value, Mapping) and not value.keys() <= {"bytes", "path"}:
        inner = value.get("database") if value.get("database") is not None else value.get("db_path")
        if inner is None:
            raise SampleError(column, "a database as a mapping has `database` or `db_path`")
        source, name = find_database(inner, column, root=root, hosts=hosts, max_bytes=max_bytes)
        return source, _name(value) or name
    if isinstance(value, str) and creates_tables(value):
        return value, ""
    found = media_source(value, column, root=root, known=is_database, what="database", max_bytes=max_bytes, hosts=hosts)
    if found is None:
        raise SampleError(column, f"a database is a path, bytes or SQL text, not {type(value).__name__}")
    name = found.stem if isinstance(found, Path) else ""
    if isinstance(found, Path) and found.suffix.lower() == ".sql":
        found = found.read_bytes()
    if isinstance(found, bytes) and not is_database(found[:16]):
        text = found.decode("utf-8", "replace")
        if not creates_tables(text):
            raise SampleError(column, "this is neither a SQLite database nor SQL text with CREATE TABLE")
        return text, name
    return found, name


def names_columns(value: Mapping[str, Any]) -> bool:
    """Whether a mapping states a schema rather than where a database lies."""
    return not value.keys() <= {"bytes", "path"} and value.get("database") is None and value.get("db_path") is None


def _name(value: Mapping[str, Any]) -> str:
    return spell(str(value.get("db_id") or ""))


def spider_schema(value: Mapping[str, Any], column: str) -> Schema:
    """A schema in the columns of the Spider data set: indices of tables and columns, -1 and ``*`` first.

    Raises SampleError where they do not fit each other.
    """
    try:
        tables = list(value["db_table_names"])
        names = value["db_column_names"]
        owners, columns = list(names["table_id"]), list(names["column_name"])
        primary = set(_listed(value.get("db_primary_keys"), "column_id"))
        foreign = dict(
            zip(
                _listed(value.get("db_foreign_keys"), "column_id"),
                _listed(value.get("db_foreign_keys"), "other_column_id"),
                strict=True,
            )
        )
        types = list(value.get("db_column_types") or [""] * len(columns))

        def schema_of(place: int) -> ColumnSchema:
            other = foreign.get(place)
            refers = None if other is None else (str(tables[owners[other]]), str(columns[other]))
            return ColumnSchema(name=str(columns[place]), type=str(types[place]), key=place in primary, refers=refers)

        return Schema(
            name=_name(value),
            tables=tuple(
                TableSchema(
                    name=str(table), columns=tuple(schema_of(place) for place, owner in enumerate(owners) if owner == number)
                )
                for number, table in enumerate(tables)
            ),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        keys = "`database` or `db_path`, or `db_table_names` and `db_column_names` (`table_id`, `column_name`)"
        raise SampleError(column, f"a database as a mapping has {keys}: {type(error).__name__}: {error}") from error


def _listed(value: Any, key: str) -> list[int]:
    return [] if not value else [int(number) for number in value[key]]
