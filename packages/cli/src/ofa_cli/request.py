"""What to run: a run file, or one instruction with its data. No torch here."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ofa_cli.data_files import DataFile
from ofa_cli.errors import UserError, nearest

if TYPE_CHECKING:
    from ofa_trainer.plans import RunFile
    from ofa_trainer.task import Task

_DATA = frozenset({".csv", ".jsonl", ".ndjson", ".parquet", ".tsv"})
INLINE_TASK = "task"
"""Name of the task that is given as an instruction on the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run file's plan, and the folder that its paths start from. file: None for an instruction of the command line."""

    run: RunFile
    base: Path
    file: Path | None = None

    def tasks(self) -> list[Task]:
        """The tasks, each with an instruction that compiles. Raises RunFileError with the lines of those that do not."""
        from ofa_instruction import InstructionError, default_catalog
        from ofa_modalities.lines import read_text_file
        from ofa_trainer.problems import Problem
        from ofa_trainer.run_file import RunFileError, read_run_text, tasks_of_run

        tasks = tasks_of_run(self.run, self.base)
        if self.file is None:
            return tasks
        catalog = default_catalog()
        profile = catalog.backend(self.run.model.backend).spec
        problems = []
        for task in tasks:
            try:
                with warnings.catch_warnings(action="ignore"):  # They come once more, where the task is used.
                    task.compile(profile, catalog)
            except InstructionError as error:
                path = ("tasks", task.name, "instruction")
                line = read_run_text(read_text_file(self.file), str(self.file)).line(path)
                problems.append(Problem(path, str(error), line=line))
        if problems:
            raise RunFileError(str(self.file), problems)
        return tasks


def is_instruction(text: str) -> bool:
    """Whether a command's first argument is an instruction rather than a path."""
    return "->" in text or text.lstrip().startswith("[")


def check_run_path(path: Path) -> None:
    """Raise UserError for a path that is no run file, saying what it is and which command takes it."""
    name, quoted = str(path), shlex.quote(str(path))
    if is_instruction(name):
        raise UserError(f"{name}: an instruction, and no run file; look at it with `ofa plan`, at its rows with `ofa explain`")
    if path.is_dir():
        raise UserError(f"{name}: a folder, and no run file; `ofa infer {quoted} TASK …` asks a checkpoint or a run")
    if not path.exists():
        near = nearest(path.name, sorted(entry.name for entry in path.parent.glob("*.y*ml"))) if path.parent.is_dir() else ""
        raise UserError(f"{name}: no such run file, and not an instruction either (an instruction has a `->`){near}")
    if path.suffix.lower() in _DATA:
        raise UserError(f"{name}: data, and no run file; it goes with an instruction: ofa train INSTRUCTION --data {quoted}")


def refuse_a_file(instruction: str) -> None:
    """Raise UserError where a path stands in the place of an instruction."""
    if not is_instruction(instruction) and instruction and Path(instruction).is_file():
        raise UserError(f"{instruction}: a file, and no instruction; `ofa check` and `ofa explain` look at a run file")


def read_request(
    what: str,
    *,
    data: DataFile | None = None,
    settings: Sequence[str] = (),
    options: Mapping[str, object] | None = None,
    is_task: bool = False,
) -> RunRequest:
    """A run file's path, or an instruction with ``data``.

    settings: ``a.b=c`` as given. options: what the command's own options say, by dotted key, None left out; they lie on top.
    is_task: ``what`` is the name of a checkpoint's task, with ``data`` as an instruction is.
    Raises UserError and RunFileError.
    """
    from ofa_trainer.run_file import load_run, parse_run

    given = (f"{key}={json.dumps(value)}" for key, value in (options or {}).items() if value is not None)
    overrides = [*settings, *given]
    has_data = data is not None and data.data is not None
    if is_instruction(what) or is_task:
        if data is None or not has_data:
            raise UserError("an instruction needs its rows: --data my.csv")
        text = json.dumps({"tasks": {INLINE_TASK: {"instruction": what, **data.task()}}})
        return RunRequest(run=parse_run(text, "command line", overrides), base=Path.cwd())
    if has_data:
        raise UserError("--data goes with an instruction; a run file names its own data")
    path = Path(what)
    check_run_path(path)
    return RunRequest(run=load_run(path, overrides), base=path.parent, file=path)
