"""A path of another kind than a command takes: it says what the path is and what to do with it."""

from __future__ import annotations

from pathlib import Path

import pytest

LINE = "[TEXT:text] good? -> [TEXT:label,closed_set]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "run.yml"), "did you mean `run.yaml`?"),
        (("train", "my.csv"), "ofa train INSTRUCTION --data my.csv"),
        (("check", "my.csv"), "data, and no run file"),
        (("check", LINE), "an instruction, and no run file"),
        (("explain", "."), "a folder, and no run file"),
        (("plan", "run.yaml"), "`ofa check` and `ofa explain` look at a run file"),
        (("infer", "run.yaml", "mood", "--text", "x"), "`ofa train run.yaml` makes one"),
        (("train", LINE, "--data", "x.xlsx"), "save the sheet as CSV"),
        (("train", LINE, "--data", "x.json"), "a JSON object a line"),
        (("train", LINE, "--data", "header.csv"), "no rows; they stand below the header"),
        (("train", LINE, "--data", "broken.jsonl"), "no row can be read; the first one: broken.jsonl:line 1"),
        (("train", LINE, "--data", "latin.csv"), "--encoding cp1252"),
    ],
)
def test_it_says_what_the_path_is(ofa, run_yaml, monkeypatch, arguments, message):
    monkeypatch.chdir(run_yaml.parent)
    Path("header.csv").write_text("text,label\n", encoding="utf-8")
    Path("broken.jsonl").write_text("{\n{\n", encoding="utf-8")
    Path("latin.csv").write_bytes("text,label\ncafé,yes\n".encode("latin-1"))
    for name in ("x.xlsx", "x.json"):
        Path(name).write_text("x", encoding="utf-8")
    answer = ofa(*arguments)
    assert answer.code == 2
    assert message in answer.err
