"""The tasks of the other modalities: speech, phones, motion, video, tables and pictures as answers.

Chance in a row is seeded by (split, task, seed, epoch, index) in training and by (split, task, index) otherwise, as in the
first six tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, assert_never, get_args

import numpy as np

from ofa_trainer.starter._augment import on_white
from ofa_trainer.starter._extension_pack import Clip, Utterance, Word, clips, extension_digest, motion_clips, utterances, words
from ofa_trainer.starter._motion import Combination, action_of, combinations, perform
from ofa_trainer.starter._pack import SPLITS, Split
from ofa_trainer.starter._rows import check_index, drawings_of, fingerprint_of, rng_of
from ofa_trainer.starter._tables import ANSWERED, TABLE_KINDS, TableQuestion, ask_table

ExtensionTask = Literal["speech", "speak", "phones", "motion_caption", "move", "clip", "table_qa", "sql", "draw"]
EXTENSION_TASKS: tuple[ExtensionTask, ...] = get_args(ExtensionTask)

SPEAKER = "slt"
"""The voice of ``speak``."""

_NUM_MOTIONS: dict[Split, int] = {"train": 6_000, "valid": 90, "test": 192}
_NUM_QUESTIONS: dict[Split, int] = {"train": 30_000, "valid": 300, "test": 600}
_FILES: dict[ExtensionTask, tuple[str, ...]] = {
    "speech": ("speech",),
    "speak": ("speech",),
    "phones": ("phones",),
    "motion_caption": ("motion",),
    "move": ("motion",),
    "clip": ("video",),
    "table_qa": ("tables", "phones"),
    "sql": ("tables", "phones"),
    "draw": ("drawings",),
}
_RECIPE = "1"  # changes when composing or asking does, so that a resumed run notices


@dataclass(frozen=True, slots=True)
class ExtensionSource:
    """The rows of one task and split; picklable, and equal in every process.

    Columns by task:

    - ``speech``: ``audio`` (an Ogg Opus file's bytes, 8 kHz, up to 4 s), ``text``, ``kind`` (``prompt`` or ``phrase``), ``voice``
    - ``speak``: ``text`` (one to three words), ``audio`` (the same, of one voice)
    - ``phones``: ``word``, ``phones`` (ARPAbet)
    - ``motion_caption``, ``move``: ``motion`` (arrays by name, 20 frames a second, to 5 s), ``cap``, ``action`` (one of twelve)
    - ``clip``: ``video`` (bytes of an animated WebP, 8 frames of 32 px), ``label`` (one of 21), ``cap``, ``question``, ``answer``
    - ``table_qa``: ``table`` (name, columns and rows), ``question``, ``answer``, ``kind``
    - ``sql``: the same and ``sql``; its ``kind`` also asks for totals and lists
    - ``draw``: ``cap`` (a name), ``style`` (of the drawing), ``img`` (RGB, 32 px)
    """

    task: ExtensionTask
    split: Split
    seed: int = 0

    def __len__(self) -> int:
        match self.task:
            case "speech" | "speak":
                return len(_utterances(self.task, self.split))
            case "phones":
                return len(_words(self.split))
            case "motion_caption" | "move":
                return _NUM_MOTIONS[self.split]
            case "clip":
                return len(_clips(self.split))
            case "table_qa" | "sql":
                return _NUM_QUESTIONS[self.split]
            case "draw":
                return len(drawings_of(self.split))
            case _:
                assert_never(self.task)

    def read(self, index: int, epoch: int = 0) -> dict[str, object]:
        """Row ``index``; ``epoch`` matters in training only."""
        check_index(index, len(self), self.task, self.split)
        match self.task:
            case "speech":
                said = _utterances(self.task, self.split)[index]
                return {"audio": said.ogg, "text": said.text, "kind": said.kind, "voice": said.voice}
            case "speak":
                said = _utterances(self.task, self.split)[index]
                return {"text": said.text, "audio": said.ogg}
            case "phones":
                word = _words(self.split)[index]
                return {"word": word.word, "phones": word.phones}
            case "motion_caption" | "move":
                item = self._combination(index)
                motion, cap = perform(self._rng(index, epoch), item)
                return {"motion": motion, "cap": cap, "action": action_of(item.clip)}
            case "clip":
                clip = _clips(self.split)[index]
                question, answer = _ask_clip(self._rng(index, epoch), clip)
                return {"video": clip.webp, "label": clip.label, "cap": clip.cap, "question": question, "answer": answer}
            case "table_qa":
                asked = self._table_question(index, epoch)
                return {"table": asked.table, "question": asked.question, "answer": asked.answer, "kind": asked.kind}
            case "sql":
                asked = self._table_question(index, epoch)
                row: dict[str, object] = {"table": asked.table, "question": asked.question, "sql": asked.sql}
                return {**row, "answer": asked.answer, "kind": asked.kind}
            case "draw":
                drawing = drawings_of(self.split)[index]
                return {"cap": drawing.name, "style": drawing.style, "img": on_white(drawing.image)}
            case _:
                assert_never(self.task)

    def address(self, index: int) -> str:
        """Where row ``index`` comes from: a row of a file of the pack; for a table, the first epoch's."""
        match self.task:
            case "speech" | "speak":
                return f"starter/extension/speech.parquet:row {_utterances(self.task, self.split)[index].row}"
            case "phones":
                return f"starter/extension/phones.parquet:row {_words(self.split)[index].row}"
            case "motion_caption" | "move":
                name = self._combination(index).clip
                row = next(clip.row for clip in motion_clips() if clip.name == name)
                return f"starter/extension/motion.parquet:row {row}, {self.task} {self.split} {index}"
            case "clip":
                return f"starter/extension/video.parquet:row {_clips(self.split)[index].row}"
            case "table_qa" | "sql":
                return f"starter/extension/tables/{self.task}/{self.split}:row {index}"
            case "draw":
                return f"starter/drawings.parquet:row {drawings_of(self.split)[index].row}"
            case _:
                assert_never(self.task)

    def fingerprint(self) -> str:
        """SHA-256 over the task's files, the task, the split, the seed of training and the recipe of composed rows."""
        digests = [extension_digest(name) for name in _FILES[self.task]]
        return fingerprint_of(digests, _RECIPE, self.task, self.split, self.seed)

    def _rng(self, index: int, epoch: int) -> np.random.Generator:
        key = (SPLITS.index(self.split), 100 + EXTENSION_TASKS.index(self.task))
        return rng_of(key, self.split, self.seed, epoch, index)

    def _combination(self, index: int) -> Combination:
        every = combinations(self.split)
        return every[index % len(every)]

    def _table_question(self, index: int, epoch: int) -> TableQuestion:
        return ask_table(self._rng(index, epoch), self.split, ANSWERED if self.task == "table_qa" else TABLE_KINDS)


@cache
def _utterances(task: Literal["speech", "speak"], split: Split) -> tuple[Utterance, ...]:
    found = (said for said in utterances() if said.split == split)
    return tuple(said for said in found if task == "speech" or said.voice == SPEAKER)


@cache
def _words(split: Split) -> tuple[Word, ...]:
    return tuple(word for word in words() if word.split == split)


@cache
def _clips(split: Split) -> tuple[Clip, ...]:
    return tuple(clip for clip in clips() if clip.split == split)


def _ask_clip(rng: np.random.Generator, clip: Clip) -> tuple[str, str]:
    """What it does; of a thing also what it is and which colour it has."""
    if clip.kind == "person":
        return "what does the person do?", clip.label
    _, colour, thing, *_ = clip.cap.split()
    asked = (("what colour is it?", colour), ("what is it?", thing), ("what does it do?", clip.label))
    return asked[int(rng.integers(len(asked)))]
