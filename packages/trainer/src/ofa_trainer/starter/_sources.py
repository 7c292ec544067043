"""The starter pack as sources of rows, one a task and split.

Chance in a row is seeded by (recipe, split, task, seed, epoch, index) in training and by (recipe, split, task, index)
otherwise: every epoch of training has new scenes and new shifts of the drawings, and valid and test are always the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, assert_never, get_args

import numpy as np

from ofa_trainer.starter._ask import ask
from ofa_trainer.starter._augment import augment, on_white
from ofa_trainer.starter._extension import EXTENSION_TASKS, ExtensionSource
from ofa_trainer.starter._pack import SPLITS, Drawing, Split, descriptions, pack_digest
from ofa_trainer.starter._rows import check_index, drawings_of, fingerprint_of, rng_of
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
                return len(drawings_of(self.split))
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
        check_index(index, len(self), self.task, self.split)
        match self.task:
            case "classify":
                drawing = drawings_of(self.split)[index]
                return {"img": self._picture(drawing, index, epoch), "label": drawing.category}
            case "caption":
                drawing = drawings_of(self.split)[index]
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
                return f"starter/drawings.parquet:row {drawings_of(self.split)[index].row}"
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
        return fingerprint_of([pack_digest()], str(_RECIPE), self.task, self.split, self.seed)

    def _rng(self, index: int, epoch: int) -> np.random.Generator:
        key = (_RECIPE, SPLITS.index(self.split), STARTER_TASKS.index(self.task))
        return rng_of(key, self.split, self.seed, epoch, index)

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
    if seed < 0:
        raise ValueError(f"seed {seed} is negative")
    if split not in SPLITS:
        raise ValueError(f"the starter pack has no split `{split}`; it has {', '.join(SPLITS)}")
    if task in STARTER_TASKS:
        return StarterSource(task, split, seed)
    if task in EXTENSION_TASKS:
        return ExtensionSource(task, split, seed)
    raise ValueError(f"the starter pack has no task `{task}`; it has {', '.join((*STARTER_TASKS, *EXTENSION_TASKS))}")


@cache
def _description_rows(split: Split) -> tuple[int, ...]:
    return tuple(record.row for record in descriptions() if record.split == split)
