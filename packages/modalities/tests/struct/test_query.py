"""Queries: what is run, what is refused, and that nothing runs for ever."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ofa_modalities.struct.database import SqlError, open_database
from ofa_modalities.struct.output import Sql, Table
from ofa_modalities.struct.query import normalise_query

SHOP = """
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);
INSERT INTO item VALUES (1, 'tea', 2.5), (2, 'milk', 1), (3, NULL, 4);
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "a shop?.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(SHOP)
    connection.close()
    return path


def test_a_query_is_answered_by_a_path_bytes_or_a_script(shop: Path) -> None:
    wanted = Table(columns=("name", "total"), rows=((None, 8.0), ("milk", 2.0), ("tea", 5.0)))
    for database in (shop, str(shop), shop.read_bytes(), SHOP):
        assert Sql("SELECT name, 2 * price AS total FROM item ORDER BY name").run(database) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "WITH cheap AS (SELECT * FROM item WHERE price < 3) SELECT count(*) FROM cheap",
        "select 1 union select 2 order by 1",
        "(SELECT 1)",
        "SELECT count(*) FROM item;",
        "SELECT name FROM item WHERE id IN (SELECT id FROM item) -- end",
        "SELECT upper(name), rank() OVER (ORDER BY price) FROM item",
    ],
)
def test_queries(text: str, shop: Path) -> None:
    if text.startswith("("):
        Sql(text).check()
    else:
        assert Sql(text).run(shop).rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DROP TABLE item", "not DROP"),
        ("DELETE FROM item", "not DELETE"),
        ("UPDATE item SET price = 0", "not UPDATE"),
        ("INSERT INTO item VALUES (4, 'x', 1)", "not INSERT"),
        ("REPLACE INTO item VALUES (1, 'x', 1)", "not REPLACE"),
        ("CREATE TABLE t (a)", "not CREATE"),
        ("ALTER TABLE item ADD COLUMN x", "not ALTER"),
        ("ATTACH 'other.db' AS other", "not ATTACH"),
        ("PRAGMA writable_schema = ON", "not PRAGMA"),
        ("VACUUM INTO 'copy.db'", "not VACUUM"),
        ("BEGIN", "not BEGIN"),
        ("EXPLAIN SELECT 1", "not EXPLAIN"),
        ("/* hidden */ DROP TABLE item", "only a query that reads"),
        ("WITH a AS (SELECT 1) DELETE FROM item", "only a query that reads"),
        ("WITH a AS (SELECT 1) INSERT INTO item SELECT 9, 'x', 1", "only a query that reads"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT 1; DROP TABLE item", "2 statements"),
        ("", "no statements"),
        ("the cheapest item", "not THE"),
        ("SELECT FROM WHERE", "not SQL|syntax"),
        ("SELECT 'a\0b'", "NUL character"),
        ("SELECT " + "(" * 3000 + "1" + ")" * 3000, "too deeply nested"),
        ("SELECT " + "1," * 60_000 + "1", "more than 100,000"),
        ("SELECT * FROM shelf", "no such table: shelf"),
        ("SELECT load_extension('x')", "not authorized"),
        ("SELECT * FROM pragma_table_info('item')", "no such table|not authorized|prohibited"),
        ("SELECT zeroblob(1000000000)", "too big"),
        ("SELECT randomblob(8000000) UNION ALL SELECT randomblob(8000000)", "more than 10,000,000 bytes"),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n", "more than 10,000 rows"),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", "longer than 0.2 seconds"),
        ("SELECT count(*) FROM " + ", ".join(f"item AS t{number}" for number in range(40)), "longer than 0.2 seconds"),
    ],
    ids=lambda part: part[:30],
)
def test_what_is_refused_or_stopped(text: str, message: str, shop: Path) -> None:
    before = shop.read_bytes()
    with pytest.raises(SqlError, match=message):
        Sql(text).run(shop, max_seconds=0.2)
    assert shop.read_bytes() == before
    assert [path.name for path in shop.parent.iterdir()] == [shop.name]


@pytest.mark.parametrize(
    "text",
    ["DELETE FROM item", "CREATE TABLE t (a)", "ATTACH ':memory:' AS m", "PRAGMA query_only = OFF", "CREATE TEMP TABLE t (a)"],
)
def test_the_database_refuses_what_writes_whoever_asks(text: str, shop: Path) -> None:
    """What would hold if sqlglot let something through."""
    with open_database(shop) as connection:
        if not text.startswith("PRAGMA"):  # A pragma has no effect; the rest is an error.
            with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
                connection.execute(text)
        else:
            connection.execute(text)
        with pytest.raises(sqlite3.DatabaseError):
            connection.execute("DELETE FROM item")
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (3,)


COMMENTED = [
    ("SELECT name FROM item -- rows\nWHERE id = 2", "SELECT name FROM item WHERE id = 2"),
    ("-- the dear\n--ones\nSELECT name FROM item WHERE price > 2 ; -- end", "SELECT name FROM item WHERE price > 2"),
    ("SELECT/* a\n-- b */name/**/FROM item/* ' */WHERE id=2 -- '", "SELECT name FROM item WHERE id=2"),
    ("SELECT '-- a  \n', \"name\" FROM item /* to the end", "SELECT '-- a  \n', \"name\" FROM item"),
    ("SELECT '/* it''s */', price AS \"--\", id AS [/* x */], id AS `--`  FROM item",
     "SELECT '/* it''s */', price AS \"--\", id AS [/* x */], id AS `--` FROM item"),
    ("SELECT 3 - -1, 4 / 2 * 1 FROM item", "SELECT 3 - -1, 4 / 2 * 1 FROM item"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), COMMENTED)
def test_a_query_on_one_line_has_the_same_rows(text: str, wanted: str) -> None:
    assert normalise_query(text) == wanted
    with open_database(SHOP) as connection:
        rows, same = (connection.execute(query).fetchall() for query in (text, wanted))
    assert rows == same
    assert rows


@pytest.mark.parametrize("source", ["bytes", "script", "table", "path"])
@pytest.mark.parametrize("step", ["deserialize", "execute", "executescript", "executemany"])
def test_a_database_that_fails_is_closed(source: str, step: str, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Connection] = []

    class Connection(sqlite3.Connection):
        """Fails at one step, and knows whether it was closed."""

        closed = False

        def close(self) -> None:
            self.closed = True
            super().close()

    def fail(*given: object) -> None:
        raise sqlite3.OperationalError("no")

    def connect(*given: Any, **options: Any) -> sqlite3.Connection:
        opened.append(real(*given, **options, factory=Connection))
        return opened[-1]

    real = sqlite3.connect
    setattr(Connection, step, fail)
    monkeypatch.setattr(sqlite3, "connect", connect)
    table = Table(columns=("a",), rows=((1,),))
    database = {"bytes": shop.read_bytes(), "script": SHOP, "table": table, "path": shop}[source]
    with suppress(SqlError):
        Sql("SELECT 1").run(database)
    assert [connection.closed for connection in opened] == [True]


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database")
    (tmp_path / "empty.db").touch()
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + b"\7" * 4096)
    for database, message in [
        (tmp_path / "none.db", "there is no database"),
        (tmp_path / "text.db", "is not a SQLite database"),
        (tmp_path / "empty.db", "is not a SQLite database"),
        (tmp_path / "broken.db", "not a database|malformed"),
        (b"bytes", "not a SQLite database"),
        ("CREATE TABLE t (a); ATTACH 'x.db' AS x", "not authorized|too many attached"),
        ("CREATE TABLE t (a); INSERT INTO t SELECT load_extension('x')", "not authorized"),
    ]:
        with pytest.raises(SqlError, match=message):
            Sql("SELECT * FROM t").run(database)
    assert not (tmp_path / "none.db").exists()


def test_a_script_that_never_ends_is_stopped() -> None:
    script = "CREATE TABLE t (a); INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with pytest.raises(SqlError, match=r"longer than 0\.2 seconds|full"):
        Sql("SELECT 1").run(script, max_seconds=0.2)


def test_saving(tmp_path: Path) -> None:
    table = Table(columns=("a", "b"), rows=(("x,y", 1), (None, 2.5)), name="<t>")
    assert table.save(tmp_path / "t.csv").read_text() == 'a,b\n"x,y",1\n,2.5\n'
    assert table.save(tmp_path / "t.tsv").read_text() == "a\tb\nx,y\t1\n\t2.5\n"
    assert '"rows": [' in table.save(tmp_path / "t.json").read_text()
    page = table.save(tmp_path / "t.html").read_text()
    assert "<caption>&lt;t&gt;</caption>" in page
    assert "<td>x,y</td><td>1</td>" in page
    assert Table.parse(table.save(tmp_path / "t.txt").read_text().strip()) == table.as_text()
    with pytest.raises(ValueError, match=r"\.csv \.tsv \.json \.html \.txt"):
        table.save(tmp_path / "t.xlsx")
    assert Sql("SELECT 1").save(tmp_path / "q.sql").read_text() == "SELECT 1\n"
    with pytest.raises(ValueError, match=r"\.sql \.txt"):
        Sql("SELECT 1").save(tmp_path / "q.csv")
