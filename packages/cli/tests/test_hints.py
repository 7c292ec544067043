"""A command that is printed as a hint runs as it is printed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from PIL import Image

QUICK = ("--model", "nano", "--steps", "2", "--set", "trainer.batch_tokens=256", "--set", "trainer.valid_metrics=false")


def hinted(text: str, mark: str) -> list[str]:
    """The words of the command behind a mark, as a shell would read them, without ``ofa``."""
    line = next(line for line in text.splitlines() if mark in line)
    program, *words = shlex.split(line.partition(mark)[2])
    assert program == "ofa"
    return words


@pytest.mark.parametrize(
    ("instruction", "row"),
    [
        ("[TEXT:data] and [TEXT:json]? -> [TEXT:label]", {"data": "-5", "json": 'it\'s "so" $HOME', "label": "yes"}),
        ("is it [TEXT:save], [TEXT:help] or [TEXT:n]? -> [TEXT:label]", {"save": "--n", "help": "!x", "n": "*", "label": "a"}),
        ("-> [TEXT:label]", {"label": "always"}),
        ("[TEXT:text] -> [TEXT:label]", {"text": "many words " * 40, "label": "long"}),
        ("([TEXT:parts])* -> [TEXT:label]", {"parts": ["a", "b"], "label": "list"}),
    ],
)
def test_what_train_prints_asks_the_model(ofa, tmp_path, monkeypatch, instruction, row):
    monkeypatch.chdir(tmp_path)
    Path("a data.jsonl").write_text((json.dumps(row) + "\n") * 4, encoding="utf-8")
    trained = ofa("train", instruction, "--data", "a data.jsonl", "--output", "my runs/it's", *QUICK)
    assert trained.code == 0, trained.err
    answer = ofa(*hinted(trained.out, "ask it: "))
    assert answer.code == 0, answer.err


def test_media_are_named_from_the_folder_that_one_is_in(ofa, tmp_path, monkeypatch):
    (tmp_path / "data" / "in").mkdir(parents=True)
    Image.new("RGB", (16, 16), "red").save(tmp_path / "data" / "in" / "a b.png")
    (tmp_path / "data" / "my.csv").write_text("img,text,label\n" + "in/a b.png,in,red\n" * 4, encoding="utf-8")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    trained = ofa("train", "[IMAGE:img] [TEXT:text] -> [TEXT:label]", "--data", "../data/my.csv", "--output", "run", *QUICK)
    words = hinted(trained.out, "ask it: ")
    assert words[3:] == ["--img", "../data/in/a b.png", "--text", "in"]
    assert ofa(*words).code == 0


def test_what_check_prints_trains_with_the_settings_that_were_checked(ofa, run_yaml, monkeypatch):
    path = run_yaml.rename(run_yaml.with_name("my run.yaml"))
    monkeypatch.chdir(path.parent)
    checked = ofa("check", "my run.yaml", "--set", "output=its output", "--set", "trainer.steps=2")
    words = hinted(checked.out, "is ready: ")
    assert ofa(*words, "--set", "trainer.valid_metrics=false").code == 0
    assert (path.parent / "its output" / "checkpoint").is_dir()
