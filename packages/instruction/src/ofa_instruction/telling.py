"""What is wrong with data that was read, in few words: bounded, on one line, without control characters.

>>> shown("a" * 100)
"'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…"
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

MOST_SHOWN = 40
"""Characters of a value."""
MOST_TOLD = 400
"""Characters of a message about a file."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(value: object) -> str:
    """A value as a message shows it: whole where it is short, its kind where it is a list or a mapping."""
    match value:
        case Mapping():
            return f"a mapping of {len(value):,} keys"
        case list() | tuple():
            return f"a list of {len(value):,} items"
        case str():
            text = repr(value[:MOST_SHOWN])
        case int() if not isinstance(value, bool) and abs(value) >= 10**MOST_SHOWN:
            return "a number of very many digits"
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case _:
            text = repr(value)
    return text if len(text) < MOST_SHOWN else text[: MOST_SHOWN - 2] + "…"


def named(name: str) -> str:
    """A name in backticks, bounded."""
    return f"`{told(name, 80)}`"


def told(text: str, most: int = MOST_TOLD) -> str:
    """The text on one line: control characters, marks of direction and lone surrogates escaped, its middle left out."""
    half = most // 2
    text = text if len(text) <= most else f"{text[:half]} … {text[-half:]}"
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def complaint(error: ValidationError, data: object) -> str:
    """The first of pydantic's complaints about ``data``, with its place and how many more there are.

    >>> from ofa_instruction.plans import TokenGeneration
    >>> try:
    ...     TokenGeneration.model_validate({"max_length": 0})
    ... except ValidationError as error:
    ...     print(complaint(error, {"max_length": 0}))
    `max_length` is 0: at least 1 is allowed
    """
    found = error.errors(include_url=False)
    first = found[0]
    where = _place(first["loc"], data)
    message = _message(first, f"`{told(where, 160)}` " if where else "")
    return f"{message} (and {len(found) - 1:,} more)" if len(found) > 1 else message


def _place(location: Sequence[str | int], data: object) -> str:
    """``tasks.0.name``: pydantic's location without the names of branches that it chose between."""
    path: list[str] = []
    for number, part in enumerate(location):
        last = number == len(location) - 1
        if isinstance(data, Mapping):
            if part not in data and not last:
                continue
            data = data.get(part)
        elif isinstance(data, list | tuple) and isinstance(part, int):
            data = data[part] if 0 <= part < len(data) else None
        else:
            continue
        path.append(str(part))
    return ".".join(path)


_LIMITS = {
    "greater_than": "more than {gt} is",
    "greater_than_equal": "at least {ge} is",
    "less_than": "less than {lt} is",
    "less_than_equal": "at most {le} is",
    "multiple_of": "a multiple of {multiple_of} is",
    "string_pattern_mismatch": "a text like {pattern} is",
    "string_too_long": "at most {max_length} characters are",
    "string_too_short": "at least {min_length} characters are",
    "too_long": "at most {max_length} items are",
    "too_short": "at least {min_length} items are",
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "a text",
    "dict": "a mapping",
    "model": "a mapping",
    "tuple": "a list",
    "list": "a list",
}


def _message(item: Mapping[str, Any], where: str) -> str:
    kind, context, value = item["type"], item.get("ctx", {}), item["input"]
    it = where or "it "
    if kind == "missing":
        return f"{it}is missing"
    if kind == "extra_forbidden":
        return f"{it}is no key that this version knows"
    if kind == "value_error":
        return where.rstrip().join(("", ": ")) + str(context["error"]) if where else str(context["error"])
    if kind in _LIMITS:
        return f"{it}is {shown(value)}: {_LIMITS[kind].format(**context)} allowed"
    if kind in ("literal_error", "enum"):
        return f"{it}is {shown(value)}: it may be {context['expected']}"
    if kind.startswith("union_tag"):
        return f"{it}is {shown(value)}: `kind` says which it is, one of {context.get('expected_tags', 'those that are known')}"
    expected = _KINDS.get(kind.partition("_")[0])
    if expected is not None:
        return f"{it}is {shown(value)}, not {expected}"
    return f"{it}is {shown(value)}, which is not allowed there"
