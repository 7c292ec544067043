"""Predictions as a file: what was asked, what was right, what was answered, a line a row, under the number of the data's row.

    row,text,truth,answer,score,probability
    1,it is fine,good,good,1.0,0.97
    4,it is sad,bad,good,0.0,0.55

A text stays a text; anything else is JSON where the format has no place for it. Media are their paths: what was read, as the
data names it, and what was answered, in a file beside the predictions.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ofa_modalities.audio.output import Audio
from ofa_modalities.motion.output import Motion
from ofa_modalities.struct.output import Table
from ofa_modalities.text import numbers
from ofa_modalities.video.output import Video
from PIL.Image import Image

SUFFIXES = (".csv", ".jsonl")
_MEDIA = ((Audio, ".wav"), (Image, ".png"), (Motion, ".bvh"), (Video, ".webp"))
"""How an answered medium is saved."""
_MOST_NUMBERS = 64
"""Arrays of more numbers are media, and told by their shape."""

Keep = Callable[[str, Any], object]
"""What a file says of an answered medium: ``(name, medium) -> cell``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One answered row.

    row: its number in the data, counted from 1. inputs: raw values of its other columns. answers, truths: by answered column;
    no truths: it was only asked. scores: by ``column/metric``. task: its name, where there are several.
    """

    row: int
    inputs: Mapping[str, object]
    answers: Mapping[str, object]
    probability: float
    truths: Mapping[str, object] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    task: str | None = None

    def as_row(self, keep: Keep | None = None) -> dict[str, object]:
        """Plain values by name: ``task``, ``row``, the inputs, ``truth``, ``answer``, ``score`` and ``probability``.

        The score is that of the first metric; further ones are ``score.METRIC``.

        Where several columns are answered, they are ``truth.COLUMN`` and so on; an input that has one of the names is
        ``input.NAME``. keep: what is said of an answered medium; a short description otherwise.
        """
        found: dict[str, object] = {} if self.task is None else {"task": self.task}
        found["row"] = self.row
        answered: dict[str, object] = {}
        for column, answer in self.answers.items():
            suffix = f".{column}" if len(self.answers) > 1 else ""
            if column in self.truths:
                answered[f"truth{suffix}"] = plain(self.truths[column])
            answered[f"answer{suffix}"] = plain(answer) if keep is None else _with_media(answer, column, keep)
            metrics = [key for key in self.scores if key.rpartition("/")[0] == column]
            for number, key in enumerate(metrics):
                name = f"score{suffix}" + (f".{key.rpartition('/')[2]}" if number else "")
                answered[name] = plain(self.scores[key])
        answered["probability"] = self.probability
        for column, value in self.inputs.items():
            found[f"input.{column}" if column in answered or column in ("row", "task") else column] = plain(value)
        return found | answered


def save_predictions(predictions: Iterable[Prediction], path: str | Path) -> Path:
    """Write a line a row, as the suffix says: ``.csv`` or ``.jsonl``. Raises ValueError for any other suffix."""
    path = check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [one.as_row(_keeper(path, one.row)) for one in predictions]
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix.lower() == ".jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            columns = dict.fromkeys(name for row in rows for name in row)
            writer = csv.DictWriter(file, list(columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return path


def check_suffix(path: str | Path) -> Path:
    """The path of a file of predictions. Raises ValueError for a suffix that is none of :data:`SUFFIXES`."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"`{path}`: predictions are saved as {' or '.join(SUFFIXES)}, not as `{path.suffix or path.name}`")
    return path


def _media_suffix(value: object) -> str | None:
    return next((suffix for kind, suffix in _MEDIA if isinstance(value, kind)), None)


def _with_media(answer: object, name: str, keep: Keep) -> object:
    """A plain answer whose media, those of a repeat too, are kept."""
    if isinstance(answer, list):
        return [_with_media(part, f"{name}-{number}", keep) for number, part in enumerate(answer, 1)]
    return plain(answer) if _media_suffix(answer) is None else keep(name, answer)


def _keeper(path: Path, row: int) -> Keep:
    def keep(name: str, medium: Any) -> str:
        file = path.with_suffix("") / f"{row:05}-{name}{_media_suffix(medium)}"
        file.parent.mkdir(exist_ok=True)
        medium.save(file)
        return file.relative_to(path.parent).as_posix()

    return keep


def _cell(value: object) -> object:
    """A value in CSV: texts and numbers as they are, nothing as nothing, anything else as JSON."""
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)


def plain(value: Any) -> object:
    """A value as JSON can say it: media by their path or in a few words.

    >>> plain({"path": "a.png", "bytes": b"..."}), plain((1, 2.5)), plain(b"..."), plain(float("nan"))
    ('a.png', [1, 2.5], '3 bytes', None)
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes() | bytearray() | memoryview():
            return f"{len(value)} bytes"
        case os.PathLike():
            return os.fspath(value)
        case np.generic():
            return plain(numbers.plain(value))
        case np.ndarray():
            return (
                plain(numbers.plain_list(value))
                if value.size <= _MOST_NUMBERS
                else f"array of {' x '.join(map(str, value.shape))}"
            )
        case Mapping():
            path = value.get("path")
            if isinstance(path, str) and set(value) <= {"path", "bytes", "array", "sampling_rate"}:
                return path  # a medium as `datasets` holds it
            return {str(key): plain(part) for key, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case Image():
            return getattr(value, "filename", "") or f"Image({value.width} x {value.height} px)"
        case Table():
            return plain(value.to_plain())
    return numbers.spell_number(value) or str(value)
