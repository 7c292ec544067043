"""Run files: read, laid over with settings, checked, every mistake with its line. No torch here."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from ofa_cli.errors import UserError, nearest
from ofa_cli.yaml_file import YamlFile, read_yaml

if TYPE_CHECKING:
    from ofa_trainer.plans import RunFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake of a run file: where (``file:line``), which key, what and what to do."""

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        first, *rest = self.message.splitlines()
        key = f"{self.key}: " if self.key else ""
        return "\n".join([f"{self.place}: {key}{first}", *(f"    {line}" for line in rest)])


class RunFileError(UserError):
    """All mistakes of a run file."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        lines = [str(mistake) for mistake in self.mistakes]
        super().__init__("\n".join(lines) if len(lines) == 1 else "\n  ".join([f"{len(lines)} mistakes", *lines]))


def read_run_file(path: Path, settings: Sequence[str] = ()) -> tuple[RunFile, YamlFile]:
    """A run file with ``a.b=c`` settings laid over it. Raises RunFileError or UserError."""
    file = read_yaml(path, settings)
    return validate_run_file(file), file


def validate_run_file(file: YamlFile) -> RunFile:
    """The plan that a YAML file states. Raises RunFileError with every mistake."""
    from ofa_trainer.plans import RunFile

    try:
        return RunFile.model_validate(file.data)
    except ValidationError as error:
        raise RunFileError(list(_mistakes(error, file, RunFile))) from error


def _mistakes(error: ValidationError, file: YamlFile, model: type[BaseModel]) -> Iterator[Mistake]:
    """One mistake a place: pydantic complains once for every member of a union."""
    complaints: dict[tuple[str | int, ...], list[str]] = {}
    for detail in error.errors(include_url=False):
        path = _in_data(detail["loc"], file.data)
        message = re.sub(r"^Value error, | or instance of \w+", "", detail["msg"])
        if detail["type"] == "extra_forbidden":
            path = (*path, detail["loc"][-1]) if not path or path[-1] != detail["loc"][-1] else path
            known = sorted(_keys_at(model, path[:-1]))
            meant = nearest(str(path[-1]), known)
            message = f"unknown key{meant}" if meant else f"unknown key\nknown: {' '.join(known)}"
        elif detail["type"] == "missing":
            path, message = (*path, detail["loc"][-1]), "is missing"
        messages = complaints.setdefault(path, [])
        if message not in messages:
            messages.append(message)
    for path, messages in complaints.items():
        yield Mistake(place=file.place(path), key=".".join(map(str, path)), message="; or: ".join(messages))


def _in_data(location: Sequence[str | int], data: Any) -> tuple[str | int, ...]:
    """The parts of pydantic's location that are keys of the file; the others name members of a union."""
    path: list[str | int] = []
    for part in location:
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if not in_list and not (isinstance(data, Mapping) and part in data):
            continue
        data = data[part]
        path.append(part)
    return tuple(path)


def _keys_at(annotation: Any, path: Sequence[str | int]) -> set[str]:
    """Names of the fields that a mapping at this path of a model may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not path:
            return set(annotation.model_fields)
        field = annotation.model_fields.get(str(path[0]))
        return _keys_at(field.annotation, path[1:]) if field is not None else set()
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _keys_at(arguments[0], path)
    if origin in (typing.Union, types.UnionType):
        return set().union(*(_keys_at(argument, path) for argument in arguments))
    if origin is dict and path:
        return _keys_at(arguments[1], path[1:])
    if origin is tuple and path:
        return _keys_at(arguments[0], path[1:])
    return set()
