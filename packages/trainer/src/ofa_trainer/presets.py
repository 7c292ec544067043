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
    "speech_to_text": Preset(
        "Write down what is said.",
        "[AUDIO:audio] what is the text corresponding to the voice? -> [TEXT:text,uncased]",
        ("wer",),
    ),
    "text_to_speech": Preset(
        "Say a text.",
        'what is the voice of " [PHONE:text] "? -> [AUDIO:audio]',
        ("mel_cepstral_distortion",),
    ),
    "text_to_phones": Preset(
        "Say how a word is pronounced.",
        'what are the phones of " [TEXT:word,uncased] "? -> [PHONE:phones]',
        ("wer",),
    ),
    "video_classify": Preset(
        "Which of a set of labels fits a clip?",
        "[VIDEO:video] what does the video show? -> [CATEGORY:label]",
        ("accuracy",),
    ),
    "video_caption": Preset(
        "Say what a clip shows.",
        "[VIDEO:video] what does the video describe? -> [TEXT:cap]",
        ("token_f1", "exact_match"),
    ),
    "motion_caption": Preset(
        "Say what a person does.",
        "[MOTION:motion] what does the person do? -> [TEXT:cap]",
        ("token_f1", "exact_match"),
    ),
    "text_to_motion": Preset(
        "Move as a text says.",
        'what is the motion of " [TEXT:cap] "? -> [MOTION:motion]',
        ("joint_error",),
    ),
    "table_qa": Preset(
        "Answer a question about a table.",
        "[STRUCT:table] [TEXT:question] -> [TEXT:answer]",
        ("exact_match",),
    ),
    "text_to_sql": Preset(
        "Turn a question about a database into a query.",
        '[STRUCT:database,processor=database,question=question] what is the query of " [TEXT:question] "? -> [STRUCT:sql,as=sql]',
        ("execution_accuracy", "exact_match"),
    ),
    "text_to_image": Preset(
        "Draw what a text says.",
        'what is the picture of " [TEXT:cap] "? -> [IMAGE:img,size=32]',
        ("psnr",),
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
