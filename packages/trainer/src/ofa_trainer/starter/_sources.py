"""The starter pack as sources of rows, one a task and split.

Chance in a row is seeded by (recipe, split, task, seed, epoch, index) in training and by (recipe, split, task, index)
otherwise: every epoch of training has new scenes and new shifts of the drawings, and valid and test are always the same rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Literal, assert_never, get_args

import numpy as np

from ofa_trainer.starter._ask import ask
from ofa_trainer.starter._augment import augment, on_white
from ofa_trainer.starter._extension import EXTENSION_TASKS, ExtensionSource, extension_source
from ofa_trainer.starter._pack import SPLITS, Drawing, Split, descriptions, drawings, pack_digest
from ofa_trainer.starter._scenes import compose_scene
from ofa_trainer.starter._sentences import sentences

StarterTask = Literal["classify", "caption", "vqa", "ground", "summary", "infill"]
STARTER_TASKS: tuple[StarterTask, ...] = get_args(StarterTask)

# scenes are composed as they are read; this many rows are called an epoch
_NUM_SCENES: dict[Split, int] = {"train": 30_000, "valid": 400, "test": 800}
_RECIPE = 3  # changes when composing, asking or augmenting does, so that a resumed run notices


@dataclass(frozen=True, slots=True)
class StarterSource:
    """The rows of one task and split; picklable, and equal in every process.

    Columns by task:

    - ``classify``: ``img`` (RGB, 32 px), ``label`` (one of seven categories)
    - ``caption``: ``img`` (RGB, 32 px), ``cap`` (a name of one or two words)
    - ``vqa``: ``img`` (RGB, 64 px), ``question``, ``answer``, ``kind`` (one of ``QUESTION_KINDS``)
    - ``ground``: ``img`` (RGB, 64 px), ``cap`` (a name), ``region`` ([x0, y0, x1, y1] in pixels)
    - ``summary``: ``src`` (18 to 80 words), ``tgt`` (3 to 12 words)
    - ``infill``: ``sentence`` (6 to 24 words)
    """

    task: StarterTask
    split: Split
    seed: int = 0

    def __len__(self) -> int:
        match self.task:
            case "classify" | "caption":
                return len(_drawings(self.split))
            case "vqa" | "ground":
                return _NUM_SCENES[self.split]
            case "summary":
                return len(_description_rows(self.split))
            case "infill":
                return len(sentences(self.split))
            case _:
                assert_never(self.task)

    def read(self, index: int, epoch: int = 0) -> dict[str, object]:
        """Row ``index``; ``epoch`` matters in training only."""
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)} in the starter pack's {self.task}, {self.split}")
        match self.task:
            case "classify":
                drawing = _drawings(self.split)[index]
                return {"img": self._picture(drawing, index, epoch), "label": drawing.category}
            case "caption":
                drawing = _drawings(self.split)[index]
                return {"img": self._picture(drawing, index, epoch), "cap": drawing.name}
            case "vqa":
                scene, question = ask(self._rng(index, epoch), self.split)
                return {"img": scene.image, "question": question.text, "answer": question.answer, "kind": question.kind}
            case "ground":
                rng = self._rng(index, epoch)
                scene = compose_scene(rng, self.split)
                thing = scene.objects[int(rng.integers(len(scene.objects)))]
                return {"img": scene.image, "cap": thing.name, "region": [float(edge) for edge in thing.box_xyxy_px]}
            case "summary":
                record = descriptions()[_description_rows(self.split)[index]]
                return {"src": record.description, "tgt": record.summary}
            case "infill":
                return {"sentence": sentences(self.split)[index].text}
            case _:
                assert_never(self.task)

    def address(self, index: int) -> str:
        """Where row ``index`` comes from: a row of a file of the pack, or a composed scene."""
        match self.task:
            case "classify" | "caption":
                return f"starter/drawings.parquet:row {_drawings(self.split)[index].row}"
            case "vqa" | "ground":
                return f"starter/scenes/{self.task}/{self.split}:row {index}"
            case "summary":
                return f"starter/descriptions.parquet:row {_description_rows(self.split)[index]}"
            case "infill":
                return f"starter/descriptions.parquet:row {sentences(self.split)[index].row}"
            case _:
                assert_never(self.task)

    def fingerprint(self) -> str:
        """SHA-256 over the pack's files, the task, the split, the seed of training and the recipe of composed rows."""
        parts = (pack_digest(), str(_RECIPE), self.task, self.split, str(self.seed if self.split == "train" else 0))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _rng(self, index: int, epoch: int) -> np.random.Generator:
        seed, turn = (self.seed, epoch) if self.split == "train" else (0, 0)
        return np.random.default_rng([_RECIPE, SPLITS.index(self.split), STARTER_TASKS.index(self.task), seed, turn, index])

    def _picture(self, drawing: Drawing, index: int, epoch: int) -> object:
        if self.split == "train":
            return augment(self._rng(index, epoch), drawing.image)
        return on_white(drawing.image)


def starter_source(task: str, split: str, seed: int = 0) -> StarterSource | ExtensionSource:
    """The source of ``task`` (one of ``STARTER_TASKS`` or ``EXTENSION_TASKS``) and ``split`` (train, valid or test).

    Args:
        task: which rows.
        split: which part; test is to be read once, after every choice is made.
        seed: of the composed scenes and the augmentation in training, 0 or more.

    Raises:
        ValueError: for an unknown task or split, or a negative seed.
    """
    for known in STARTER_TASKS:
        for part in SPLITS:
            if (known, part) == (task, split):
                if seed < 0:
                    raise ValueError(f"seed {seed} is negative")
                return StarterSource(known, part, seed)
    for more in EXTENSION_TASKS:
        for part in SPLITS:
            if (more, part) == (task, split):
                return extension_source(more, part, seed)
    if task not in STARTER_TASKS and task not in EXTENSION_TASKS:
        raise ValueError(f"the starter pack has no task `{task}`; it has {', '.join((*STARTER_TASKS, *EXTENSION_TASKS))}")
    raise ValueError(f"the starter pack has no split `{split}`; it has {', '.join(SPLITS)}")


@cache
def _drawings(split: Split) -> tuple[Drawing, ...]:
    return tuple(drawing for drawing in drawings() if drawing.split == split)


@cache
def _description_rows(split: Split) -> tuple[int, ...]:
    return tuple(record.row for record in descriptions() if record.split == split)
