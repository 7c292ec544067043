r"""A table ⇄ text.

    table : NAME col : a | b type : number | text row 1 : 1 | x row 2 : 2 | y ... : 3 more rows, 1 more column

Name, types and the last part stand only where there is something to say; without a header ``col :`` is missing. This is the
form of TAPEX (Liu et al. 2022, arXiv 2107.07653) with escapes, so that it can be read back: inside a cell ``\`` and ``|`` are
written ``\\`` and ``\|``, and a colon behind a blank, or at the start, ``\:``. Blanks of a cell are squeezed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from ofa_modalities.struct.output import Cell, Table, spell

_ESCAPED = re.compile(r"\\|\||(?<![^ ]):")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CELL = re.compile(r"(?:\\.|[^|])*", re.DOTALL)
_SECTION = re.compile(r"(?:^|(?<= ))(table|col|type|row [0-9]+|\.\.\.) :(?= |$)")
_MORE = re.compile(r"(?:([0-9]+) more rows?)?(?:, )?(?:([0-9]+) more columns?)?")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?%?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}(?:-[0-9]{1,2})?(?:[T ][0-9:.]+(?:Z|[-+][0-9:]+)?)?")
MOST_CHARACTERS_OF_A_TOKEN = 64
"""A text of more characters than this for each token of a budget is taken to be over it, unread."""


def linearise(table: Table) -> str:
    """The whole table as text, one section after the other."""
    return " ".join([*_head(table), *_rows(table.rows), *_more(table.more_rows, table.more_columns)])


def linearise_within(table: Table, limit: int, count: Callable[[str], int]) -> str | None:
    """The table in at most ``limit`` tokens: rows are left out from the last one on, then columns; None: nothing fits.

    count: tokens of a text. What was left out is said at the end.
    """
    head = " ".join(_head(table))
    kept, used = 0, _count(head, limit, count)
    for row in _rows(table.rows):
        used += _count(row, limit, count)
        if used > limit:
            break
        kept += 1
    if kept == len(table.rows):
        text = linearise(table)
        if _count(text, limit, count) <= limit:
            return text
    for rows in range(min(kept, len(table.rows)), -1, -1):
        text = linearise(_left(table, rows, table.width))
        if _count(text, limit, count) <= limit:
            return text
    if not table.columns:
        return None
    low, high = 0, len(table.columns) - 1
    while low < high:
        middle = (low + high + 1) // 2
        fits = _count(linearise(_left(table, 0, middle)), limit, count) <= limit
        low, high = (middle, high) if fits else (low, middle - 1)
    return linearise(_left(table, 0, low)) if low else None


def _count(text: str, limit: int, count: Callable[[str], int]) -> int:
    return limit + 1 if len(text) > MOST_CHARACTERS_OF_A_TOKEN * limit else count(text)


def _left(table: Table, rows: int, columns: int) -> Table:
    """The first rows and columns of a table."""
    return replace(
        table,
        columns=table.columns[:columns],
        types=table.types[:columns],
        rows=tuple(row[:columns] for row in table.rows[:rows]),
        more_rows=table.more_rows + len(table.rows) - rows,
        more_columns=table.more_columns + table.width - columns,
    )


def _head(table: Table) -> list[str]:
    sections = [_section("table", (table.name,))] if table.name.strip() else []
    sections += [_section("col", table.columns)] if table.columns else []
    return sections + ([_section("type", table.types)] if table.types else [])


def _rows(rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    return (_section(f"row {number}", row) for number, row in enumerate(rows, 1))


def _section(name: str, cells: Sequence[Cell]) -> str:
    return " ".join(f"{name} : {' | '.join(escape(spell(cell)) for cell in cells)}".split())


def _more(rows: int, columns: int) -> list[str]:
    parts = [f"{number} more {what}{'s' * (number > 1)}" for number, what in ((rows, "row"), (columns, "column")) if number]
    return [f"... : {', '.join(parts)}"] if parts else []


def escape(cell: str) -> str:
    r"""A cell whose separators are characters.

    >>> print(escape("a|b : c"), escape("12:30"))
    a\|b \: c 12:30
    """
    return _ESCAPED.sub(r"\\\g<0>", cell)


def parse_table(text: str) -> Table:
    """The table that a text says; what does not fit is mended, and :attr:`Table.problems` says how."""
    marks = list(_SECTION.finditer(text))
    problems: list[str] = []
    if not marks or text[: marks[0].start()].strip():
        problems.append("it does not start with `table :`, `col :` or `row 1 :`")
    name = ""
    columns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    more_rows = more_columns = 0
    for mark, following in zip_longest(marks, marks[1:]):
        body = text[mark.end() : following.start() if following else len(text)]
        match mark[1]:
            case "table":
                name = " | ".join(_split(body))
            case "col":
                columns = _split(body)
            case "type":
                types = _split(body)
            case "...":
                found = _MORE.fullmatch(body.strip())
                if found is None or not found[0]:
                    problems.append("it does not say how much was left out behind `... :`")
                else:
                    more_rows, more_columns = int(found[1] or 0), int(found[2] or 0)
            case _:
                rows.append(_split(body))
                if mark[1] != f"row {len(rows)}":
                    problems.append(f"its row {len(rows)} is called `{mark[1]}`")
    if not marks and text.strip():
        rows = [(text.strip(),)]
    width = len(columns) or max(map(len, rows), default=0)
    wrong = [number for number, row in enumerate(rows, 1) if len(row) != width]
    if wrong:
        problems.append(f"its row {wrong[0]} has {len(rows[wrong[0] - 1])} cells under {width} columns")
    if types and len(types) != width:
        problems.append(f"it has {len(types)} types of {width} columns")
        types = ()
    mended = tuple((*row[:width], *[""] * (width - len(row))) for row in rows)
    return Table(
        columns=columns,
        rows=mended,
        name=name,
        types=types,
        more_rows=more_rows,
        more_columns=more_columns,
        problems=tuple(problems),
    )


def _split(body: str) -> tuple[str, ...]:
    """Cells of a section, unescaped."""
    cells, position = [], 0
    while True:
        found = _CELL.match(body, position)
        assert found is not None
        cells.append(_ESCAPE.sub(r"\1", found[0].strip(" ")))
        position = found.end() + 1
        if found.end() == len(body):
            return tuple(cells)


def column_types(table: Table) -> tuple[str, ...]:
    """``number``, ``date`` or ``text`` of each column, by its cells; empty cells do not count."""
    return tuple(_type_of([spell(row[index]) for row in table.rows]) for index in range(table.width))


def _type_of(cells: Sequence[str]) -> str:
    given = [cell for cell in cells if cell]
    for name, pattern in (("number", _NUMBER), ("date", _DATE)):
        if given and all(pattern.fullmatch(cell) for cell in given):
            return name
    return "text"
