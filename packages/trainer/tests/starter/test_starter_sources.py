"""The six sources: columns, determinism, what an epoch changes, errors."""

from __future__ import annotations

import pickle

import pytest
from ofa_trainer.starter import STARTER_TASKS, starter_source
from ofa_trainer.starter._pack import SPLITS
from PIL import Image

COLUMNS = {
    "classify": {"img", "label"},
    "caption": {"img", "cap"},
    "vqa": {"img", "question", "answer", "kind"},
    "ground": {"img", "cap", "region"},
    "summary": {"src", "tgt"},
    "infill": {"sentence"},
}


def plain(row: dict[str, object]) -> dict[str, object]:
    """The row with pictures as bytes, so that rows compare."""
    return {key: value.tobytes() if isinstance(value, Image.Image) else value for key, value in row.items()}


@pytest.mark.parametrize("task", STARTER_TASKS)
@pytest.mark.parametrize("split", SPLITS)
def test_rows_have_the_columns_of_their_task(task: str, split: str) -> None:
    source = starter_source(task, split)
    for index in (0, len(source) // 2, len(source) - 1):
        row = source.read(index, epoch=0)
        assert set(row) == COLUMNS[task]
        assert source.address(index).startswith("starter/")
        if "img" in row:
            assert isinstance(row["img"], Image.Image)
            assert row["img"].mode == "RGB"


@pytest.mark.parametrize("task", STARTER_TASKS)
def test_a_copy_of_a_source_reads_the_same_rows(task: str) -> None:
    source = starter_source(task, "train", seed=3)
    copy = pickle.loads(pickle.dumps(source))
    assert plain(source.read(5, epoch=2)) == plain(copy.read(5, epoch=2))
    assert source.fingerprint() == copy.fingerprint()


@pytest.mark.parametrize("task", STARTER_TASKS)
@pytest.mark.parametrize("split", ["valid", "test"])
def test_valid_and_test_never_change(task: str, split: str) -> None:
    first, second = starter_source(task, split, seed=0), starter_source(task, split, seed=9)
    assert first.fingerprint() == second.fingerprint()
    for index in range(5):
        assert plain(first.read(index, epoch=0)) == plain(second.read(index, epoch=4))


@pytest.mark.parametrize("task", ["classify", "caption", "vqa", "ground"])
def test_every_epoch_and_seed_of_training_has_new_pictures(task: str) -> None:
    source, other = starter_source(task, "train"), starter_source(task, "train", seed=1)
    pictures = {plain(row)["img"] for row in (source.read(0, epoch=0), source.read(0, epoch=1), other.read(0, epoch=0))}
    assert len(pictures) == 3
    assert source.fingerprint() != other.fingerprint()


def test_scenes_of_two_splits_or_tasks_differ() -> None:
    rows = [starter_source(task, split).read(0, epoch=0) for task in ("vqa", "ground") for split in SPLITS]
    assert len({plain(row)["img"] for row in rows}) == len(rows)


def test_classify_has_seven_labels_and_none_rules() -> None:
    source = starter_source("classify", "test")
    labels = [source.read(index, epoch=0)["label"] for index in range(len(source))]
    assert len(set(labels)) == 7
    assert max(labels.count(label) for label in set(labels)) / len(labels) < 0.25


def test_every_test_caption_is_a_trained_name() -> None:
    train, test = starter_source("caption", "train"), starter_source("caption", "test")
    trained = {train.read(index, epoch=0)["cap"] for index in range(len(train))}
    assert {test.read(index, epoch=0)["cap"] for index in range(len(test))} <= trained


@pytest.mark.parametrize(("task", "split"), [("vga", "test"), ("vqa", "dev")])
def test_an_unknown_task_or_split_names_the_known_ones(task: str, split: str) -> None:
    with pytest.raises(ValueError, match="it has"):
        starter_source(task, split)


def test_a_row_out_of_range_is_an_error() -> None:
    with pytest.raises(IndexError, match="row 800 of 800"):
        starter_source("vqa", "test").read(800, epoch=0)
