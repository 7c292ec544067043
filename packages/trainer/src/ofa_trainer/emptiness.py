"""Rows with empty cells: an input is read as nothing, a row without an answer is left out.

Both are counted, and told once a column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ofa_trainer.stream import StepRows


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyCell:
    """One empty cell. column: ``task/column``."""

    column: str
    address: str
    message: str


def empty_cells(rows: StepRows, tasks: Sequence[str]) -> Iterator[EmptyCell]:
    """The empty cells of a step's rows, and of those that were passed over on the way for want of an answer."""
    for example in rows.examples:
        for name in example.empty:
            message = "an empty value is read as nothing; `required` in its slot makes such rows bad rows"
            yield EmptyCell(column=f"{tasks[example.task]}/{name}", address=example.address, message=message)
    for row in rows.unanswered:
        message = "a row with an empty answer is no training row, and is left out"
        yield EmptyCell(column=f"{row.task}/{row.column}", address=row.address, message=message)


def add_counts(before: Mapping[str, int], cells: Sequence[EmptyCell]) -> dict[str, int]:
    """Rows with empty cells so far, by ``task/column``."""
    return dict(Counter(before) + Counter(cell.column for cell in cells))


def summary(empty: Mapping[str, int], drawn: Mapping[str, int]) -> list[str]:
    """One sentence a column. drawn: rows so far, by task."""
    rows = {column: drawn[column.partition("/")[0]] for column in empty}
    return [f"`{column}`: empty in {count:,} of {rows[column]:,} rows drawn" for column, count in empty.items()]
