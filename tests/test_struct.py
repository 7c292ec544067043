"""STRUCT from a file to the model and back: questions about tables, queries learnt by heart and executed."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ofa_modalities.struct.output import Sql, Table
from ofa_models import Session
from ofa_trainer import DataError, Task, Trainer, evaluate
from ofa_trainer.plans import EvaluatePlan

PENGUINS = Path(__file__).parent.parent / "packages" / "modalities" / "tests" / "fixtures" / "struct" / "penguins.csv"
ISLANDS = ("Torgersen", "Biscoe", "Dream")
TABLE_QA = "[STRUCT:table,max_length=120,types] what is the answer to [TEXT:question] ? -> [TEXT:answer,closed_set]"
TO_SQL = "[TEXT:question] [STRUCT:db,processor=database,question=question] -> [STRUCT:query,as=sql,max_length=48]"
TO_TABLE = "list what [TEXT:what] holds -> [STRUCT:rows,max_length=64]"


def penguins() -> list[dict[str, str]]:
    with PENGUINS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table_rows() -> list[dict[str, object]]:
    """Small tables of real rows, and which island or sex the only one of a species has."""
    rows: list[dict[str, object]] = []
    for start in range(0, 24, 2):
        part = penguins()[start : start + 2]
        table = [["species", "island", "year"], *[[row["species"], row["island"], row["year"]] for row in part]]
        rows.append({"table": table, "question": "the first island", "answer": part[0]["island"]})
    return rows


def query_rows() -> list[dict[str, object]]:
    def ask(question: str, query: str) -> dict[str, object]:
        return {"question": question, "db": "penguins.db", "query": query}

    return [
        ask("how many penguins live on Dream?", "SELECT count(*) FROM penguins WHERE island = 'Dream'"),
        ask("how many penguins live on Biscoe?", "SELECT count(*) FROM penguins WHERE island = 'Biscoe'"),
        ask("which species are there?", "SELECT DISTINCT species FROM penguins ORDER BY species"),
        ask("how heavy is the heaviest Gentoo?", "SELECT max(body_mass_g) FROM penguins WHERE species = 'Gentoo'"),
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of real rows, and questions to it in a file beside it."""
    folder = tmp_path_factory.mktemp("penguins")
    connection = sqlite3.connect(folder / "penguins.db")
    connection.execute("CREATE TABLE penguins (species TEXT, island TEXT, body_mass_g INTEGER)")
    kept = [(row["species"], row["island"], row["body_mass_g"]) for row in penguins() if row["body_mass_g"] != "NA"]
    connection.executemany("INSERT INTO penguins VALUES (?, ?, ?)", kept)
    connection.commit()
    connection.close()
    (folder / "sql.jsonl").write_text("".join(json.dumps(row) + "\n" for row in query_rows() * 6), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tasks(folder: Path) -> list[Task]:
    lists = [{"what": island, "rows": {"island": [island], "number": [place]}} for place, island in enumerate(ISLANDS)]
    shared: dict[str, Any] = {"valid": False, "weight": 1.0}
    return [
        Task("qa", TABLE_QA, train=table_rows() * 2, **shared),
        Task(
            "sql",
            TO_SQL,
            train=str(folder / "sql.jsonl"),
            metrics=[{"execution_accuracy": {"database": "db"}}, "exact_match"],
            **shared,
        ),
        Task("rows", TO_TABLE, train=lists * 8, **shared),
    ]


@pytest.fixture(scope="module")
def session(tasks: list[Task], tmp_path_factory: pytest.TempPathFactory) -> Session:
    options: dict[str, Any] = {"batch_tokens": 640, "tokenizer_size": 400, "valid_metrics": False, "precision": "float32"}
    trained = Trainer(steps=110, **options).fit("nano", tasks)
    return Session.from_pretrained(trained.save(tmp_path_factory.mktemp("struct") / "checkpoint"))


def test_questions_about_tables_are_answered(session: Session) -> None:
    answers = session.batch("qa", [{"table": row["table"], "question": row["question"]} for row in table_rows()])
    assert [answer.label for answer in answers] == [row["answer"] for row in table_rows()]


def test_queries_are_written_and_executed(session: Session, folder: Path) -> None:
    answer = session("sql", question=query_rows()[0]["question"], db=str(folder / "penguins.db"))
    assert answer.sql == Sql("SELECT count(*) FROM penguins WHERE island = 'Dream'")
    wanted = sum(row["island"] == "Dream" and row["body_mass_g"] != "NA" for row in penguins())
    assert answer.sql.run(folder / "penguins.db").rows == ((wanted,),)
    species = session("sql", question="which species are there?", db=(folder / "penguins.db").read_bytes()).sql
    assert species.run(folder / "penguins.db").rows == (("Adelie",), ("Chinstrap",), ("Gentoo",))
    assert json.loads(answer.to_json())["answer"] == {"query": answer.text}


def test_queries_are_judged_by_what_they_answer(session: Session, tasks: list[Task]) -> None:
    found = evaluate(session, tasks, EvaluatePlan(split="train", rows=8, resamples=20)).tasks
    assert found["sql"].metrics["query/execution_accuracy"].value == 1
    assert found["rows"].metrics["rows/table_match"].value == 1
    assert not any(task.bad for task in found.values())


def test_a_row_without_its_database_is_a_bad_row(session: Session, folder: Path) -> None:
    task = Task(
        "rows",
        TO_TABLE,
        train=[{"what": "x", "rows": [["a"]]}],
        valid=False,
        metrics=[{"execution_accuracy": {"database": "db"}}],
    )
    with pytest.raises(DataError, match="row 1:db: a metric of the task reads this column, and the row has none"):
        evaluate(session, [task], EvaluatePlan(split="train"))


def test_a_table_is_answered_and_saved(session: Session, tmp_path: Path) -> None:
    answer = session("rows", what="Biscoe")
    assert answer.table == Table(columns=("island", "number"), rows=(("Biscoe", "1"),))
    assert answer.text == "col : island | number row 1 : Biscoe | 1"
    assert answer.save(tmp_path / "rows.csv").read_text() == "island,number\nBiscoe,1\n"
    assert "<td>Biscoe</td>" in answer.save(tmp_path / "rows.html").read_text()
    assert json.loads(answer.save(tmp_path / "rows.json").read_text())["answer"]["rows"]["rows"] == [["Biscoe", "1"]]
    with pytest.raises(AttributeError, match="none fits"):
        _ = answer.sql
