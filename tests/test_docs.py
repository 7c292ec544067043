"""Every code block of the README and of ``docs/`` is run, in order, in a folder of its page's own.

    ```python                 run
    ```python file=PATH       equals that file of tests/third_party/ofa_series
    ```yaml title=NAME        written to NAME
    ```console                commands after `$ ` are run; what stands below one is what it prints, `...` is anything
    ```sh                     jobs of the noxfile, which exist

Training is cut to a few steps of the smallest model: this is about the words, other tests are about what is learnt.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
THIRD_PARTY = ROOT / "tests" / "third_party" / "ofa_series"
QUICKER = (
    (re.compile(r"--steps \d+"), "--steps 3"),
    (re.compile(r"\bsteps=\d+"), "steps=3"),
    (re.compile(r"\bsteps: \d+"), "steps: 3"),
    (re.compile(r"\btrainer\.steps=\d+"), "trainer.steps=3"),
    (re.compile(r'GeneralistModel\("\w+"'), 'GeneralistModel("nano"'),
    (re.compile(r"^(model|  size): \w+$", re.MULTILINE), r"\1: nano"),
    (re.compile(r"(ofa train '[^\n]*)$", re.MULTILINE), r"\1 --model nano"),
    (re.compile(r"(ofa train [^\n]*)$", re.MULTILINE), r"\1 --set trainer.valid_rows=4 --set generation.max_length=8"),
    (re.compile(r"(ofa evaluate [^\n]*)$", re.MULTILINE), r"\1 --set generation.max_length=8"),
)


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    attributes: dict[str, str]
    text: str


def blocks_of(page: Path) -> list[Block]:
    """Fenced blocks with the line each starts in."""
    source = page.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^```(\w*)([^\n]*)\n(.*?)^```$", source, re.MULTILINE | re.DOTALL):
        attributes = dict(part.split("=", 1) for part in match[2].split())
        found.append(Block(source[: match.start()].count("\n") + 1, match[1], attributes, match[3]))
    return found


def quicker(text: str) -> str:
    for pattern, replacement in QUICKER:
        text = pattern.sub(replacement, text)
    return text


def run_console(text: str, folder: Path, where: str) -> None:
    """Run the `ofa` commands of a console block and compare what they print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        program, *arguments = shlex.split(quicker(command))
        assert program == "ofa", f"{where}: only `ofa` is run here, not `{program}`"
        code, printed, told = ofa(arguments, folder)
        assert code == 0, f"{where}: {command}\n{printed}{told}"
        pattern = ".*".join(map(re.escape, expected.strip().split("...")))
        assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"{where}: {command}\nprinted:\n{printed}"


def ofa(arguments: list[str], folder: Path) -> tuple[int, str, str]:
    """One command line inside this process, which has loaded torch already: exit code, stdout, stderr."""
    from ofa_cli.main import run

    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    blocks = blocks_of(page)
    # What makes the rows comes first: a page may show a run file, or the idea, before it tells where the rows come from.
    blocks.sort(key=lambda block: not re.search(r"import csv|import json|write_text", block.text))
    for block in blocks:
        run_block(block, tmp_path, f"{page.name}:{block.line}")


def run_block(block: Block, folder: Path, where: str) -> None:
    match block.language:
        case "yaml":
            (folder / block.attributes["title"]).write_text(quicker(block.text), encoding="utf-8")
        case "console":
            run_console(block.text, folder, where)
        case "sh":
            noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
            for session in re.findall(r"-s ((?:\w+ ?)+)", block.text):
                for name in session.split():
                    assert f"def {name.replace('-', '_')}(" in noxfile, f"{where}: no nox session `{name}`"
        case "python" | "toml" if "file" in block.attributes:
            shown, there = block.text.strip(), (THIRD_PARTY / block.attributes["file"]).read_text(encoding="utf-8").strip()
            assert shown == there, f"{where}: differs from {block.attributes['file']}"
        case "python":
            done = subprocess.run([sys.executable, "-c", quicker(block.text)], cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, f"{where}\n{done.stderr}"
        case other:
            pytest.fail(f"{where}: a block of `{other}` is not run by anything")


def test_the_run_file_reference_names_every_key():
    from ofa_models.plans import Architecture, GenerationOptions
    from ofa_trainer.plans import ModelFilePlan, RunFile, TaskFilePlan, TrainerOptions

    page = (ROOT / "docs" / "run-file.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    models = (RunFile, TaskFilePlan, ModelFilePlan, Architecture, TrainerOptions, GenerationOptions)
    keys = {name for model in models for name in model.model_fields} - {"schema_version"}
    assert named == keys


def test_the_command_line_reference_names_every_command_and_option():
    import typer
    from ofa_cli.main import app

    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name, command in typer.main.get_command(app).commands.items():
        assert f"## ofa {name}" in page
        section = page.partition(f"## ofa {name}")[2].partition("\n## ")[0] + page.partition("\n## ")[0]
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option not in ("--set", "--help"):
                    assert option in section, f"ofa {name} {option}"


def test_the_page_of_tasks_names_every_preset_with_its_columns():
    from ofa_instruction import parse
    from ofa_trainer.presets import PRESETS

    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows.keys() == PRESETS.keys()
    for name, preset in PRESETS.items():
        for column in re.findall(r"\[[A-Z]+:(\w+)", preset.instruction):
            assert f"`{column}`" in rows[name], f"{name}: {column}"
        parse(preset.instruction)


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
