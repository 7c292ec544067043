"""JSON that somebody else wrote: read within bounds of size and depth, or told in our words."""

from __future__ import annotations

import json
from typing import Any

MOST_LEVELS = 64
MOST_VALUES = 1_000_000


class DocumentError(ValueError):
    """A text that is not JSON, or more of it than is read."""


def parse_json(data: bytes | str, *, most_levels: int | None = MOST_LEVELS, most_values: int = MOST_VALUES) -> Any:
    """The value of a JSON text. Commas and brackets are counted before anything is made of them.

    most_levels: None leaves it at what Python itself can read, about 1,000.

    Raises DocumentError for bytes that are not UTF-8, for what is not JSON, for more than ``most_levels`` lists and mappings
    within each other and for more than ``most_values`` values.

    >>> parse_json(b'{"a": [1, 2]}')
    {'a': [1, 2]}
    >>> parse_json("[" * 1000)
    Traceback (most recent call last):
    ofa_instruction.documents.DocumentError: is JSON of more than 64 levels
    """
    try:
        text = data if isinstance(data, str) else str(data, "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"is not UTF-8 (byte {error.start:,})") from error
    if text.count(",") + text.count("[") + text.count("{") > most_values:
        raise DocumentError(f"holds more than {most_values:,} values")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        what = "is empty" if not text.strip() else f"is not JSON: {error.msg.lower()} (line {error.lineno}, column {error.colno})"
        raise DocumentError(what) from error
    except RecursionError as error:
        raise DocumentError(f"is JSON of more than {most_levels or 900} levels") from error
    except ValueError as error:
        raise DocumentError("holds a number of very many digits") from error
    if most_levels is not None and _levels(value, most_levels) > most_levels:
        raise DocumentError(f"is JSON of more than {most_levels} levels")
    return value


def _levels(value: object, most: int) -> int:
    """Levels of lists and mappings; counting ends beyond ``most``."""
    level = 0
    here: list[Any] = [value]
    while level <= most:
        here = [one for one in here if isinstance(one, list | dict)]
        if not here:
            break
        level += 1
        here = [inner for one in here for inner in (one.values() if isinstance(one, dict) else one)]
    return level
