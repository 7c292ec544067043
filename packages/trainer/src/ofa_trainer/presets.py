"""Presets: well-known tasks by name, with their instruction, columns and metrics; the rows are yours.

>>> from ofa_trainer import preset
>>> preset("summary", train=[{"src": "a long story", "tgt": "a story"}]).name
'summary'
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ofa_trainer.plans import NamedOptions

if TYPE_CHECKING:
    from ofa_trainer.task import Task


@dataclass(frozen=True, slots=True)
class Preset:
    """A known task. metrics: the first is the one it is known by."""

    summary: str
    instruction: str
    metrics: tuple[NamedOptions, ...]


PRESETS: Mapping[str, Preset] = {
    "classify": Preset(
        "Which of a set of labels fits an image?",
        "[IMAGE:img] what does the image describe? -> [TEXT:label,closed_set]",
        ("accuracy",),
    ),
    "caption": Preset(
        "Say what an image shows.",
        "[IMAGE:img] what does the image describe? -> [TEXT:cap]",
        ("token_f1", "exact_match"),
    ),
    "vqa": Preset(
        "Answer a question about an image.",
        "[IMAGE:img] [TEXT:question] -> [TEXT:answer,closed_set]",
        ("accuracy",),
    ),
    "ground": Preset(
        "Find the region that a text describes.",
        '[IMAGE:img] which region does the text " [TEXT:cap] " describe? -> [BOX:region]',
        ("iou_acc", "iou"),
    ),
    "summary": Preset(
        "Say a text in fewer words.",
        'what is the summary of article " [TEXT:src] "? -> [TEXT:tgt]',
        ("rouge_l",),
    ),
    "infill": Preset(
        "Fill in the words that are missing from a text.",
        'what is the complete text of " [TEXT:sentence,mask_ratio=0.3] "? -> [TEXT:sentence]',
        ("masked_word_accuracy",),
    ),
}


def preset_names() -> tuple[str, ...]:
    """All presets."""
    return tuple(PRESETS)


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises ValueError, naming the nearest."""
    if name not in PRESETS:
        matches = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"; did you mean `{matches[0]}`?" if matches else ""
        raise ValueError(f"unknown preset `{name}`; known: {' '.join(PRESETS)}{hint}")
    return PRESETS[name]


def preset(kind: str, *, name: str | None = None, train: object, **options: Any) -> Task:
    """A task of a known kind on your rows; ``options`` are those of :class:`ofa_trainer.Task` and win over the preset's."""
    from ofa_trainer.task import Task

    known = find_preset(kind)
    options.setdefault("metrics", known.metrics)
    instruction = options.pop("instruction", None) or known.instruction
    return Task(name or kind, instruction, train=train, **options)
