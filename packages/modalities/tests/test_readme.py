from __future__ import annotations

import re
from pathlib import Path

import pytest


def test_the_readme_s_program_runs() -> None:
    pytest.importorskip("ofa_models", reason="adaptors and backends come with ofa-models")
    pytest.importorskip("ofa_trainer", reason="criteria come with ofa-trainer")
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert programs
    for program in programs:
        exec(compile(program, "README.md", "exec"), {})


def test_the_tree_of_the_readme_is_the_tree() -> None:
    package = Path(__file__).parents[1]
    text = (package / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(\w+\.py)\b", text))
    there = {path.name for path in (package / "src").rglob("*.py")} - {"__init__.py"}
    assert named == there
