"""Execution accuracy and tables: what counts as the same answer."""

from __future__ import annotations

import base64
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ofa_modalities.struct.output import Sql, Table
from ofa_modalities.struct.reading import TableReader
from ofa_trainer.metrics.metric import Judged
from ofa_trainer.metrics.specs import ExecutionOptions, NoOptions
from ofa_trainer.metrics.struct import execution_accuracy, table_match

SHOP = """
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);
INSERT INTO item VALUES (1, 'tea', 2.5), (2, 'milk', 1.1), (3, 'rice', 2.2);
"""


def score(answer: object, reference: str, database: Any = SHOP, root: Path | None = None, **options: Any) -> float:
    row = Judged(answer=answer, reference=reference, given={"database": database}, root=root)
    return execution_accuracy([row], ExecutionOptions(**options)).value


@pytest.mark.parametrize(
    ("answer", "reference", "wanted"),
    [
        ("SELECT name FROM item WHERE price > 2", "SELECT name AS n FROM item WHERE NOT price <= 2", 1),
        ("SELECT name FROM item ORDER BY id DESC", "SELECT name FROM item", 1),
        ("SELECT name FROM item ORDER BY id DESC", "SELECT name FROM item ORDER BY id", 0),
        ("SELECT name, id FROM item", "SELECT id, name FROM item", 0),
        ("SELECT name FROM item UNION ALL SELECT name FROM item", "SELECT name FROM item", 0),
        ("SELECT 5.8", "SELECT sum(price) FROM item", 1),
        ("SELECT 3.0", "SELECT count(*) FROM item", 1),
        ("SELECT 5551234567", "SELECT 5551234568", 0),
        ("SELECT 5551234567.0", "SELECT 5551234567", 1),
        ("SELECT 5551234567.0", "SELECT 5551234568.0", 0),
        ("SELECT 5551234567.0000001", "SELECT 5551234567.0", 1),
        ("SELECT 0.1 + 0.2", "SELECT 0.3", 1),
        ("SELECT 9e999", "SELECT 9e999", 1),
        ("SELECT -9e999", "SELECT 9e999", 0),
        ("SELECT 'tea'", "SELECT name FROM item WHERE id = 1", 1),
        ("SELECT NULL", "SELECT name FROM item WHERE id = 1", 0),
        ("SELEC name", "SELECT name FROM item", 0),
        ("DROP TABLE item", "SELECT name FROM item", 0),
        ("SELECT * FROM nowhere", "SELECT name FROM item", 0),
        (None, "SELECT name FROM item", 0),
        (Sql("SELECT count(*) FROM item"), "SELECT 3", 1),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", "SELECT 3", 0),
    ],
)
def test_queries_are_the_same_where_their_rows_are(answer: object, reference: str, wanted: float) -> None:
    assert score(answer, reference, max_seconds=0.2) == wanted


def test_databases_are_files_bytes_and_tables(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.executescript(SHOP)
    connection.close()
    (tmp_path / "item.csv").write_text("id,name,price\n1,tea,2.5\n2,milk,1.1\n3,rice,2.2\n")
    table = {"name": "item", "columns": ["id", "name", "price"], "rows": [[1, "tea", "2.5"], [2, "milk", 1.1], [3, "rice", 2.2]]}
    content = (tmp_path / "shop.db").read_bytes()
    lines = base64.encodebytes(content).decode()
    for database in ("shop.db", content, lines, {"db_path": "shop.db", "db_id": "shop"}, table):
        assert score("SELECT sum(price) FROM item", "SELECT 5.8", database, tmp_path) == 1
    text = (tmp_path / "item.csv").read_text()
    for database in ("item.csv", text, text.encode(), text.replace(",", "\t"), '[{"price": 5.8}]', "col : price row 1 : 5.8"):
        assert score("SELECT sum(price) FROM t", "SELECT 5.8", database, tmp_path) == 1
    assert score("SELECT sum(price) FROM item", "SELECT 5.8", SHOP.encode()) == 1
    assert score("SELECT max(c2) FROM t", "SELECT 5", Table(columns=(), rows=((1, 4), (2, 5)))) == 1
    assert score("SELECT 1", "SELECT 1", "../shop.db", tmp_path / "below") == 0


def test_the_bytes_of_a_database_are_not_spelt() -> None:
    class Content(bytes):
        """Bytes that nobody writes out."""

        def __str__(self) -> str:
            raise AssertionError

    connection = sqlite3.connect(":memory:")
    connection.executescript(SHOP)
    assert score("SELECT count(*) FROM item", "SELECT 3", Content(connection.serialize())) == 1
    connection.close()


def test_a_reference_that_cannot_be_run_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert score("SELECT 1", "SELECT * FROM nowhere") == 0
    assert "the reference `SELECT * FROM nowhere` cannot be run: no such table: nowhere" in caplog.text


def match(answer: object, reference: object, *, header: bool = True) -> float:
    table = TableReader(column="reference", header=header).read(reference)
    return table_match([Judged(answer=answer, reference=table)], NoOptions()).value


def test_tables_are_compared_cell_by_cell() -> None:
    answer = Table(columns=("a", "b"), rows=(("1", "X y"),))
    for reference, wanted in [
        ([["a", "b"], [1, "x  y"]], 1.0),
        ({"a": ["1"], "b": ["x y"]}, 1.0),
        ("col : a | b row 1 : 1 | x y", 1.0),
        ([["b", "a"], [1, "x y"]], 0.0),
        ([["a", "b"]], 0.0),
    ]:
        assert match(answer, reference) == wanted
    mended = Table(columns=("a",), rows=(("1",),), problems=("something",))
    assert match(mended, [["a"], [1]]) == 0
    assert match(Table(columns=(), rows=(("1", "2"),)), [[1, 2]], header=False) == 1
    assert match(None, [["a"], [1]]) == 0
