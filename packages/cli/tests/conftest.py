"""A run of the command line inside this process, and one outside of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from ofa_cli.main import run


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def ofa(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str) -> Answer:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


@pytest.fixture
def modules_after() -> Callable[..., set[str]]:
    """The modules that one command line loads, in a process of its own."""

    def call(*arguments: str, cwd: Path | None = None) -> set[str]:
        program = (
            "import sys\nfrom ofa_cli.main import run\n"
            f"run({list(arguments)!r})\nprint('\\nMODULES', *sys.modules, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=cwd, check=True)
        return set(done.stderr.rpartition("MODULES ")[2].split())

    return call


@pytest.fixture
def run_yaml(tmp_path: Path) -> Path:
    """A run file without mistakes beside its data."""
    (tmp_path / "my.csv").write_text("text,label\ngood,yes\nbad,no\n", encoding="utf-8")
    path = tmp_path / "run.yaml"
    path.write_text(
        "model: nano\n"
        "tasks:\n"
        "  mood:\n"
        '    instruction: "[TEXT:text] is it good? -> [TEXT:label,closed_set]"\n'
        "    train: my.csv\n"
        "    metrics: [accuracy]\n"
        "trainer: {steps: 4}\n",
        encoding="utf-8",
    )
    return path
