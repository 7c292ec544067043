"""A table that stands for a database: texts keep their spelling, numbers are numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities.struct.output import Sql, Table


def column(*cells: object) -> Table:
    return Table(columns=("x", "n"), rows=tuple((cell, str(number)) for number, cell in enumerate(cells)))  # type: ignore[misc]


def ask(query: str, *cells: object) -> list[object]:
    rows = Sql(query).run(column(*cells)).rows
    return [row[0] if len(row) == 1 else row for row in rows]


SPELLED = (
    *("007", "7", "1e5", "100000", "+5", "5", " 5", "5 ", "1_000", "0x10", "16", "NaN", "inf", "-inf", "nan", "1.50", "1.5"),
    *("5.", ".5", "-0", "0", "00", "1E5", "12345678901234567890", "12345678901234567891", "9007199254740993", "0.1", "1.0"),
    *("2020-01-05", "12:30", "1,000", "٣", "", "N/A", "3.0e0", "1e999", "-1e999", "5%", "$5", "1" * 500, "true", "NULL"),
)


def test_every_text_comes_out_as_it_went_in() -> None:
    assert ask("SELECT x FROM t ORDER BY n + 0", *SPELLED) == list(SPELLED)


@pytest.mark.parametrize("text", SPELLED)
def test_a_text_is_found_by_its_own_spelling_alone(text) -> None:
    assert ask(f"SELECT n + 0 FROM t WHERE x = '{text}'", *SPELLED) == [SPELLED.index(text)]


@pytest.mark.parametrize("text", SPELLED)
def test_a_column_of_one_spelling(text) -> None:
    found = ask("SELECT x FROM t", text)[0]
    assert (found if isinstance(found, str) else repr(found)) == text
    assert len(ask(f"SELECT x FROM t WHERE x = '{text}'", text)) == 1


@given(st.lists(st.text("0123456789+-.eE xX_", max_size=6), min_size=1, max_size=6))
def test_no_spelling_changes(cells) -> None:
    found = ask("SELECT x FROM t ORDER BY n + 0", *cells)
    assert [cell if isinstance(cell, str) else repr(cell) for cell in found] == cells


@pytest.mark.parametrize(
    "cells", [("9", "10", "-3"), ("9.5", "10.25", "-3.125"), ("9.0", "10.0", "-3.0"), (9, 10, -3), (9.0, 10.0, -3.5)]
)
def test_numbers_are_numbers(cells) -> None:
    worth = [float(cell) for cell in cells]
    assert ask("SELECT sum(x) FROM t", *cells) == [sum(worth)]
    assert ask("SELECT max(x) FROM t", *cells) == [max(worth)]
    assert ask("SELECT n + 0 FROM t ORDER BY x", *cells) == [2, 0, 1]
    assert ask("SELECT n + 0 FROM t WHERE x > 9.75", *cells) == [1]
    assert ask("SELECT typeof(x) FROM t", *cells)[0] in ("integer", "real")


def test_a_gap_or_a_word_leaves_the_others_numbers() -> None:
    for gap in (None, "", "N/A"):
        assert ask("SELECT sum(x) FROM t", "9", gap, "10") == [19]
        assert ask("SELECT n + 0 FROM t WHERE x = 9 OR x = 10 ORDER BY x", "10", gap, "9") == [2, 0]


def test_numbers_in_other_spellings_are_compared_by_what_they_are_worth() -> None:
    prices = ("10.00", "2.50", "-1.00", "9.99")
    assert ask("SELECT x FROM t ORDER BY x", *prices) == ["-1.00", "2.50", "9.99", "10.00"]
    assert ask("SELECT x FROM t WHERE x > 9 ORDER BY x", *prices) == ["9.99", "10.00"]
    assert ask("SELECT max(x), min(x) FROM t", *prices) == [("10.00", "-1.00")]
    assert ask("SELECT sum(x) FROM t", *prices) == [pytest.approx(21.49)]
    assert ask("SELECT x FROM t WHERE x BETWEEN 0 AND 5", *prices) == ["2.50"]


def test_equal_worth_is_not_equal() -> None:
    assert ask("SELECT count(DISTINCT x) FROM t", "007", "7", "7.0", "7") == [3]
    assert ask("SELECT n + 0 FROM t WHERE x = 7", "007", "7", "7.0") == [1]
    assert ask("SELECT x FROM t ORDER BY x", "7", "b", "007", "a", "06") == ["06", "007", "7", "a", "b"]


def test_typed_cells_keep_their_types() -> None:
    assert ask("SELECT x FROM t", 1, 2.5, None, "a") == [1, 2.5, None, "a"]
    assert ask("SELECT x FROM t", 1.0, 2.0) == [1.0, 2.0]
    assert ask("SELECT x FROM t", 10**30) == [str(10**30)]
    assert ask("SELECT x FROM t", "007", 7) == ["007", "7"]
