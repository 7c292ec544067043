"""Queries: what is accepted as one, and running it.

What is accepted is decided twice: by sqlglot, which reads the text, and by SQLite's authorizer, which sees what it does.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

from ofa_modalities.struct.database import SqlError, fetch, open_database
from ofa_modalities.struct.output import Table

MAX_QUERY_LENGTH = 100_000
_PIECES = re.compile(
    r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\])|(?:\s|--[^\n]*|/\*.*?(?:\*/|\Z))+",
    re.DOTALL,
)
"""What is quoted, which stays as it is; or white space and comments, which become one blank."""


def _sqlglot() -> ModuleType:
    try:
        import sqlglot
    except ImportError as error:
        raise ImportError("queries are read with sqlglot: install ofa-modalities[struct]") from error
    return sqlglot


def check_query(text: str) -> None:
    """Raises SqlError where a text is not one SELECT or WITH query, in SQLite's dialect."""
    sqlglot = _sqlglot()
    if len(text) > MAX_QUERY_LENGTH:
        raise SqlError(f"the query has {len(text):,} characters, more than {MAX_QUERY_LENGTH:,}")
    if "\0" in text:
        raise SqlError("the query holds a NUL character, which no text has")
    first = text.lstrip("( \t\r\n").split(None, 1)[:1]
    if first and first[0].isalpha() and first[0].upper() not in ("SELECT", "WITH"):
        raise SqlError(f"only a query that reads is run, SELECT or WITH, not {first[0].upper()[:20]}")
    try:
        statements = [statement for statement in sqlglot.parse(text, read="sqlite") if statement is not None]
    except (sqlglot.errors.SqlglotError, RecursionError, ValueError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else str(error).split("\n", 1)[0]
        raise SqlError(f"it is not SQL: {reason}") from error
    if len(statements) != 1:
        raise SqlError(f"one query is run at a time; this is {len(statements) or 'no'} statement{'s' * (len(statements) != 1)}")
    expressions = sqlglot.expressions
    query = statements[0]
    if not isinstance(query, expressions.Query):
        raise SqlError("only a query that reads is run, SELECT or WITH")
    writing = tuple(getattr(expressions, name) for name in ("Insert", "Update", "Delete", "Create", "Drop", "Into", "Command"))
    if (other := query.find(*writing)) is not None:
        raise SqlError(f"only a query that reads is run; this one holds {type(other).__name__.upper()}")


def is_ordered(text: str) -> bool:
    """Whether a query says in which order its rows come."""
    query = _sqlglot().parse_one(text, read="sqlite")
    return query.args.get("order") is not None


def run_query(
    text: str,
    database: str | Path | bytes | Table,
    *,
    max_seconds: float = 5.0,
    max_rows: int = 10_000,
    max_bytes: int = 10_000_000,
) -> Table:
    """The answer to a query; see :meth:`ofa_modalities.struct.output.Sql.run`."""
    check_query(text)

    def too_much(rows: int, size: int) -> SqlError:
        limit = f"{max_bytes:,} bytes" if size > max_bytes else f"{max_rows:,} rows"
        return SqlError(f"the answer has more than {limit}")

    with open_database(database, max_seconds=max_seconds, max_bytes=max_bytes) as connection:
        cursor = connection.execute(text)
        columns = tuple(entry[0] for entry in cursor.description)
        return Table(columns=columns, rows=fetch(cursor, too_much, max_rows=max_rows, max_bytes=max_bytes))


def normalise_query(text: str, *, uncased: bool = False) -> str:
    """A query on one line, without comments and a semicolon at its end; ``uncased`` lower-cases what stands outside of quotes.

    >>> normalise_query("SELECT  Name FROM t WHERE x = 'A  b' ;", uncased=True)
    "select name from t where x = 'A  b'"
    """
    pieces, position = [], 0
    for match in _PIECES.finditer(text):
        outside = text[position : match.start()]
        pieces += [outside.lower() if uncased else outside, match[1] or " "]
        position = match.end()
    rest = text[position:]
    return "".join([*pieces, rest.lower() if uncased else rest]).strip(" ;")
