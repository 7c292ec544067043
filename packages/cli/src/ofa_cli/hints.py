"""Commands that are printed as a hint: each runs as it is printed, on what was just used."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ofa_cli.asking import asked_columns
from ofa_cli.column_options import column_option

if TYPE_CHECKING:
    from ofa_instruction import InstructionPlan, TaskPlan
    from ofa_trainer.source import Source
    from ofa_trainer.task import Task

_WRITTEN = frozenset({"BOX", "CATEGORY", "PHONE", "TEXT"})
"""Modalities whose texts are never paths."""
_ROWS_TRIED = 20
_LONGEST_VALUE = 80
"""Characters of a value that is shown on a command line; a row with a longer one is passed over."""


def train_command(file: str, settings: Sequence[str] = ()) -> str:
    """``ofa train run.yaml --set …``."""
    words = [f"./{file}" if file.startswith("-") else file, *(word for setting in settings for word in ("--set", setting))]
    return shlex.join(["ofa", "train", *words])


def ask_command(checkpoint: Path, task: Task, plan: TaskPlan, options: Collection[str]) -> str:
    """A command line that asks a trained task about one of its own rows; else about the file of all of them.

    options: those that ``ofa infer`` has. Empty where the rows are in no file and no row fits a line.
    """
    source = task.source("train")
    assert source is not None
    words = ["ofa", "infer", str(checkpoint), plan.instructions[0].text]
    values = _values(source, plan.instructions[0])
    if values is not None:
        return shlex.join([*words, *(word for name, value in values.items() for word in column_option(name, value, options))])
    path = getattr(_origin(source), "path", None)
    return shlex.join([*words, "--data", os.path.relpath(path)]) if isinstance(path, Path) and path.exists() else ""


def _values(source: Source, plan: InstructionPlan) -> dict[str, str] | None:
    """The asked columns of a row whose values a command line can hold; None where none of the first rows is such a row."""
    from ofa_modalities.processor import SampleError

    root: Path | None = getattr(source, "root", None)
    media = {slot.column for slot in plan.slots if slot.modality not in _WRITTEN}
    for index in range(min(_ROWS_TRIED, len(source))):
        try:
            row: Mapping[str, object] = source.read(index, 0)
        except SampleError:
            continue
        found = {column: _value(row.get(column), root if column in media else None) for column in asked_columns(plan)}
        if all(value is not None for value in found.values()):
            return {column: str(value) for column, value in found.items()}
    return None


def _value(value: object, root: Path | None) -> str | None:
    """A value as a command line says it: a path under ``root`` from here on, a box as ``x,y,x,y``; None: it has none."""
    match value:
        case bool() | int() | float():
            return str(value)
        case str() if value.strip() and value.isprintable() and len(value) <= _LONGEST_VALUE:
            return os.path.relpath(root / value) if root is not None and _is_file(root / value) else value
        case [*numbers] if len(numbers) == 4 and all(isinstance(number, int | float) for number in numbers):
            return ",".join(map(str, numbers))
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _origin(source: object) -> object:
    while hasattr(source, "source"):
        source = source.source
    return source
