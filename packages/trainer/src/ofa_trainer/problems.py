"""What is wrong with a file of plans: every mistake at once, each with its place and the nearest thing that is known."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

Path = tuple[str | int, ...]


class Problem:
    """One mistake. path: keys down to it. line: 1-based, where known."""

    __slots__ = ("hint", "line", "message", "path")

    def __init__(self, path: Path, message: str, *, hint: str = "", line: int | None = None) -> None:
        self.path, self.message, self.hint, self.line = path, message, hint, line

    @property
    def place(self) -> str:
        """``tasks.caption.train``."""
        return ".".join(map(str, self.path))

    def __str__(self) -> str:
        line = f"line {self.line}: " if self.line is not None else ""
        where = f"`{self.place}`: " if self.path else ""
        return f"{line}{where}{self.message}" + (f"; {self.hint}" if self.hint else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """``did you mean `x`?`` or a list of what is known."""
    known = list(known)
    matches = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{matches[0]}`?" if matches else f"known: {' '.join(known)}"


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    lines: Mapping[Path, int] | None = None,
    scalars: Mapping[Path, str] | None = None,
) -> list[Problem]:
    """Pydantic's complaints in our words; mistakes in several branches of a union are told once.

    scalars: how values without quotes are spelled in the file, of those that YAML does not read as texts.
    """
    found: dict[Path, Problem] = {}
    for item in error.errors(include_url=False):
        if scalars is not None and item["loc"][-1:] == ("[key]",):
            continue  # A key that is no text: reading the file has told it, with its line.
        path, fields = _resolve(item["loc"], model)
        message, hint = item["msg"].removeprefix("Value error, "), ""
        if item["type"] == "extra_forbidden":
            key = str(path[-1])
            message, hint = "there is no such key", _elsewhere(key, model) or nearest(key, fields)
        elif item["type"] == "missing":
            message = "is missing"
        elif item["type"].endswith(("_type", "_parsing")):
            message = f"{_lower(message)}, got {_shown(item['input'])}"
            if item["type"] == "string_type" and not isinstance(item["input"], dict | list):
                hint = quoting_hint(item["input"], (scalars or {}).get(path))
        elif item["type"] == "literal_error" and isinstance(item["input"], str):
            hint = nearest(item["input"], _literals(str(item.get("ctx", {}).get("expected", ""))))
            message = f"{_lower(message)}, got `{item['input']}`"
        else:
            message = _lower(message) if item["type"] != "value_error" else message
        known = found.get(path)
        if known is None:
            found[path] = Problem(path, message, hint=hint, line=_line(path, lines or {}))
        elif message not in known.message:
            known.message = f"{known.message}, or {message}"
    return list(found.values())


def quoting_hint(value: object, spelling: str | None = None) -> str:
    """What YAML makes of a word or number without quotes, and how to say the text."""
    what = {True: "true", False: "false", None: "nothing"}.get(value) if value is None or isinstance(value, bool) else None
    read = what or ("a number" if isinstance(value, int | float) else f"a {type(value).__name__}")
    shown = "a word such as yes, no, on, off or null" if spelling is None and what else f"`{spelling or value}`"
    text = f'"{spelling or value}"' if spelling is not None or what is None else '"yes"'
    return f"YAML reads {shown} without quotes as {read}: write {text}"


def _elsewhere(key: str, model: type[BaseModel]) -> str:
    """Where a key belongs that another section of the file has; empty: no section has it."""
    for section, field in model.model_fields.items():
        for branch in _branches(field.annotation):
            if isinstance(branch, type) and issubclass(branch, BaseModel) and key in branch.model_fields:
                return f"it is `{section}.{key}`"
    return ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _literals(expected: str) -> list[str]:
    return [part.strip(" '") for part in expected.replace(" or ", ",").split(",") if part.strip(" '")]


def _line(path: Path, lines: Mapping[Path, int]) -> int | None:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _resolve(location: tuple[int | str, ...], model: Any) -> tuple[Path, list[str]]:
    """(keys of the file, fields known at the last one): pydantic's locations also name branches of unions."""
    path: list[str | int] = []
    current: list[Any] = [model]
    fields: list[str] = []
    for part in location:
        models = [one for one in current if isinstance(one, type) and issubclass(one, BaseModel)]
        fields = sorted({name for one in models for name in one.model_fields})
        inside = [annotation for one in current for annotation in _below(one, part)]
        if not inside and not _is_key(part, current):
            continue  # the name of a branch
        path.append(part)
        current = inside or [object]
    return tuple(path), fields


def _is_key(part: str | int, current: list[Any]) -> bool:
    return isinstance(part, int) or (
        "-" not in part
        and "[" not in part
        and part not in _BRANCHES
        and not any(part == getattr(one, "__name__", "") for one in current)
    )


_BRANCHES = frozenset({"str", "int", "float", "bool", "constrained-float", "none"})


def _below(annotation: Any, part: str | int) -> list[Any]:
    """Types that lie under a key of a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        if field is None and (tag := annotation.model_fields.get("kind")) is not None and tag.default == part:
            return [annotation]  # a named choice with its options below it
        return [] if field is None else _branches(field.annotation)
    origin = get_origin(annotation)
    if origin is dict and isinstance(part, str):
        return _branches(get_args(annotation)[1])
    if origin in (tuple, list) and isinstance(part, int):
        return _branches(get_args(annotation)[0])
    return []


def _branches(annotation: Any) -> list[Any]:
    """The members of a union, unions inside it and annotations around it taken apart."""
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _branches(get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [branch for member in get_args(annotation) for branch in _branches(member)]
    return [annotation]
