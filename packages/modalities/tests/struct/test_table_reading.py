"""Raw values of tables: every form that holds one, and what is refused."""

from __future__ import annotations

import base64
import datetime
import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from ofa_modalities import SampleError
from ofa_modalities.struct.output import Table
from ofa_modalities.struct.reading import TableReader

PENGUINS = Path(__file__).parent.parent / "fixtures" / "struct" / "penguins.csv"
WANTED = Table(columns=("city", "people"), rows=(("Oslo", "700"), ("Turku", "")))


def read(value: Any, root: Path | None = None, **options: Any) -> Table:
    return TableReader(column="table", **options).read(value, root=root)


class Frame:
    """What a pandas frame shows of itself."""

    columns = ("city", "people")

    def __len__(self) -> int:
        return 2

    def itertuples(self, *, index: bool, name: str | None) -> Any:
        assert (index, name) == (False, None)
        return iter([("Oslo", np.int64(700)), ("Turku", float("nan"))])


@pytest.mark.parametrize(
    "value",
    [
        [["city", "people"], ["Oslo", 700], ["Turku", None]],
        (("city", "people"), np.array(["Oslo", "700"]), [" Turku\n", ""]),
        np.array([["city", "people"], ["Oslo", "700"], ["Turku", ""]]),
        [{"city": "Oslo", "people": 700}, {"city": "Turku"}],
        {"city": ["Oslo", "Turku"], "people": np.array([700, np.nan], object)},
        {"columns": ["city", "people"], "rows": [["Oslo", 700], ["Turku", float("nan")]]},
        {"header": ["city", "people"], "rows": [{"people": 700, "city": "Oslo"}, {"city": "Turku"}]},
        Frame(),
        WANTED,
        "city,people\nOslo,700\nTurku,\n",
        'city;people\r\n"Oslo";700\r\nTurku;\r\n',
        "city\tpeople\nOslo\t700\nTurku\t",
        '[["city", "people"], ["Oslo", 700], ["Turku", null]]',
        '{"city": ["Oslo", "Turku"], "people": ["700", null]}',
        "col : city | people row 1 : Oslo | 700 row 2 : Turku |",
        b"\xef\xbb\xbfcity,people\nOslo,700\nTurku,\n",
        "data:text/csv;base64," + base64.b64encode(b"city,people\nOslo,700\nTurku,\n").decode(),
        {"bytes": b"city,people\nOslo,700\nTurku,\n", "path": None},
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:14]!r}",
)
def test_every_form_gives_the_same_table(value: Any) -> None:
    assert read(value) == WANTED


def test_a_frame_gives_what_its_csv_gives() -> None:
    frame = pandas.DataFrame(
        {
            "city": ["Oslo", "Turku", None],
            "mass": [181, None, -3],
            "share": [0.5, None, 2],
            "whole": [1.0, 2.0, 3.0],
            "huge": [1e300, None, 1],
            "endless": [float("inf"), None, 1],
            "none": [float("nan")] * 3,
            "half": np.array([1, np.nan, 2], np.float32),
            "maybe": pandas.array([1, None, 2], "Int64"),
            "took": pandas.to_timedelta(["1 days 02:00:00", None, "3 days"]),
        }
    )
    rows = [row[:3] + row[7:] for row in read(frame).rows]
    assert rows == [
        ("Oslo", "181", "0.5", "1", "1", "1 days 02:00:00"),
        ("Turku", "", "", "", "", ""),
        ("", "-3", "2.0", "2", "2", "3 days 00:00:00"),
    ]
    assert [row[3:7] for row in read(frame).rows] == [("1.0", "1e+300", "", ""), ("2.0", "", "", ""), ("3.0", "1.0", "1.0", "")]
    assert read(frame, most_rows=1).more_rows == 2
    twice = pandas.DataFrame([[1.0, 2.0], [None, 3.0]], columns=["a", "a"])
    assert read(twice).rows == (("1", "2.0"), ("", "3.0"))


def test_columns_of_several_levels_are_named_by_all() -> None:
    columns = pandas.MultiIndex.from_tuples([("city", ""), ("people", "in"), ("people", 2020)])
    table = read(pandas.DataFrame([["Oslo", 1, 2]], columns=columns))
    assert table == Table(columns=("city", "people in", "people 2020"), rows=(("Oslo", "1", "2"),))


def test_spans_of_time_are_texts() -> None:
    spans = [["a"], [datetime.timedelta(days=1, seconds=5)]]
    assert read(spans).rows == (("1 day, 0:00:05",),)


def test_names_and_other_cells() -> None:
    value = {
        "table_name": "t",
        "table_head": ["a", "b"],
        "table_content": [[True, datetime.date(2020, 1, 2)], [Decimal("1.50"), 2.5]],
    }
    assert read(value) == Table(columns=("a", "b"), rows=(("true", "2020-01-02"), ("1.50", "2.5")), name="t")


def test_rows_without_a_header() -> None:
    grid = np.arange(4).reshape(2, 2)
    assert read(grid, header=False) == Table(columns=(), rows=(("0", "1"), ("2", "3")))
    assert str(read("1,2\n3,4", header=False)) == "row 1 : 1 | 2 row 2 : 3 | 4"


def test_files_lie_inside_the_data_root(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "out.csv").write_text("a\n1\n")
    (tmp_path / "data" / "in.tsv").write_text("a,b\tc\n1\t2\n")
    (tmp_path / "data" / "rows.jsonl").write_text('{"a": 1}\n\n{"a": 2}\n')
    (tmp_path / "data" / "t.json").write_text(json.dumps([["a"], [1]]))
    root = tmp_path / "data"
    assert read("in.tsv", root).columns == ("a,b", "c")
    assert read("rows.jsonl", root).rows == (("1",), ("2",))
    assert read(Path("t.json"), root).rows == (("1",),)
    with pytest.raises(SampleError, match="outside the data root"):
        read("../out.csv", root)
    with pytest.raises(SampleError, match="is no file"):
        read("none.csv", root)


def test_a_real_file() -> None:
    table = read(PENGUINS)
    assert (table.columns[0], len(table.columns), len(table.rows)) == ("species", 8, 24)
    assert {row[0] for row in table.rows} == {"Adelie", "Gentoo", "Chinstrap"}


def test_a_table_of_a_database(tmp_path: Path) -> None:
    path = tmp_path / "two.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE one (a INT, b BLOB)")
        connection.execute("INSERT INTO one VALUES (1, x'ff'), (2, NULL)")
        assert read(path.read_bytes() if connection.commit() else path).rows == (("1", "x'ff'"), ("2", ""))
        connection.execute("CREATE TABLE two (c)")
    connection.close()
    assert read(path, table="one").name == "one"
    with pytest.raises(SampleError, match=r"2 tables: one, two; say which with `table=`"):
        read(path)
    with pytest.raises(SampleError, match="no table `three`"):
        read(path.read_bytes(), table="three")


DEEP = "[" * 100_000
BAD: list[tuple[Any, str]] = [
    (None, "the table is missing"),
    ("", "empty text"),
    (b"", "zero bytes"),
    ([], "the table is empty"),
    ([[]], "first row of the table is empty"),
    ({}, "table"),
    ([["a", "b"], [1]], "row 1 of the table has 1 cells, and the table 2 columns"),
    ("a,b\n1,2\n1,2,3\n", "row 2 of the table has 3 cells, and the table 2 columns"),
    ({"a": [1], "b": [1, 2]}, "not equally long: 1, 2 cells"),
    ([list(range(10_000))], "10,000 columns, more than max_columns=256"),
    ([{str(number): 1 for number in range(10_000)}], "10,000 columns"),
    (",".join(map(str, range(10_000))) + "\n", "10,000 columns|is no file"),
    (",".join(map(str, range(10_000))) + "\n1\n", "10,000 columns"),
    ({str(number): [] for number in range(10_000)}, "10,000 columns"),
    ([["a"], ["x\0y"]], "NUL character"),
    ("a,b\nx\0,y\n", "NUL character"),
    (b"a,b\nx\0,y\n", "NUL bytes"),
    (b"SQLite format 3\0" + b"\1" * 5000, "the database cannot be read"),
    (b"\xff\xfe\xfa", "neither a text in UTF-8 nor"),
    (b"  \n ", "blanks alone"),
    ([["a"], [{"b": 1}]], "holds dict; a cell is a text or a number"),
    ([["a"], 5], "row 1 of the table is a list of cells, not int"),
    ([{"a": 1}, 5], "row 2 of the table is int"),
    (5, "not int"),
    ("{not json", "starts with `{` is JSON, and this is not"),
    (DEEP, "too deeply nested|is JSON, and this is not"),
    ('a,b\n"x', "line 2 of the table cannot be read"),
    ("a\n" + "x" * 200_000, "line 2 of the table cannot be read: field larger"),
    ("col : a | b row 1 : 1", "not the text of a table"),
    ("nowhere.csv", "is no file"),
]


@pytest.mark.parametrize(("value", "message"), BAD, ids=[message[:24] for _, message in BAD])
def test_what_is_no_table_is_one_sample_error(value: Any, message: str) -> None:
    with pytest.raises(SampleError, match=message) as caught:
        read(value)
    assert caught.value.column == "table"


def test_limits_are_options() -> None:
    rows = [["a", "b"], *[[1, 2]] * 10]
    with pytest.raises(SampleError, match="more than 19 cells"):
        read(rows, max_cells=19)
    assert len(read(rows, max_cells=20).rows) == 10
    with pytest.raises(SampleError, match="2 columns, more than max_columns=1"):
        read(rows, max_columns=1)
    with pytest.raises(SampleError, match="at most 100 are read"):
        read(PENGUINS, max_bytes=100)
    assert len(read("\n".join(["a"] * 50_000)).rows) == 49_999


def test_rows_that_are_not_kept_are_counted_and_not_read() -> None:
    rows = [["a", "b"], [1, 2], [3, object()], [5, 6]]
    table = read(rows, most_rows=1)
    assert (table.rows, table.more_rows) == ((("1", "2"),), 2)
    with pytest.raises(SampleError, match="row 2 of the table holds object"):
        read(rows, most_rows=2)
    with pytest.raises(SampleError, match="row 3 of the table has 1 cells"):
        read([*rows[:3], [5]], most_rows=1)
    again = read(table, most_rows=0)
    assert (again.rows, again.more_rows) == ((), 3)
