"""Commands that only look answer without torch and numpy."""

from __future__ import annotations

import pytest

CAPTION = "[IMAGE:img] what does the image describe? -> [TEXT:cap]"
HEAVY = {"torch", "transformers", "numpy", "tokenizers", "PIL"}


@pytest.mark.parametrize("arguments", [("--help",), ("plan", CAPTION), ("plan", CAPTION, "--json"), ("list", "tasks")])
def test_neither_torch_nor_numpy_for_help_plan_and_list(modules_after, arguments):
    loaded = modules_after(*arguments)
    assert "ofa_cli.main" in loaded
    assert not HEAVY & loaded


def test_neither_torch_nor_numpy_for_check(modules_after, run_yaml):
    loaded = modules_after("check", str(run_yaml))
    assert "ofa_trainer.plans" in loaded
    assert not HEAVY & loaded


@pytest.mark.parametrize("command", ["plan", "check", "explain", "train", "evaluate", "infer", "list", "doctor", "demo"])
def test_every_help_has_an_example_and_needs_neither_numpy_nor_torch(modules_after, ofa, command):
    assert not {"torch", "numpy"} & modules_after(command, "--help")
    answer = ofa(command, "--help")
    assert answer.code == 0
    assert "Example" in answer.out
    assert f"ofa {command}" in answer.out
    assert max(map(len, answer.out.splitlines())) <= 80
