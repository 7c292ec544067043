"""The run file: YAML to a :class:`RunFile`, and from there to tasks. No torch here.

model: tiny
tasks:
  caption:
    instruction: "[IMAGE:img] what does the image describe? -> [TEXT:cap]"
    train: data/train.csv
trainer: {steps: 500}
output: runs/caption
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import yaml
from ofa_modalities.lines import read_text_file
from pydantic import ValidationError

from ofa_trainer.plans import RunFile, TaskFilePlan
from ofa_trainer.problems import Path, Problem, problems_of

if TYPE_CHECKING:
    from ofa_trainer.task import Task


class RunFileError(ValueError):
    """A run file that cannot be used; ``problems`` are all of its mistakes."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        self.name, self.problems = name, tuple(problems)
        super().__init__("\n".join(f"{name}: {problem}" for problem in self.problems))


def load_run(path: str | FilePath, overrides: Iterable[str] = ()) -> RunFile:
    """Read a run file; ``overrides`` are ``trainer.steps=500`` and the like, values in YAML. Raises RunFileError.

    The tokenizer's folder is made absolute, from the file's folder on.
    """
    path = FilePath(path)
    try:
        text = read_text_file(path)
    except (OSError, UnicodeDecodeError) as error:
        raise RunFileError(str(path), [Problem((), f"cannot be read: {error}")]) from error
    run = parse_run(text, str(path), overrides)
    if run.trainer.tokenizer is None:
        return run
    tokenizer = (path.parent / FilePath(run.trainer.tokenizer).expanduser()).resolve()
    return run.model_copy(update={"trainer": run.trainer.model_copy(update={"tokenizer": str(tokenizer)})})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunText:
    """A run file as it is written, not validated yet. lines: of every key, by its path. problems: of the YAML itself.

    scalars: the spelling of values that YAML does not read as texts, by their path.
    """

    name: str
    data: dict[str, Any]
    lines: dict[Path, int]
    problems: tuple[Problem, ...]
    scalars: dict[Path, str] = field(default_factory=dict)

    def line(self, path: Path) -> int | None:
        """Line of a key, or of the nearest one above it that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def read_run_text(text: str, name: str = "run.yaml", overrides: Iterable[str] = ()) -> RunText:
    """Read YAML, with overrides laid over it. Raises RunFileError where there is no mapping to look at."""
    lines: dict[Path, int] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        problems = _walk(node, (), lines, set())
        scalars = dict(_scalars(node, (), frozenset()))
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        raise RunFileError(name, [Problem((), f"not YAML: {getattr(error, 'problem', None) or error}", line=line)]) from error
    if not isinstance(data, dict):
        raise RunFileError(name, [Problem((), "a run file is a mapping with `tasks:` in it")])
    problems += [problem for override in overrides for problem in _override(data, override)]
    return RunText(name=name, data=data, lines=lines, problems=tuple(problems), scalars=scalars)


def parse_run(text: str, name: str = "run.yaml", overrides: Iterable[str] = ()) -> RunFile:
    """Read the text of a run file. Raises RunFileError."""
    read = read_run_text(text, name, overrides)
    try:
        run = RunFile.model_validate(read.data)
    except ValidationError as error:
        raise RunFileError(name, [*read.problems, *problems_of(error, RunFile, read.lines, read.scalars)]) from error
    if read.problems:
        raise RunFileError(name, read.problems)
    return run


def _walk(node: Any, path: Path, lines: dict[Path, int], above: set[int]) -> list[Problem]:
    """Note the line of every key; find keys that are given twice, and anchors that hold themselves."""
    if node is None:
        return []
    if id(node) in above:
        return [Problem(path, "refers to itself", line=node.start_mark.line + 1)]
    found: list[Problem] = []
    above = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            below = (*path, str(key.value))
            lines.setdefault(below, key.start_mark.line + 1)
            if isinstance(key, yaml.ScalarNode) and not key.tag.endswith((":str", ":merge")):
                message = f'is no text to YAML, but a truth value, a number or nothing: write "{key.value}":'
                found.append(Problem(below, message, line=key.start_mark.line + 1))
            if key.value in seen:
                found.append(Problem(below, "is given twice", line=key.start_mark.line + 1))
            seen.add(str(key.value))
            found += _walk(value, below, lines, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines.setdefault((*path, index), value.start_mark.line + 1)
            found += _walk(value, (*path, index), lines, above)
    return found


def _scalars(node: Any, path: Path, above: frozenset[int]) -> Iterator[tuple[Path, str]]:
    """Values that stand without quotes and are no texts to YAML, by their path."""
    if id(node) in above:
        return
    above |= {id(node)}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*path, str(key.value)), above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _scalars(value, (*path, index), above)
    elif isinstance(node, yaml.ScalarNode) and node.style is None and not node.tag.endswith(":str"):
        yield path, node.value


def _override(data: dict[str, Any], override: str) -> list[Problem]:
    """Set one value by its dotted path."""
    dotted, equals, text = override.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        return [Problem((), f"`{override}` is no `path.to.key=value`")]
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return [Problem(tuple(keys), f"`{text}` is not YAML: {error}")]
    here = data
    for key in keys[:-1]:
        below = here.setdefault(key, {})
        if isinstance(below, str) and key == "model":
            below = here[key] = {"size": below}
        if not isinstance(below, dict):
            return [Problem(tuple(keys), f"`{key}` holds a value and no keys")]
        here = below
    here[keys[-1]] = value
    return []


def tasks_of_run(run: RunFile, base: FilePath | None = None) -> list[Task]:
    """The tasks of a run file; paths start at ``base``, the file's folder."""
    return [task_of_plan(name, plan, base) for name, plan in run.tasks.items()]


def task_of_plan(name: str, plan: TaskFilePlan, base: FilePath | None = None) -> Task:
    """One task. Raises ValueError for an unknown preset."""
    from ofa_trainer.presets import find_preset
    from ofa_trainer.task import Task

    preset = None if plan.preset is None else find_preset(plan.preset)
    instruction = plan.instruction or (preset.instruction if preset else "")
    metrics = plan.metrics if plan.metrics is not None else (preset.metrics if preset else None)
    return Task(
        name,
        instruction,
        train=plan.train,
        valid=plan.valid,
        test=plan.test,
        closed_sets=plan.closed_sets,
        metrics=metrics,
        weight=plan.weight,
        loss_weight=plan.loss_weight,
        transforms=plan.transforms,
        criteria=plan.criteria,
        columns=plan.columns,
        delimiter=plan.delimiter,
        root=plan.root,
        base=base,
    )
