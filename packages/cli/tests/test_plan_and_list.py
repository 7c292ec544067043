"""``ofa plan``, ``ofa list`` and ``ofa --version``."""

from __future__ import annotations

import json

import pytest
from ofa_instruction import TaskPlan

CAPTION = "[IMAGE:img] what does the image describe? -> [TEXT:cap]"


def test_plan_is_a_tree_of_slots_and_their_parts(ofa):
    answer = ofa("plan", CAPTION)
    assert answer.code == 0
    assert answer.err == ""
    for part in ("IMAGE  column img", "“what does the image describe?”", "processor  text", "generator  tokens"):
        assert part in answer.out


def test_plan_json_is_the_plan(ofa):
    answer = ofa("plan", CAPTION, "--json")
    plan = TaskPlan.model_validate_json(answer.out)
    assert [slot.column for slot in plan.instructions[0].slots] == ["img", "cap"]


def test_plan_shows_alternatives_and_repeats(ofa):
    out = ofa("plan", "[IMAGE:img] find -> ([BOX:b] [TEXT:l])* ||| [IMAGE:img] look -> ([BOX:b] [TEXT:l])*").out
    assert "alternative 1" in out
    assert "repeat, zero or more of" in out
    assert "belongs to slot 0" in out


def test_a_mistake_has_a_caret_under_the_word_and_exit_code_2(ofa):
    answer = ofa("plan", "[IMGAE:img] what does the image describe? -> [TEXT:cap]")
    assert answer.code == 2
    assert answer.out == ""
    _, line, carets, *_ = answer.err.splitlines()
    assert line[carets.index("^") : carets.rindex("^") + 1] == "IMGAE"
    assert "did you mean `IMAGE`?" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plna"], "Did you mean 'plan'?"),
        (["plan"], "Missing argument"),
        (["plan", CAPTION, "--backend", "generalits"], "did you mean `generalist`?"),
        (["list", "metric"], "'metrics'"),
        (["plan", CAPTION, "--jsn"], "--jsn"),
    ],
)
def test_a_wrong_command_line_is_one_message_and_exit_code_2(ofa, arguments, message):
    answer = ofa(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_debugging_shows_where_an_error_rose(ofa, monkeypatch):
    monkeypatch.setenv("OFA_DEBUG", "1")
    with pytest.raises(ValueError, match="OFA-I003"):
        ofa("plan", "[IMGAE:img] -> [TEXT:cap]")


@pytest.mark.parametrize("kind", ["tasks", "modalities", "models", "criteria", "metrics", "sources"])
def test_list_prints_and_is_json_on_demand(ofa, kind):
    rows = json.loads(ofa("list", kind, "--json").out)
    assert rows
    shown = ofa("list", kind).out
    name = rows[0]["size" if kind == "models" else "name"]
    assert name in shown


def test_version(ofa):
    answer = ofa("--version")
    assert (answer.code, answer.out) == (0, "ofa 0.1.0\n")
