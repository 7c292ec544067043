"""A folder of pictures, a CSV and one line of text: trained, asked, judged and resumed by the console script, as a user would."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from ofa_trainer import find_checkpoint
from safetensors.torch import load_file

LABEL = "[IMAGE:img] what does the image describe? -> [TEXT:label,closed_set]"
COLOURS = ("red", "green", "blue")
OPTIONS = ("--model", "nano", "--steps", 40, "--set", "trainer.batch_tokens=512", "--set", "trainer.log_every=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, draw) -> Path:
    """``data/my.csv`` names pictures beside it; ``data/test.csv`` others, with the same colours elsewhere."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "data" / "pictures").mkdir(parents=True)
    for name, first, count in (("my.csv", 0, 30), ("test.csv", 30, 12)):
        with (folder / "data" / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["img", "label"])
            for number in range(first, first + count):
                colour = COLOURS[number % 3]
                left, top = 2 * (number % 5), 3 * (number % 4)
                draw(((left, top, left + 16, top + 16), colour)).save(folder / "data" / "pictures" / f"{number}.png")
                writer.writerow([f"pictures/{number}.png", colour])
    return folder


@pytest.mark.slow
def test_from_a_csv_to_answers_through_the_console_script(ofa, folder):
    trained = ofa("train", LABEL, "--data", "data/my.csv", *OPTIONS, cwd=folder)
    assert trained.code == 0, trained.err
    checkpoint = folder / "runs" / "task" / "checkpoint"
    assert checkpoint.is_dir()
    assert "saved runs/task/checkpoint" in trained.out
    assert f"ofa infer runs/task/checkpoint '{LABEL}' --img data/pictures/0.png" in trained.out
    assert "step 40/40" in trained.err

    picture = folder / "data" / "pictures" / "31.png"
    answer = ofa("infer", "runs/task", LABEL, "--img", picture, cwd=folder)
    assert (answer.code, answer.out, answer.err) == (0, "green\n", "")
    found = json.loads(ofa("infer", "runs/task", LABEL, "--img", picture, "--json", "--return", 3, cwd=folder).out)
    assert found["answer"] == {"label": "green"}
    assert {one["value"] for one in found["candidates"]["label"]} == set(COLOURS)

    task = {"instruction": LABEL, "train": "data/my.csv", "test": "data/test.csv", "metrics": ["accuracy"]}
    (folder / "run.yaml").write_text(json.dumps({"model": "nano", "tasks": {"task": task}}), encoding="utf-8")
    judged = ofa("evaluate", "runs/task", "run.yaml", "--json", cwd=folder)
    assert judged.code == 0, judged.err
    (figure,) = json.loads(judged.out)["task"].values()
    assert figure["rows"] == 12
    assert figure["value"] == 1.0
    assert figure["low"] <= figure["value"] <= figure["high"]


@pytest.mark.slow
def test_stopping_and_resuming_by_hand_equals_a_straight_run(ofa, folder):
    arguments = ("train", LABEL, "--data", "data/my.csv", *OPTIONS, "--set", "trainer.valid_metrics=false", "--json")
    straight = ofa(*arguments, "--output", "straight", cwd=folder)
    stopped = ofa(*arguments, "--output", "parts", "--set", "trainer.stop_after=15", cwd=folder)
    assert json.loads(stopped.out)["reason"] == "stopped"
    assert json.loads(stopped.out)["steps"] == 15
    resumed = ofa(*arguments, "--output", "parts", "--resume", cwd=folder)
    summary = json.loads(resumed.out)
    assert (resumed.code, summary["reason"], summary["steps"]) == (0, "done", 40)
    assert (straight.err, stopped.err, resumed.err) == ("", "", "")
    one, other = (load_file(find_checkpoint(folder / name, "newest") / "model.safetensors") for name in ("straight", "parts"))
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)
    steps = [json.loads(line) for line in (folder / "parts" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["step"] for event in steps if event["event"] == "step"] == list(range(1, 41))

    other_run = ofa(*arguments[:-1], "--output", "parts", "--resume", "--set", "trainer.seed=1", cwd=folder)
    assert other_run.code == 2
    assert "trainer.seed: 0 then, 1 now" in other_run.err
