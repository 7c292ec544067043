"""The schema of a database as text: keys, matched values, and what is left out within a budget."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofa_modalities import SampleError
from ofa_modalities.struct.database import SqlError, open_database, read_schema
from ofa_modalities.struct.output import Sql, Table
from ofa_modalities.struct.schema import SchemaText, match_values

MUSIC = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, "home town" TEXT, age INT);
CREATE TABLE song (id INTEGER PRIMARY KEY, singer INTEGER REFERENCES singer, title TEXT, "select" TEXT);
CREATE TABLE plays (song INT, day DATE, PRIMARY KEY (song, day), FOREIGN KEY (song) REFERENCES song (id));
INSERT INTO singer VALUES (1, 'Joe Sharp', 'New York', 52), (2, 'Rose White', 'York', 41), (3, 'of', 'the', 1);
INSERT INTO song VALUES (1, 1, 'Sun; rain', 'x'), (2, 2, 'York', 'y');
"""
WANTED = (
    "| singer : id key , name , home town , age | song : id key , singer refers singer.id , title , select"
    " | plays : song key refers song.id , day key"
)
QUESTION = "Which songs of JOE SHARP, from New York, are called 'sun rain'?"
SPIDER = {
    "db_id": "music",
    "question": QUESTION,
    "db_table_names": ["singer", "song"],
    "db_column_names": {"table_id": [-1, 0, 0, 1], "column_name": ["*", "id", "name", "singer"]},
    "db_primary_keys": {"column_id": [1]},
    "db_foreign_keys": {"column_id": [3], "other_column_id": [1]},
}


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "music.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(MUSIC)
    connection.close()
    return path


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    return make_run(
        {
            "ask": "[TEXT:question] [STRUCT:db,processor=database,question=question] -> [STRUCT:query,as=sql]",
            "plain": "[STRUCT:db,preprocess=database] -> [TEXT:a]",
            "typed": "[STRUCT:db,preprocess=database,types,keys=false,uncased] -> [TEXT:a]",
            "short": "[STRUCT:db,preprocess=database,max_length=60] -> [TEXT:a]",
            "small": "[STRUCT:db,preprocess=database,max_tables=2] -> [TEXT:a]",
            "narrow": "[STRUCT:db,preprocess=database,max_columns=5] -> [TEXT:a]",
        }
    )


def text_of(run: Any, task: str, db: object, root: Path | None = None) -> str:
    row = {"question": QUESTION, "db": db, "a": "x", "query": "SELECT 1"}
    segment = run.encode(task, row, root=root).source[-1]
    return str(run.vocabulary.tokenizer.decode(segment.units[1:].tolist()))


def test_a_path_bytes_and_sql_text_give_the_same_schema(run: Any, music: Path) -> None:
    named = WANTED.replace("| singer", "| music | singer", 1)
    assert text_of(run, "plain", music) == named
    assert text_of(run, "plain", "music.sqlite", music.parent) == named
    assert text_of(run, "plain", music.read_bytes()) == WANTED
    assert text_of(run, "plain", MUSIC) == WANTED
    assert text_of(run, "plain", {"db_path": str(music), "db_id": "other"}) == WANTED.replace("| singer", "| other | singer", 1)


def test_values_of_the_question_stand_behind_their_columns(run: Any, music: Path) -> None:
    text = text_of(run, "ask", music)
    assert "name ( Joe Sharp ) , home town ( New York , York ) , age |" in text
    assert "title ( Sun; rain , York ) ," in text
    assert " of " not in text
    assert text_of(run, "plain", {"database": MUSIC, "question": QUESTION}) == text.replace("| music ", "")


def test_types_and_case(run: Any) -> None:
    assert text_of(run, "typed", MUSIC.upper()).startswith("| singer : id integer , name text , home town text , age int | song")


def test_the_columns_of_spider(run: Any) -> None:
    assert text_of(run, "plain", SPIDER) == "| music | singer : id key , name | song : singer refers singer.id"
    with pytest.raises(SampleError, match=r"a database as a mapping has .*IndexError"):
        text_of(run, "plain", SPIDER | {"db_primary_keys": {}, "db_foreign_keys": {"column_id": [3], "other_column_id": [9]}})
    with pytest.raises(SampleError, match=r"a database as a mapping has .*db_table_names"):
        text_of(run, "plain", {"tables": []})


def count(text: str) -> int:
    return len(text.split())


def test_columns_are_left_out_before_tables_and_keys_last() -> None:
    with open_database(MUSIC) as connection:
        schema = read_schema(connection, "music")
        values = match_values(connection, schema, "who is Rose White ?")
    assert values == {("singer", "name"): ("Rose White",)}
    text = SchemaText(schema=schema, values=values)
    seen = []
    for limit in range(count(text.write()), 6, -1):
        found = text.within(limit, count)
        if found is None:
            break
        assert count(found) <= limit
        seen.append(found)
    assert seen[0] == text.write()
    assert seen == sorted(seen, key=count, reverse=True)
    two = next(found for found in seen if "singer : id key , name ( Rose White ) , ..." in found)
    assert "song : id key , singer refers singer.id , ... | plays : song key refers song.id , day key" in two
    assert seen[-1] == "| music | singer : id key , ... | ..."


def test_the_budget_holds_in_tokens(run: Any, music: Path) -> None:
    segment = run.encode("short", {"db": music, "a": "x"}).source[-1]
    assert len(segment.units) <= 61
    assert text_of(run, "short", music).endswith("...")


def test_a_database_that_is_cut_off_is_refused(run: Any, music: Path, tmp_path: Path) -> None:
    content = music.read_bytes()
    cut = tmp_path / "cut.db"
    pages = len(content) // 4096
    old = content[:92] + b"\0\0\0\0" + content[96:]  # as SQLite before 3.7.0 leaves it
    for broken, message in (
        (content[:5000], f"truncated: its header says {pages} pages of 4096 bytes, and it has 5,000 bytes"),
        (content[:-4096], f"truncated: its header says {pages} pages of 4096 bytes"),
        (old[:5000], "truncated: its pages have 4096 bytes each, and it has 5,000 bytes"),
        (content[:60], "truncated: a header has 100 bytes, and it has 60"),
    ):
        cut.write_bytes(broken)
        for source in (broken, cut):
            with pytest.raises(SampleError, match=f"the database cannot be read: the database is {message}"):
                text_of(run, "plain", source)
    for whole in (old, content + bytes(100)):
        assert text_of(run, "plain", whole) == WANTED


@pytest.mark.parametrize("page_size", [512, 65536])
def test_pages_may_have_any_size(tmp_path: Path, page_size: int) -> None:
    path = tmp_path / "t.db"
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA page_size = {page_size}; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    connection.close()
    for source in (path, path.read_bytes()):
        assert Sql("SELECT a FROM t").run(source).rows == ((1,),)
    with pytest.raises(SqlError, match=f"header says 2 pages of {page_size} bytes"):
        Sql("SELECT a FROM t").run(path.read_bytes()[:-1])


def test_changes_that_lie_in_a_log_are_not_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    (tmp_path / "link.db").symlink_to(path)
    for source in (path, tmp_path / "link.db"):
        with pytest.raises(SqlError, match=r"has changes that are not checkpointed, in `t\.db-wal`.*wal_checkpoint"):
            Sql("SELECT a FROM t").run(source)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert Sql("SELECT a FROM t").run(path).rows == ((1,),)
    connection.close()
    assert Sql("SELECT a FROM t").run(path).rows == ((1,),)


@pytest.mark.parametrize(
    ("db", "message"),
    [
        (b"", "zero bytes"),
        (b"SQLite format 3\0" + b"\1" * 5000, "the database cannot be read"),
        (b"nothing", "neither a SQLite database nor SQL text"),
        ("nowhere.db", "is no file"),
        (7, "a path, bytes or SQL text, not int"),
        ("CREATE TABLE t (a", "incomplete input"),
        ("CREATE TABLE t (a); DROP TABLE t", "not authorized"),
        ("CREATE TABLE t (a); ATTACH 'x' AS x", "not authorized|too many attached"),
        (MUSIC + "".join(f"CREATE TABLE t{number} (a);" for number in range(300)), "303 tables, more than max_tables=256"),
        ("".join(f"CREATE TABLE t{n} ({', '.join(f'c{c}' for c in range(1900))});" for n in range(2)), "more than 2,048 columns"),
    ],
    ids=lambda part: str(part)[:24],
)
def test_what_is_no_database_is_one_sample_error(run: Any, db: object, message: str) -> None:
    with pytest.raises(SampleError, match=message) as caught:
        text_of(run, "plain", db)
    assert caught.value.column == "db"


def test_limits_are_options(run: Any) -> None:
    with pytest.raises(SampleError, match="more than max_tables=2"):
        text_of(run, "small", MUSIC)
    with pytest.raises(SampleError, match="more than 5 columns"):
        text_of(run, "narrow", MUSIC)
    with pytest.raises(SqlError, match="no tables"):
        read_schema(sqlite3.connect(":memory:"))


def test_the_question_is_a_column_of_the_row(run: Any, make_run: Callable[..., Any]) -> None:
    other = make_run({"t": "[STRUCT:db,preprocess=database,question=asked] -> [TEXT:a]"})
    with pytest.raises(SampleError, match="`question=asked` names no column"):
        other.encode("t", {"db": MUSIC, "a": "x"})
    segment = other.encode("t", {"db": MUSIC, "a": "x", "asked": "is Rose White old?"}).source[-1]
    assert "( Rose White )" in other.vocabulary.tokenizer.decode(segment.units[1:].tolist())


def test_an_answer_is_a_query(run: Any, music: Path) -> None:
    def answer(query: object) -> Any:
        target = run.encode("ask", {"question": "how many?", "db": music, "query": query}).target[0]
        return run.encoder.decode(target.slot, target.labels[:-1])

    assert answer(" SELECT  count(*)\nFROM singer ;") == Sql("SELECT count(*) FROM singer")
    assert answer(Sql("SELECT 'a  b'")).run(music) == Table(columns=("'a  b'",), rows=(("a  b",),))
    for query, message in [
        ("DROP TABLE singer", "not DROP"),
        ("", "empty"),
        (None, "there is no answer to learn"),
        ("SELECT " + "1, " * 300 + "1", "more than max_length=256"),
    ]:
        with pytest.raises(SampleError, match=message) as caught:
            answer(query)
        assert caught.value.column == "query"


def test_a_database_is_no_answer(make_run: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="a database is read, not answered"):
        make_run({"t": "[TEXT:x] -> [STRUCT:db,preprocess=database]"})
    with pytest.raises(ValueError, match="no closed set"):
        make_run({"t": "[TEXT:x] -> [STRUCT:y,closed_set]"}, {"t": {"y": ("a", "b")}})


def test_encoding_is_deterministic(run: Any, music: Path) -> None:
    row = {"question": QUESTION, "db": music, "query": "SELECT 1"}
    first, second = (run.encode("ask", row, rng=np.random.default_rng(seed)) for seed in (0, 1))
    assert all(np.array_equal(one.units, other.units) for one, other in zip(first.source, second.source, strict=True))


def test_a_real_database_is_read_and_asked() -> None:
    path = Path(__file__).parent.parent / "fixtures" / "struct" / "penguins.db"
    with open_database(path) as database:
        schema = read_schema(database)
    assert [table.name for table in schema.tables] == ["island", "penguin"]
    query = "SELECT name, count(*) FROM penguin JOIN island ON island.id = penguin.island GROUP BY name ORDER BY name"
    by_hand: dict[str, int] = {}
    for line in (path.parent / "penguins.csv").read_text().splitlines()[1:]:
        name = line.split(",")[1]
        by_hand[name] = by_hand.get(name, 0) + 1
    assert Sql(query).run(path).rows == tuple(sorted(by_hand.items()))
