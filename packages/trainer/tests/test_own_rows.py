"""The objects that a user hands to a Task or a Trainer are the same afterwards."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from ofa_models import GeneralistModel
from ofa_trainer import Task, Trainer
from ofa_trainer.mixture import Draw
from ofa_trainer.trainer import row_stream
from ofa_trainer.workers import BadRow, RowTransform

LINE = "[IMAGE:img] ([TEXT:words])* ? -> [TEXT:label,closed_set]"


def _rows() -> list[dict[str, Any]]:
    return [
        {"img": np.full((8, 8, 3), shade, np.uint8), "words": ["a", "b"], "label": label, "more": {"n": [1]}}
        for shade, label in ((0, "dark"), (255, "light"))
    ]


def _change(row: Mapping[str, object], rng: np.random.Generator) -> Mapping[str, object]:
    changed: Any = row
    changed["img"][:] = 7
    changed["words"].append("c")
    changed["more"]["n"].append(2)
    changed["label"] = "dark"
    return changed  # type: ignore[no-any-return]


class Own:
    """A user's own source, which hands out the rows it holds."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        return self.rows[index]

    def address(self, index: int) -> str:
        return f"own:row {index + 1}"

    def fingerprint(self) -> str:
        return "own"


def _read(train: object, transform: RowTransform) -> list[object]:
    task = Task("t", LINE, train=train, valid=False, transform=transform)
    trainer = Trainer(steps=1, tokenizer_size=300)
    reader = row_stream(trainer.prepare(GeneralistModel("nano"), [task]), trainer.options).reader
    return [reader(Draw(task=0, epoch=epoch, index=index)) for epoch in range(2) for index in range(2)]


@pytest.mark.parametrize("door", [list, Own])
def test_a_transform_changes_its_own_copy(door: Any) -> None:
    rows, before = _rows(), _rows()
    for result in _read(door(rows), _change):
        assert not isinstance(result, BadRow)
    for row, old in zip(rows, before, strict=True):
        assert (row.pop("img") == old.pop("img")).all()
        assert row == old


def test_what_a_transform_raises_names_the_row() -> None:
    def fails(row: Mapping[str, object], rng: np.random.Generator) -> Mapping[str, object]:
        raise KeyError("no such thing")

    def forgets(row: Mapping[str, object], rng: np.random.Generator) -> Any:
        return None

    for transform, kind in ((fails, KeyError), (forgets, TypeError)):
        with pytest.raises(kind) as caught:
            _read(_rows(), transform)
        assert caught.value.__notes__ == ["in task `t`, at t/train:row 1"]


def test_a_task_and_a_trainer_change_nothing_that_they_are_given() -> None:
    given: dict[str, Any] = {
        "train": [{"t": f"it is {word}", "l": label} for word, label in (("fine", "yes"), ("sad", "no"))] * 3,
        "closed_sets": {"l": ["yes", "no", "yes "]},
        "metrics": [{"rouge_l": {}}, "accuracy"],
        "criteria": {"l": [{"cross_entropy": {"label_smoothing": 0.1}}]},
        "columns": {"t": "t"},
        "valid": [{"t": "it is fine", "l": "yes"}],
    }
    before = copy.deepcopy(given)
    task = Task("t", "[TEXT:t] ? -> [TEXT:l,closed_set]", **given)
    Trainer(steps=2, batch_tokens=64, tokenizer_size=300).fit(GeneralistModel("nano"), [task])
    assert given == before
