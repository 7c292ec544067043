"""Table ⇄ text: the round trip, and what is left out within a budget."""

from __future__ import annotations

import doctest
import string
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ofa_modalities.struct import encoding, output, query
from ofa_modalities.struct.encoding import column_types, linearise, linearise_within, parse_table
from ofa_modalities.struct.output import Table

ANY_TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=12)
TRICKY = st.text(st.sampled_from(r"\\||:: a1."), max_size=10)
MARKS = st.sampled_from(["row 1 :", "col : x", ": ", "... : 2 more rows", "table :", "row 2", "...", "a | b", "\\", "\\|", ":"])
CELLS = ANY_TEXT | TRICKY | MARKS


@st.composite
def tables(draw: st.DrawFn) -> Table:
    width = draw(st.integers(1, 4))
    row = st.tuples(*[CELLS] * width)
    rows = draw(st.lists(row, min_size=0, max_size=4))
    columns = draw(row if not rows else row | st.just(()))
    types = draw(st.just(()) | st.tuples(*[st.sampled_from(["number", "text", "date"])] * width))
    more = st.integers(0, 3)
    return Table(
        columns=columns, rows=tuple(rows), name=draw(CELLS), types=types, more_rows=draw(more), more_columns=draw(more)
    ).as_text()


@given(tables())
@example(Table(columns=(":", "row 1 :"), rows=(("row 2 : x", "| ..."), ("", "")), name="table : col : a"))
@example(Table(columns=(), rows=(("",),)))
def test_a_table_comes_back_from_its_text(table: Table) -> None:
    text = str(table)
    assert Table.parse(text) == table
    assert text == " ".join(text.split())


@given(st.text(max_size=60) | st.lists(MARKS | TRICKY, max_size=8).map(" ".join))
def test_any_text_is_read_as_some_table(text: str) -> None:
    table = parse_table(text)
    assert all(len(row) == table.width for row in table.rows)
    if not table.problems and (table.columns or table.rows):
        assert Table.parse(str(table)) == table.as_text()


@pytest.mark.parametrize(
    ("text", "problem", "rows"),
    [
        ("col : a | b row 1 : 1", "its row 1 has 1 cells under 2 columns", (("1", ""),)),
        ("col : a row 1 : 1 | 2", "its row 1 has 2 cells under 1 columns", (("1",),)),
        ("col : a row 2 : 1", "its row 1 is called `row 2`", (("1",),)),
        ("no table at all", "does not start with", (("no table at all",),)),
        ("x col : a row 1 : 1", "does not start with", (("1",),)),
        ("col : a ... : much more", "how much was left out", ()),
        ("col : a | b type : number", "1 types of 2 columns", ()),
    ],
)
def test_what_does_not_fit_is_mended_and_told(text: str, problem: str, rows: tuple[tuple[str, ...], ...]) -> None:
    assert problem in parse_table(text).problems[0]
    assert parse_table(text).rows == rows
    with pytest.raises(ValueError, match="not the text of a table"):
        Table.parse(text)


def words(text: str) -> int:
    return len(text.split())


WIDE = Table(columns=tuple("abcdef"), rows=tuple(tuple(f"{row}{column}" for column in "abcdef") for row in range(5)), name="t")


def test_rows_are_left_out_before_columns() -> None:
    whole = linearise(WIDE)
    seen = []
    for limit in range(words(whole), 4, -1):
        text = linearise_within(WIDE, limit, words)
        if text is None:
            break
        assert words(text) <= limit
        kept = Table.parse(text)
        assert (len(kept.rows) + kept.more_rows, len(kept.columns) + kept.more_columns) == (5, 6)
        assert kept.rows == tuple(row[: len(kept.columns)] for row in WIDE.rows[: len(kept.rows)])
        seen.append((len(kept.rows), len(kept.columns)))
    assert seen[0] == (5, 6)
    assert seen == sorted(seen, reverse=True)
    assert {columns for rows, columns in seen if rows} == {6}
    assert (0, 1) in seen
    assert linearise_within(WIDE, 5, words) is None


def test_only_what_fits_is_counted() -> None:
    asked: list[int] = []

    def count(text: str) -> int:
        asked.append(len(text))
        return words(text)

    rows = tuple((f"word {number}",) for number in range(100_000))
    text = linearise_within(Table(columns=("a",), rows=rows), 100, count)
    assert text is not None
    assert "... : 99" in text
    assert sum(asked) < 10_000


def test_types_are_told_by_the_cells() -> None:
    rows = (("1", "2020-01-31", "x", ""), ("-2.5e3", "2021-02", "3", ""), ("1,234", "", "", ""))
    assert column_types(Table(columns=tuple("abcd"), rows=rows)) == ("number", "date", "text", "text")


@pytest.mark.parametrize("module", [encoding, output, query])
def test_examples_in_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_the_text_survives_the_tokenizer(make_run: Callable[..., object]) -> None:
    run: object = make_run({"t": "[TEXT:x] -> [STRUCT:y]"})
    tokenizer = run.vocabulary.tokenizer  # type: ignore[attr-defined]
    table = Table(columns=("näme", string.punctuation), rows=(("a | b", "12:30"), ("", "row 1 :")), name="日本").as_text()
    assert Table.parse(tokenizer.decode(tokenizer.encode(str(table)))) == table
