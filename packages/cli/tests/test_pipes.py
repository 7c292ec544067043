"""What a program reads from a command, and what happens when it stops reading."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ofa_cli.console import print_table

LONG = "a_column_whose_name_is_longer_than_any_terminal_" * 4
LINE = f"[TEXT:{LONG}] -> [TEXT:label]"


@pytest.mark.parametrize("width", ["20", "80", "400"])
def test_a_pipe_gets_names_and_figures_whole_at_any_width(ofa, tmp_path, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.chdir(tmp_path)
    Path("my.csv").write_text(f"{LONG},label\n{'many words ' * 30},{'x' * 200}\n", encoding="utf-8")
    assert LONG in ofa("plan", LINE).out
    shown = ofa("explain", LINE, "--data", "my.csv").out
    assert LONG in shown
    assert next(line for line in shown.splitlines() if "read" in line).count("words") == 30
    assert "…" not in shown + ofa("list", "metrics").out
    assert "\x1b" not in shown + ofa("list", "metrics").out + ofa("doctor").out


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    rows = "text,label\n" + "".join(f"{'word ' * 50}{number},x{number}\n" for number in range(200))
    (tmp_path / "my.csv").write_text(rows, encoding="utf-8")
    for arguments in (("explain", "[TEXT:text] -> [TEXT:label]", "--data", "my.csv", "-n", "200"), ("--help",)):
        program = f"import sys; from ofa_cli.main import main; sys.argv = ['ofa', *{arguments!r}]; main()"
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait() == 0
        child.stderr.close()


def test_a_terminal_that_is_narrow_folds_tables_and_cuts_nothing(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    print_table(("task", "metric", "value"), [("a_long_name_of_a_task", "label/exact_match", "0.123")], right=("value",))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 30
    assert "…" not in shown
    assert sorted("".join(lines[1:]).replace(" ", "")) == sorted("a_long_name_of_a_tasklabel/exact_match0.123")
