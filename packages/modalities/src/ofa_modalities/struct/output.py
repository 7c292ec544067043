"""What a person gets of STRUCT: a table, and a query that can be run.

>>> table = Table(columns=("city", "people"), rows=(("Oslo", "700000"), ("Turku", "200000")))
>>> str(table)
'col : city | people row 1 : Oslo | 700000 row 2 : Turku | 200000'
>>> Table.parse(str(table)) == table
True
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ofa_modalities.text.numbers import spell_number

Cell = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under a header.

    columns: names; empty where there is no header, and rows may then be of any one width. rows: all of one width.
    types: of the columns, or empty. more_rows, more_columns: how many were left out of it.
    problems: what had to be mended where it was read from a text that is not quite a table.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    name: str = ""
    types: tuple[str, ...] = ()
    more_rows: int = 0
    more_columns: int = 0
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError where rows are of different widths."""
        widths = {len(row) for row in self.rows} | ({len(self.columns)} if self.columns else set())
        if len(widths) > 1:
            raise ValueError(f"the rows of a table are of one width, not of {', '.join(map(str, sorted(widths)))}")

    @classmethod
    def parse(cls, text: str) -> Table:
        """The table that a linearised text says. Raises ValueError where it is not one."""
        from ofa_modalities.struct.encoding import parse_table

        table = parse_table(text)
        if table.problems:
            raise ValueError(f"not the text of a table: {table.problems[0]}")
        return table

    def __repr__(self) -> str:
        columns = ", ".join(self.columns)
        shown = columns if columns and len(columns) <= 80 else f"{self.width} columns"
        return f"Table({f'{self.name}: ' if self.name else ''}{shown}; {len(self.rows):,} rows)"

    def __str__(self) -> str:
        """The table as linearised text; see :mod:`ofa_modalities.struct.encoding`."""
        from ofa_modalities.struct.encoding import linearise

        return linearise(self)

    @property
    def width(self) -> int:
        """Number of columns, named or not."""
        return len(self.columns) or (len(self.rows[0]) if self.rows else 0)

    def as_text(self) -> Table:
        """The same table with every cell as it is spelled in text."""
        rows = tuple(tuple(spell(cell) for cell in row) for row in self.rows)
        return replace(self, columns=tuple(map(spell, self.columns)), rows=rows, name=spell(self.name))

    def to_plain(self) -> dict[str, object]:
        """``name``, ``columns`` and ``rows``, for JSON."""
        return {
            "name": self.name,
            "columns": list(self.columns),
            "rows": [[_plain(cell) for cell in row] for row in self.rows],
        }

    def save(self, path: str | Path) -> Path:
        """Write it as the suffix says: ``.csv .tsv .json .html``, or ``.txt`` for the linearised text.

        Raises ValueError for any other suffix.
        """
        path = Path(path)
        match path.suffix.lower():
            case ".csv":
                text = self._delimited(",")
            case ".tsv":
                text = self._delimited("\t")
            case ".json":
                text = json.dumps(self.to_plain(), ensure_ascii=False, indent=2) + "\n"
            case ".html":
                text = self.to_html()
            case ".txt":
                text = f"{self}\n"
            case suffix:
                raise ValueError(f"a table cannot be saved as `{suffix or path.name}`; it can as .csv .tsv .json .html .txt")
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
        return path

    def _delimited(self, delimiter: str) -> str:
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        if self.columns:
            writer.writerow(self.columns)
        writer.writerows([spell(cell) for cell in row] for row in self.rows)
        return file.getvalue()

    def to_html(self) -> str:
        """A page with the table on it."""
        title = html.escape(self.name)
        caption = f"<caption>{title}</caption>\n" if title else ""
        head = f"<thead><tr>{_cells('th', self.columns)}</tr></thead>\n" if self.columns else ""
        body = "\n".join(f"<tr>{_cells('td', row)}</tr>" for row in self.rows)
        style = "table{border-collapse:collapse}th,td{border:1px solid #aaa;padding:.2em .6em}"
        return (
            f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{title or "table"}</title><style>{style}</style></head>'
            f"<body>\n<table>\n{caption}{head}<tbody>\n{body}\n</tbody>\n</table>\n</body></html>\n"
        )


def _plain(cell: Cell) -> Cell:
    """JSON has no NaN and no infinity."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _cells(tag: str, cells: Sequence[Cell]) -> str:
    return "".join(f"<{tag}>{html.escape(spell(cell))}</{tag}>" for cell in cells)


def spell(cell: Cell) -> str:
    """A cell as text, its blanks squeezed; None and NaN are empty.

    >>> spell(" a  b\\n"), spell(2), spell(2.5), spell(None)
    ('a b', '2', '2.5', '')
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return " ".join((spell_number(cell) or str(cell)).split())


@dataclass(frozen=True, slots=True)
class Sql:
    """One query, as text. It may be anything a model wrote; :meth:`check` says whether it is a query."""

    text: str

    def __str__(self) -> str:
        return self.text

    def check(self) -> None:
        """Raises SqlError where it is not one SELECT or WITH query."""
        from ofa_modalities.struct.query import check_query

        check_query(self.text)

    def run(
        self,
        database: str | Path | bytes | Table,
        *,
        max_seconds: float = 5.0,
        max_rows: int = 10_000,
        max_bytes: int = 10_000_000,
    ) -> Table:
        """The answer of a SQLite database: its path, its bytes, or SQL text that creates it; a table is
        a database of that one (``t`` where it has no name).

        The database is opened read-only, and nothing that writes is executed. Raises SqlError for what is no query, for one
        that the database cannot answer, and for one that takes longer than ``max_seconds`` or answers more than so many rows
        or bytes.
        """
        from ofa_modalities.struct.query import run_query

        return run_query(self.text, database, max_seconds=max_seconds, max_rows=max_rows, max_bytes=max_bytes)

    def to_plain(self) -> str:
        """The text."""
        return self.text

    def save(self, path: str | Path) -> Path:
        """Write it as ``.sql`` or ``.txt``. Raises ValueError for any other suffix."""
        path = Path(path)
        if path.suffix.lower() not in (".sql", ".txt"):
            raise ValueError(f"a query cannot be saved as `{path.suffix or path.name}`; it can as .sql .txt")
        path.write_text(f"{self.text}\n", encoding="utf-8")
        return path
