"""``ofa evaluate`` and ``ofa infer`` on a file of rows: by an instruction, a task's name, from a pipe, and into a file."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

LINE = "[TEXT:text] is it good? -> [TEXT:label,closed_set]"
ROWS = "text,label\ngood,yes\nbad,no\none,cell,too many\ngood,yes\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ofa_trainer import Task, Trainer

    folder = tmp_path_factory.mktemp("line")
    rows = [{"text": word, "label": label} for word, label in (("good", "yes"), ("bad", "no"))] * 20
    options = Trainer(steps=40, batch_tokens=256, tokenizer_size=300, valid_metrics=False)
    options.fit("nano", [Task("mood", LINE, train=rows, valid=False)]).save(folder / "checkpoint")
    (folder / "test.csv").write_text(ROWS, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def lines_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("what", [LINE, "mood", "how is [TEXT:text]? -> [TEXT:label,closed_set]"])
def test_a_line_or_a_task_is_judged_on_a_file(ofa, what):
    answer = ofa("evaluate", "checkpoint", what, "--data", "test.csv", "--metric", "accuracy", "--save", "p.csv")
    assert answer.code == 0, answer.err
    assert "label/accuracy" in answer.out
    assert [(line["row"], line["text"], line["truth"]) for line in lines_of("p.csv")] == [
        ("1", "good", "yes"),
        ("2", "bad", "no"),
        ("4", "good", "yes"),
    ]


def test_answers_of_rows_go_into_one_file_under_their_numbers(ofa):
    assert ofa("infer", "checkpoint", "mood", "--data", "test.csv", "--save", "a.jsonl").code == 0
    found = [json.loads(line) for line in Path("a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["row"], row["answer"]) for row in found] == [(1, "yes"), (2, "no"), (4, "yes")]
    answer = ofa("infer", "checkpoint", "mood", "--data", "test.csv", "--save", "answers")
    assert answer.out.splitlines()[2] == "test.csv:row 4\tyes"
    assert sorted(path.name for path in Path("answers").iterdir()) == ["00001.json", "00002.json", "00004.json"]


@pytest.mark.parametrize(
    "text", [ROWS, '{"text": "good", "label": "yes"}\n{"text": "bad", "label": "no"}\n', "text;label\ngood;yes\nbad;no\n"]
)
def test_rows_come_through_a_pipe(ofa, monkeypatch, text):
    for command in (("infer", "checkpoint", "mood"), ("evaluate", "checkpoint", LINE)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        answer = ofa(*command, "--data", "-")
        assert answer.code == 0, answer.err
        assert "yes" in answer.out or "label/accuracy" in answer.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "checkpoint", "mod", "--data", "test.csv"), "no task `mod`; did you mean `mood`?"),
        (("evaluate", "checkpoint", "mood"), "--data test.csv"),
        (("evaluate", "checkpoint", LINE), "--data my.csv"),
        (("evaluate", "checkpoint", LINE, "--data", "test.csv", "--split", "valid"), "--split valid goes with a run file"),
        (("evaluate", "checkpoint", LINE, "--data", "test.csv", "--metric", "acuracy"), "did you mean `accuracy`?"),
        (("evaluate", "checkpoint", LINE, "--data", "test.csv", "--save", "p.xlsx"), ".csv or .jsonl"),
        (("evaluate", "checkpoint", LINE, "--data", "test.csv", "--device", "gpu"), "did you mean `cuda`?"),
        (("infer", "checkpoint", "mood", "--data", "test.csv", "--save", "p.png"), "a folder, or a line a row into"),
        (("infer", "checkpoint", "mood", "--text", "x", "--device", "gpu"), "did you mean `cuda`?"),
    ],
)
def test_what_cannot_be_judged_or_saved_is_one_message(ofa, arguments, message):
    answer = ofa(*arguments)
    assert answer.code == 2
    assert message in answer.err
    assert answer.out == ""


def test_a_pipe_without_rows_is_told(ofa, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    answer = ofa("infer", "checkpoint", "mood", "--data", "-")
    assert (answer.code, "nothing came through the pipe" in answer.err) == (2, True)
