"""What is wrong with the data, the instruction, the run file or the checkpoint: one clear error, or a row skipped and named."""

from __future__ import annotations

import csv
import json
import os
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from ofa_cli.main import run

LABEL = "[IMAGE:img] what does the image describe? -> [TEXT:label,closed_set]"
BOX = '[IMAGE:img] where is " [TEXT:label] "? -> [BOX:region]'
COLOURS = ("red", "green", "blue")
QUICK = ("--model", "nano", "--steps", "6", "--set", "trainer.batch_tokens=512", "--set", "trainer.valid_metrics=false")


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data: Path) -> Callable[..., Said]:
    """The command line inside this process, in the folder of the data; an error that is a bug rises."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(data)

    def call(*arguments: object) -> Said:
        code = run(list(map(str, arguments)))
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def rows(data: Path) -> list[dict[str, str]]:
    with (data / "my.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, draw) -> Path:
    """Thirty good rows in ``my.csv``, and pictures that are none."""
    folder = tmp_path_factory.mktemp("data")
    found = []
    for number in range(30):
        colour = COLOURS[number % 3]
        left, top = 2 * (number % 5), 3 * (number % 4)
        draw(((left, top, left + 16, top + 16), colour)).save(folder / f"{number}.png")
        found.append({"img": f"{number}.png", "label": colour, "region": f"{left},{top},{left + 16},{top + 16}"})
    write(folder / "my.csv", found)
    (folder / "truncated.png").write_bytes((folder / "0.png").read_bytes()[:60])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("not a picture", encoding="utf-8")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bomb)
    return folder


@pytest.fixture(scope="module")
def checkpoint(data: Path) -> Path:
    """A model that was trained for a moment."""
    before = Path.cwd()
    os.chdir(data)
    try:
        assert run(["train", LABEL, "--data", "my.csv", "--output", "run", *QUICK, "--json"]) == 0
    finally:
        os.chdir(before)
    return data / "run"


# Rows that cannot be used are skipped, counted and named


@pytest.mark.parametrize(
    ("instruction", "column", "value", "told"),
    [
        (LABEL, "img", "missing.png", "'missing.png' is no file under"),
        (LABEL, "img", "truncated.png", "not a readable picture: image file is truncated"),
        (LABEL, "img", "empty.png", "has zero bytes"),
        (LABEL, "img", "text.png", "not a readable picture"),
        (LABEL, "img", "bomb.png", "60000 × 60000 pixels, more than"),
        (LABEL, "img", "../outside.png", "outside"),
        (LABEL.replace("IMAGE:img", "IMAGE:img,required"), "img", "", "its slot is `required`"),
        (BOX, "region", "30,30,50,50", "the box (30, 30, 50, 50) lies outside its picture of 32 × 32 pixels"),
        (BOX, "region", "20,20,10,10", "the box (20, 20, 10, 10) is inverted"),
        (BOX, "region", "5,5,5,20", "inverted or empty"),
        (BOX, "region", "1,2,3", "a box is four numbers"),
        (BOX, "region", "nan,0,1,1", "finite"),
    ],
)
def test_a_bad_row_is_skipped_counted_and_named(here, data, rows, tmp_path, instruction, column, value, told):
    bad = [dict(row) for row in rows]
    bad[4][column] = value
    (data.parent / "outside.png").write_bytes((data / "0.png").read_bytes())
    write(data / "bad.csv", bad)
    done = here("train", instruction, "--data", "bad.csv", "--output", tmp_path / "run", *QUICK)
    assert done.code == 0, done.err
    skipped = [line for line in done.err.splitlines() if line.startswith("skipped")]
    assert len(skipped) == 1, "a row is told once, however often it comes"
    assert skipped[0].startswith(f"skipped bad.csv:row 5:{column}: ")
    assert told in skipped[0]
    assert ", bad rows: 1, skipped " in done.err.splitlines()[-1]
    events = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [event for event in events if event["event"] == "bad_row"]
    assert found
    assert {(event["address"], event["column"]) for event in found} == {("bad.csv:row 5", column)}


def test_too_many_bad_rows_stop_the_run_with_a_table_of_them(here, data, rows, tmp_path):
    write(data / "half.csv", [row | {"img": "missing.png"} if number % 2 else row for number, row in enumerate(rows)])
    done = here("train", LABEL, "--data", "half.csv", "--output", tmp_path / "run", *QUICK[:3], "60", *QUICK[4:])
    assert done.code == 2
    assert "rows could not be used; the last of them:" in done.err
    table = done.err.partition("the last of them:\n")[2].splitlines()
    assert len(table) > 5
    assert len(set(table)) == len(table)
    assert all(line.startswith("  half.csv:row ") for line in table)


def test_rows_of_the_wrong_shape_are_named(here, data, tmp_path):
    lines = (data / "my.csv").read_text(encoding="utf-8").splitlines()
    lines[7] = "7.png,red"
    (data / "short.csv").write_text("\n".join(lines), encoding="utf-8")
    done = here("train", LABEL, "--data", "short.csv", "--output", tmp_path / "run", *QUICK)
    assert done.code == 0
    assert "skipped short.csv:row 7: 2 cells under 3 columns" in done.err


# What makes a run impossible is one error before it starts


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "column.csv",
            b"image,label\n0.png,red\n1.png,blue\n",
            "reads the column `img`.*the columns: image label; did you mean `image`.*--column",
        ),
        ("empty.csv", b"", "the file is empty"),
        ("header.csv", b"img,label\n", "holds no rows"),
        ("twice.csv", b"img,img,label\na,b,c\n", "names the column `img` twice"),
        ("latin.csv", "img,label\n0.png,café\n".encode("latin-1"), "latin.csv: not utf-8"),
        ("one.csv", b"img,label\n0.png,red\n3.png,red\n", "nothing to learn.*holds `red` alone"),
        ("no.parquet", b"no", "not a Parquet file"),
        ("no.xyz", b"no", "no source reads `.xyz`"),
    ],
)
def test_data_that_cannot_be_trained_on(here, data, tmp_path, name, content, told):
    (data / name).write_bytes(content)
    assert_refused(here("train", LABEL, "--data", name, "--output", tmp_path / "run", *QUICK), told)


@pytest.mark.parametrize(
    ("instruction", "told"),
    [
        ("[IMGAE:img] what? -> [TEXT:label]", r"OFA-I003(.*\n)+.*\^\^\^\^\^(.*\n)+.*did you mean `IMAGE`"),
        ("[IMAGE:img what? -> [TEXT:label]", "OFA-I00"),
        ("[IMAGE:img] what? [TEXT:label]", "OFA-I001: no `->`"),
        ("[IMAGE:img] -> [TEXT:label] -> [TEXT:label]", "OFA-I002"),
        ("[IMAGE:img] -> [TEXT:label,closed_sat]", "OFA-I102(.*\n)+.*did you mean `closed_set`"),
        ("[IMAGE:img] -> [TEXT:label,max_length=0]", "OFA-I103"),
        ("[TEXT:label] where? -> [BOX:region]", "OFA-I107"),
        ("[AUDIO:img,num_mels=0] -> [TEXT:label]", "OFA-I103"),
    ],
)
def test_a_malformed_instruction_has_a_caret(here, checkpoint, tmp_path, instruction, told):
    for command in (
        ("plan", instruction),
        ("train", instruction, "--data", "my.csv", "--output", tmp_path / "run", *QUICK),
        ("infer", checkpoint, instruction),
    ):
        done = here(*command)
        assert_refused(done, told)
        assert "^" in done.err


def assert_refused(done: Said, told: str) -> None:
    assert (done.code, done.out) == (2, "")
    assert re.search(told, done.err), done.err
    assert done.err.startswith("error: "), "nothing runs before it"
    assert done.err.count("error:") == 1
    assert "Traceback" not in done.err
    assert "pydantic" not in done.err


RUN = """\
model: nano
tasks:
  colour:
    instruction: "[IMAGE:img] what does the image describe? -> [TEXT:label,closed_set]"
    train: my.csv
trainer: {steps: 4}
"""


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("steps", "stepz", r"run.yaml: line 6: `trainer.stepz`: there is no such key; did you mean `steps`\?"),
        ("steps: 4", "steps: four", "line 6: `trainer.steps`: .*got 'four'"),
        ("train: my.csv", "train: mi.csv", "no data at .*mi.csv.*did you mean `my.csv`"),
        ("model: nano", "model: nanno", "did you mean `nano`"),
        ("train: my.csv", "train: my.csv\n    metrics: [acuracy]", "did you mean `accuracy`"),
        ("train: my.csv", "train: my.csv\n    metrics: [iou]", "the metric `iou` judges none .*: it judges BOX"),
        ("train: my.csv", "train: my.csv\n    metrics: [{rouge_l: {stemm: true}}]", "rouge_l"),
        ("tasks:", "task:", "did you mean `tasks`"),
    ],
)
def test_a_wrong_run_file(here, data, tmp_path, right, wrong, told):
    (data / "run.yaml").write_text(RUN.replace(right, wrong, 1), encoding="utf-8")
    assert_refused(here("train", "run.yaml", "--output", tmp_path / "run"), told)
    assert here("check", "run.yaml").code == 2


# What cannot be asked


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["colour", "--img", "0.png"], "the checkpoint has no task `colour`\nits tasks: task"),
        (["tsk", "--img", "0.png"], r"no task `tsk`; did you mean `task`\?"),
        ([LABEL, "--img", "missing.png"], "column `img`: 'missing.png' is no file"),
        ([LABEL, "--img", "truncated.png"], "column `img`: not a readable picture: image file is truncated"),
        ([LABEL, "--img", "."], "column `img`: `.` is no file"),
        ([LABEL], "also reads `img`: add --img"),
        ([BOX, "--img", "0.png", "--label", "red"], "trained without BOX; it knows IMAGE TEXT"),
        (
            [LABEL, "--img", "0.png", "--sample", "--temperature", "-1"],
            "`temperature`: Input should be greater than or equal to 0.001, got -1.0",
        ),
        ([LABEL, "--img", "0.png", "--beams", "0"], "--beams"),
        ([LABEL, "--img", "0.png", "--candidates", "nothing.txt"], "nothing.txt: No such file"),
        ([LABEL, "--data", "nothing.csv"], "no data at .*nothing.csv"),
    ],
)
def test_a_question_that_cannot_be_answered(here, checkpoint, arguments, told):
    assert_refused(here("infer", checkpoint, *arguments), told)


def test_a_file_of_questions_skips_the_bad_ones_and_names_them(here, data, checkpoint):
    (data / "ask.csv").write_text("img\n0.png\ntruncated.png\n2.png\n", encoding="utf-8")
    done = here("infer", checkpoint, LABEL, "--data", "ask.csv", "--json")
    assert done.code == 0
    assert [answer["address"] for answer in json.loads(done.out)] == ["ask.csv:row 1", "ask.csv:row 3"]
    assert "skipped ask.csv:row 2:img" in done.err


def test_a_checkpoint_that_is_none(here, data, checkpoint, tmp_path):
    assert_refused(here("infer", "nowhere", LABEL, "--img", "0.png"), "`nowhere` is not a folder")
    assert_refused(here("infer", tmp_path, LABEL, "--img", "0.png"), "holds no checkpoint")
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in (checkpoint / "checkpoint").iterdir():
        if file.is_file():
            (broken / file.name).write_bytes(file.read_bytes()[: 1000 if file.suffix == ".safetensors" else None])
    assert_refused(here("infer", broken, LABEL, "--img", "0.png"), "model.safetensors` cannot be read|closed_sets")


def test_a_task_that_the_checkpoint_does_not_know_is_asked_by_its_own_instruction(here, data, checkpoint):
    (data / "run.yaml").write_text(RUN, encoding="utf-8")
    done = here("evaluate", checkpoint, "run.yaml", "--split", "train")
    assert (done.code, "label/accuracy" in done.out) == (0, True)
    assert_refused(here("evaluate", checkpoint, "run.yaml", "--split", "test"), "no task has test rows")


def test_an_instruction_may_begin_with_its_arrow(here, tmp_path):
    assert here("plan", "-> [TEXT:label]").code == 0
    assert here("train", "-> [TEXT:label]", "--data", "my.csv", "--output", tmp_path / "run", *QUICK).code == 0
    done = here("infer", tmp_path / "run", "-> [TEXT:label]", "--max-length", 4)
    assert done.code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", LABEL, "--data", "nothing.csv"], "nothing.csv"),
        (["infer", "nowhere", LABEL, "--img", "0.png"], "is not a folder"),
        (["plan", "[IMGAE:img] -> [TEXT:label]"], "did you mean `IMAGE`"),
    ],
)
def test_the_console_script_ends_with_2_and_shows_no_traceback(ofa, data, arguments, told):
    done = ofa(*arguments, cwd=data)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
