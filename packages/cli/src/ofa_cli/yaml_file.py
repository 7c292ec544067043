"""YAML that knows its lines.

>>> file = parse_yaml("tasks:\\n  caption:\\n    wieght: 2\\n", "run.yaml")
>>> file.data
{'tasks': {'caption': {'wieght': 2}}}
>>> file.place(("tasks", "caption", "wieght"))
'run.yaml:3'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ofa_cli.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlFile:
    """The values of a YAML file and the line of each.

    overrides: keys that the command line gave, by path; they have no line in the file.
    """

    name: str
    data: dict[str, Any]
    node: yaml.Node | None
    overrides: Mapping[tuple[str, ...], str]

    def place(self, path: Sequence[str | int]) -> str:
        """``file:line`` of a value by its path, or of the deepest part of the path that exists."""
        keys = tuple(str(part) for part in path)
        for override, text in self.overrides.items():
            if keys and keys[: len(override)] == override[: len(keys)]:
                return f"--set {text}"
        line, node = 1, self.node
        for key in keys:
            found = _child(node, key)
            if found is None:
                break
            line, node = found
        return f"{self.name}:{line}"


def read_yaml(path: Path, settings: Sequence[str] = ()) -> YamlFile:
    """Read a file and lay ``a.b=c`` settings over it."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start})") from error
    return parse_yaml(text, str(path), settings)


def parse_yaml(text: str, name: str, settings: Sequence[str] = ()) -> YamlFile:
    """Parse a mapping. Raises UserError with the line for bad syntax, a key given twice, or another kind of document."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{name}:{line}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not valid YAML: {error}") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise UserError(f"{name}:1: a run file is a mapping of `model`, `tasks`, `trainer` and `output`")
    _refuse_repeated_keys(node, name)
    overrides = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        path = tuple(key.split("."))
        if not equals or not all(path):
            raise UserError(f"--set {setting}: write a.b=c, for example --set trainer.steps=500")
        _put(data, path, value, setting)
        overrides[path] = setting
    return YamlFile(name=name, data=data, node=node, overrides=overrides)


def _put(data: dict[str, Any], path: tuple[str, ...], value: str, setting: str) -> None:
    *parents, last = path
    for key in parents:
        following = data.setdefault(key, {})
        if key == "model" and isinstance(following, str):
            following = data[key] = {"size": following}
        if not isinstance(following, dict):
            raise UserError(f"--set {setting}: `{key}` holds no keys")
        data = following
    try:
        data[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        data[last] = value


def _child(node: yaml.Node | None, key: str) -> tuple[int, yaml.Node] | None:
    """The line and the node below a key or an index."""
    if isinstance(node, yaml.MappingNode):
        for key_node, value in node.value:
            if key_node.value == key:
                return key_node.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
        value = node.value[int(key)]
        return value.start_mark.line + 1, value
    return None


def _refuse_repeated_keys(node: yaml.Node | None, name: str) -> None:
    """YAML itself would keep the last one and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise UserError(f"{name}:{line}: `{key.value}` is given twice (first in line {seen[key.value]})")
            seen[key.value] = line
            _refuse_repeated_keys(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_repeated_keys(value, name)
