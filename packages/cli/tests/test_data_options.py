"""``--data`` and what is said of it: folders, delimiters, odd headers, roots, in every command that reads rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

LINE = "[TEXT:text] how is it? -> [TEXT:label,closed_set]"
PICTURE = "[IMAGE:photo] what is it? -> [TEXT:kind,closed_set]"
QUICK = ("--model", "nano", "--steps", "2", "--set", "trainer.batch_tokens=64", "--set", "trainer.tokenizer_size=300")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A file with semicolons, odd headers and a byte order mark."""
    rows = "".join(f"{word}, really;{label}\n" for word, label in (("good", "yes"), ("bad", "no"))) * 12
    path = tmp_path / "odd.csv"
    path.write_text("the text;1st choice\n" + rows, encoding="utf-8-sig")
    return path


COLUMNS = ("--column", "text=the text", "--column", "label=1st choice")


def test_odd_headers_and_semicolons_from_training_to_answers(odd: Path, tmp_path: Path, ofa: Callable[..., Any]) -> None:
    output = str(tmp_path / "run")
    seen = ofa("explain", LINE, "--data", str(odd), *COLUMNS, "-n", "1", "--json")
    assert json.loads(seen.out)[0]["error"] is None
    assert ofa("train", LINE, "--data", str(odd), *COLUMNS, "--output", output, *QUICK).code == 0
    for what in (LINE, "task"):
        answer = ofa("infer", output, what, "--data", str(odd), "--json")
        assert answer.code == 0, answer.err
        assert [one["row"] for one in json.loads(answer.out)] == list(range(1, 25))
        judged = ofa("evaluate", output, what, "--data", str(odd), "--json")
        assert judged.code == 0, judged.err
        assert json.loads(judged.out)["task"]["label/accuracy"]["rows"] == 24
    (tmp_path / "other.tsv").write_text("Text\tlabel\ngood\tyes\n", encoding="utf-16")
    told = ofa("infer", output, "task", "--data", str(tmp_path / "other.tsv"))
    assert told.code == 2
    assert 'did you mean `Text`? Another name is given with `columns`, on the command line with --column "text=Text"' in told.err
    assert ofa("infer", output, "task", "--data", str(tmp_path / "other.tsv"), "--column", "text=Text").code == 0


def test_an_odd_delimiter_is_told_and_taken(tmp_path: Path, ofa: Callable[..., Any]) -> None:
    (tmp_path / "my.csv").write_text("text^label\ngood^yes\nbad^no\n", encoding="utf-8")
    arguments = ("explain", LINE, "--data", str(tmp_path / "my.csv"))
    told = ofa(*arguments)
    assert told.code == 2
    assert "--delimiter '^'" in told.err
    assert ofa(*arguments, "--delimiter", "^").code == 0
    assert ofa(*arguments, "--delimiter", "^^").code == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--column", "label"), "write NAME=HEADER"),
        (("--column", "label=a", "--column", "label=b"), "`label` is given twice"),
        (("--column", "label=1st choise", "--column", "text=the text"), "did you mean `1st choice`"),
    ],
)
def test_mistaken_columns_are_told(options: tuple[str, ...], message: str, odd: Path, ofa: Callable[..., Any]) -> None:
    answer = ofa("explain", LINE, "--data", str(odd), *options)
    assert answer.code == 2
    assert message in answer.err


def test_options_of_data_need_data(run_yaml: Path, ofa: Callable[..., Any]) -> None:
    for options in (("--column", "a=b"), ("--delimiter", ";"), ("--root", ".")):
        answer = ofa("train", str(run_yaml), *options)
        assert answer.code == 2
        assert f"{options[0]} goes with --data; a run file says" in answer.err


def _pictures(folder: Path) -> None:
    for name, colour in (("red", (220, 0, 0)), ("blue", (0, 0, 220))):
        (folder / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (16, 16), colour).save(folder / name / f"{number}.png")


def test_a_folder_of_classes_is_trained_on_judged_and_asked(tmp_path: Path, ofa: Callable[..., Any]) -> None:
    for part in ("train", "valid", "test"):
        _pictures(tmp_path / "data" / part)
    output = str(tmp_path / "run")
    done = ofa("train", PICTURE, "--data", str(tmp_path / "data"), "--output", output, *QUICK)
    assert done.code == 0, done.err
    test = str(tmp_path / "data" / "test")
    assert json.loads(ofa("evaluate", output, PICTURE, "--data", test, "--json").out)["task"]["kind/accuracy"]["rows"] == 4
    answer = ofa("infer", output, PICTURE, "--data", test)
    assert [line.split("\t")[0] for line in answer.out.splitlines()] == [
        f"test/{name}/{number}.png" for name in ("blue", "red") for number in range(2)
    ]
    alone = ofa("infer", output, "task", "--data", str(tmp_path / "data" / "test" / "red"))
    assert [line.split("\t")[0] for line in alone.out.splitlines()] == ["red/0.png", "red/1.png"]
    whole = ofa("infer", output, "task", "--data", str(tmp_path / "data"))
    assert whole.code == 2
    assert "is split already, into `train`, `valid`, `test`: name one of them" in whole.err
    (tmp_path / "none").mkdir()
    nothing = ofa("train", PICTURE, "--data", str(tmp_path / "none"), "--output", f"{output}-2")
    assert "a folder may hold Parquet files, one CSV or JSON lines file, a folder of pictures" in nothing.err


def test_a_run_file_takes_folders_delimiters_and_roots(tmp_path: Path, ofa: Callable[..., Any]) -> None:
    for part in ("train", "test"):
        _pictures(tmp_path / "data" / part)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "my.csv").write_text("file^what\ndata/train/red/0.png^red\ndata/train/blue/0.png^blue\n")
    (tmp_path / "run.yaml").write_text(
        f"model: nano\ntasks:\n  folder:\n    instruction: '{PICTURE}'\n    train: data\n"
        f"  listed:\n    instruction: '{PICTURE}'\n    train: lists/my.csv\n    columns: {{photo: file, kind: what}}\n"
        "    delimiter: ^\n    root: .\n"
    )
    answer = ofa("check", str(tmp_path / "run.yaml"))
    assert answer.code == 0, answer.out + answer.err
    assert "folder  4 train, 4 test rows" in answer.out
    seen = ofa("explain", str(tmp_path / "run.yaml"), "--json", "-n", "1")
    assert [row["error"] for row in json.loads(seen.out)] == [None, None]


def test_a_path_outside_of_the_data_names_the_option_that_helps(tmp_path: Path, ofa: Callable[..., Any]) -> None:
    _pictures(tmp_path / "pictures")
    (tmp_path / "lists").mkdir()
    rows = "".join(f"../pictures/{name}/0.png,{name}\n" for name in ("red", "blue"))
    (tmp_path / "lists" / "my.csv").write_text("photo,kind\n" + rows)
    arguments = ("explain", PICTURE, "--data", str(tmp_path / "lists" / "my.csv"))
    assert "another is given as `root` (--root)" in ofa(*arguments).out.replace("\n", " ")
    (tmp_path / "lists" / "my.csv").write_text("photo,kind\n" + rows.replace("../", ""))
    seen = ofa(*arguments, "--root", str(tmp_path), "--json")
    assert [row["error"] for row in json.loads(seen.out)] == [None, None]
