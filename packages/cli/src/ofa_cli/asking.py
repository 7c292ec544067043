"""From a command line to a question, and from an answer to a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_cli.errors import UserError

if TYPE_CHECKING:
    from ofa_instruction import InstructionPlan
    from ofa_models.session import Output

_BREAK = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")


def asked_columns(plan: InstructionPlan) -> list[str]:
    """Columns that a row must have: what is read, and what is given on the target side."""
    return list(dict.fromkeys(slot.column for slot in plan.slots if slot.side == "source" or slot.no_loss))


def read_candidates(path: Path) -> list[str] | dict[str, list[str]]:
    """A closed set: a text file with a candidate a line, or JSON: a list, or a mapping of lists by column.

    Raises UserError for a file of anything else.
    """
    from ofa_instruction.documents import DocumentError, parse_json
    from ofa_modalities.lines import read_text_file, split_lines

    text = read_text_file(path)
    if path.suffix.lower() != ".json":
        return [line.strip() for line in split_lines(text) if line.strip()]
    try:
        value = parse_json(text)
    except DocumentError as error:
        raise UserError(f"{path} {error}") from error
    lists = value.values() if isinstance(value, dict) else [value]
    if not all(isinstance(items, list) and all(isinstance(item, str) for item in items) for items in lists):
        raise UserError(f"{path}: expected a list of texts, or a mapping of such lists by column")
    found: list[str] | dict[str, list[str]] = value
    return found


def answer_text(output: Output) -> str:
    """An answer on a terminal: the value alone where there is one column, else a line a column."""
    return "\n".join(_told(output))


def answer_line(output: Output) -> str:
    """An answer of a file's row, on one line: columns behind each other, line breaks and tabs inside of them as escapes."""
    return "\t".join(_BREAK.sub(lambda found: repr(found[0])[1:-1], part) for part in _told(output))


def _told(output: Output) -> list[str]:
    if len(output) == 1:
        return [value_text(output.value)]
    return [f"{column}: {value_text(value)}" for column, value in output.items()]


def value_text(value: object) -> str:
    """One value: text as it is, boxes as ``x0,y0,x1,y1``, lists item by item, of a picture its size."""
    match value:
        case str():
            return value
        case [*parts] if parts and all(isinstance(part, int | float) for part in parts):
            return ",".join(f"{part:.1f}" for part in parts)
        case [*parts]:
            return " | ".join(value_text(part) for part in parts) or "(none)"
    size, mode = getattr(value, "size", None), getattr(value, "mode", None)
    if isinstance(size, tuple) and isinstance(mode, str):
        return f"Image({size[0]} x {size[1]} px)"
    return str(value)


def top_lines(output: Output, k: int) -> list[str]:
    """The likeliest answers of the closed set with their probabilities, one a line. Raises UserError where there is none."""
    try:
        candidates = output.top(k)
    except (AttributeError, ValueError) as error:
        raise UserError(f"--top {k}: {error}") from error
    return [f"{candidate.probability:.4f}\t{value_text(candidate.value)}" for candidate in candidates]


def answer_json(output: Output, address: str = "") -> dict[str, Any]:
    """Everything about an answer, for a program."""
    found: dict[str, Any] = json.loads(output.to_json())
    return ({"address": address} if address else {}) | found


def save_answer(output: Output, path: Path, name: str = "answer") -> list[Path]:
    """Write an answer: to a file by its suffix, or into a folder as ``name.json``, and its picture with boxes beside."""
    if path.suffix:
        path.parent.mkdir(parents=True, exist_ok=True)
        return [output.save(path)]
    path.mkdir(parents=True, exist_ok=True)
    written = [output.save(path / f"{name}.json")]
    if any(slot.picture for slot in output.slots):
        written.append(output.save(path / f"{name}.png"))
    return written
