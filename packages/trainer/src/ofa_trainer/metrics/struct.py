"""Metrics of tables and queries.

# R rows
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ofa_modalities.processor import SampleError
from ofa_modalities.struct.database import SqlError, creates_tables, is_database
from ofa_modalities.struct.finding import find_database
from ofa_modalities.struct.output import Cell, Sql, Table
from ofa_modalities.struct.query import is_ordered
from ofa_modalities.struct.reading import TableReader, holds_table
from ofa_modalities.text.equality import canonical, folded

from ofa_trainer.metrics.metric import Judged, Scores, mean_scores

if TYPE_CHECKING:
    from ofa_trainer.metrics.specs import ExecutionOptions, NoOptions

logger = logging.getLogger(__name__)
_TABLES = (".csv", ".tsv", ".json", ".jsonl")


def execution_accuracy(rows: Sequence[Judged], options: ExecutionOptions) -> Scores:
    """1 where the answered query gives the rows that the reference gives, run in the row's own database (Yu et al. 2018,
    arXiv 1809.08887).

    Names of columns do not count, and neither does the order of rows unless the reference has an ORDER BY. A query that is not
    accepted, fails or takes too long is wrong, and so is every answer to a reference that cannot be run, which is logged.
    """
    return mean_scores([float(_same_answer(row, options)) for row in rows])


def _same_answer(row: Judged, options: ExecutionOptions) -> bool:
    try:
        database = _database(row.given[options.database], options.database, row.root)
        wanted = _run(row.reference, database, options)
        ordered = is_ordered(str(row.reference))
    except (SqlError, SampleError) as error:
        logger.warning("no answer can be right, the reference `%s` cannot be run: %s", row.reference, error)
        return False
    if row.answer is None:
        return False
    try:
        found = _run(row.answer, database, options)
    except SqlError:
        return False
    one, other = _rows(found), _rows(wanted)
    return one == other if ordered else Counter(one) == Counter(other)


def _run(query: object, database: str | Path | bytes | Table, options: ExecutionOptions) -> Table:
    return Sql(str(query)).run(database, max_seconds=options.max_seconds, max_rows=options.max_rows)


def _database(value: object, column: str, root: Path | None) -> str | Path | bytes | Table:
    """A database, or a table that stands for one."""
    names_one = isinstance(value, Mapping) and (value.keys() <= {"bytes", "path"} or value.keys() & {"database", "db_path"})
    if names_one or (isinstance(value, str | Path | bytes) and not _is_table(value)):
        return find_database(value, column, root=root)[0]
    return TableReader(column=column).read(value, root=root)


def _is_table(value: str | Path | bytes) -> bool:
    """Whether a path is that of a table, or a text one itself, rather than a database or the SQL that makes one."""
    if isinstance(value, bytes):
        return not is_database(value) and not creates_tables(value.decode("utf-8", "replace"))
    text = str(value)
    return text.lower().endswith(_TABLES) or (isinstance(value, str) and holds_table(text) and not creates_tables(text))


def _rows(table: Table) -> list[tuple[Cell, ...]]:
    return [tuple(map(_comparable, row)) for row in table.rows]


def _comparable(cell: Cell) -> Cell:
    """A text as texts are compared, case included; a float to nine digits, or to a whole number where that is finer, so that
    sums in another order are the same."""
    if isinstance(cell, str):
        return canonical(cell)
    if not isinstance(cell, float) or not math.isfinite(cell):
        return cell
    return float(f"{cell:.9g}") if abs(cell) < 1e9 else round(cell)


def table_match(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """1 where the answered table has the columns, rows and cells of the reference, in their order, case aside."""
    return mean_scores([float(_same_table(row.answer, row.reference)) for row in rows])


def _same_table(answer: object, reference: object) -> bool:
    if not isinstance(answer, Table) or not isinstance(reference, Table) or answer.problems:
        return False
    return _folded(answer) == _folded(reference)


def _folded(written: Table) -> tuple[tuple[str, ...], ...]:
    table = written.as_text()
    return tuple(tuple(folded(str(cell)) for cell in row) for row in (table.columns, *table.rows))
