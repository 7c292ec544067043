"""A part of the rows is a seeded, spread part, whatever order the rows come in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities.processor import SampleError
from ofa_trainer import Task, Trainer
from ofa_trainer.plans import EvaluatePlan, TrainerOptions
from ofa_trainer.sources.choosing import spread_indices, spread_rows, spread_texts, unseen_columns
from ofa_trainer.sources.common import DataError
from ofa_trainer.sources.memory import RowsSource
from ofa_trainer.trainer import validation_batches


@given(total=st.integers(0, 500), count=st.integers(1, 500), seed=st.integers(0, 2**63 - 1))
def test_every_stretch_of_the_rows_gives_one(total: int, count: int, seed: int) -> None:
    chosen = np.array(spread_indices(total, count, seed), np.int64)
    assert len(chosen) == min(total, count)
    if count < total:
        assert (chosen * count // total <= np.arange(count)).all()
        assert ((chosen + 1) * count > np.arange(count) * total).all()
    assert (np.diff(chosen) > 0).all()
    assert chosen.tolist() == list(spread_indices(total, count, seed))


def test_a_sorted_file_gives_every_class_its_share_and_a_striped_one_too() -> None:
    sorted_labels = np.repeat([0, 1, 2, 3], [1000, 500, 300, 200])
    shares = np.bincount(sorted_labels[spread_indices(2000, 200)]) / 200
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.15, 0.1], atol=0.01)
    striped = np.arange(2000) % 2
    assert 0.35 < striped[spread_indices(2000, 200)].mean() < 0.65


def test_the_seed_draws_and_nothing_else_does() -> None:
    assert spread_indices(1000, 10, 1) != spread_indices(1000, 10, 2)
    assert spread_indices(10, 3) == [2, 5, 7]


def test_rows_that_cannot_be_read_are_passed_over() -> None:
    source = RowsSource([{"a": 1}, "no row", {"a": 2}])  # type: ignore[list-item]
    assert [row["a"] for row in spread_rows(source, 10)] == [1, 2]


def test_texts_are_all_kept_or_chosen_over_all_rows() -> None:
    rows = [[f"{number:04}", "x"] for number in range(1000)]
    assert spread_texts(rows, 10_000) == [text for row in rows for text in row]
    kept = [int(text) for text in spread_texts(rows, 1000) if text != "x"]
    assert 190 <= len(kept) <= 200
    assert kept == sorted(kept)
    assert 350 < np.mean(kept) < 650
    assert max(map(len, spread_texts([["a" * 10_000], ["b"]], 6400))) == 100


def test_a_column_is_there_where_some_row_has_it() -> None:
    source = RowsSource([{"a": 1}, {"a": 1, "b": 2}])
    assert unseen_columns(source, ["a", "b", "c"]) == (["c"], ["a", "b"])
    assert unseen_columns(RowsSource(["no row"]), ["a"]) == ([], [])  # type: ignore[list-item]


def _jsonl(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


LINE = "[TEXT:text] ? -> [TEXT:label,closed_set]"


@pytest.mark.parametrize("place", [0, 1, 29])
@pytest.mark.parametrize("columns", [{}, {"label": "name"}])
def test_one_row_without_a_key_keeps_no_file_from_use(tmp_path: Path, place: int, columns: dict[str, str]) -> None:
    name = columns.get("label", "label")
    rows: list[dict[str, object]] = [{"text": f"it is {number}", name: "yes" if number % 2 else "no"} for number in range(30)]
    del rows[place][name]
    task = Task("t", LINE, train=_jsonl(tmp_path / "a.jsonl", rows), valid=False, columns=columns)
    prepared = Trainer(tokenizer_size=300).prepare("nano", [task])
    assert prepared.closed_sets["t"]["label"] == ("no", "yes")


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_column_that_no_row_has_is_an_error_with_the_nearest(split: str) -> None:
    good = [{"text": "a", "label": "yes"}, {"text": "b", "label": "no"}] * 10
    bad = [{"text": "a", "labels": "yes"}] * 20
    task = Task("t", LINE, train=good if split == "valid" else bad, valid=bad)
    with pytest.raises(DataError, match=rf"task `t`, {split}.*column `label`.*did you mean `labels`"):
        Trainer().prepare("nano", [task])


def test_closed_sets_of_a_sorted_file_hold_every_class(tmp_path: Path) -> None:
    labels = ["a"] * 300 + ["b"] * 200 + ["c"] * 100
    rows: list[dict[str, object]] = [{"text": f"number {number}", "label": label} for number, label in enumerate(labels)]
    task = Task("t", LINE, train=_jsonl(tmp_path / "a.jsonl", rows), valid=False)
    assert Trainer(fit_rows=60, tokenizer_size=300).prepare("nano", [task]).closed_sets["t"]["label"] == ("a", "b", "c")


def test_validation_and_evaluation_judge_the_same_spread_rows() -> None:
    train = [{"text": f"row {number}", "label": "yes" if number % 2 else "no"} for number in range(40)]
    valid = [{"text": f"row {number}", "label": "no" if number < 100 else "yes"} for number in range(200)]
    task = Task("t", LINE, train=train, valid=valid)
    trainer = Trainer(TrainerOptions(steps=1, batch_tokens=256, valid_rows=20, tokenizer_size=300))
    trained = trainer.fit("nano", [task])
    addresses = [address for batch in validation_batches(trained.prepared, trainer.options) for address in batch.addresses]
    numbers = [int(address.rpartition(" ")[2]) for address in addresses]
    assert len(numbers) == 20
    assert sum(number <= 100 for number in numbers) == 10
    judged = trained.evaluate("valid", rows=20).tasks["t"].judged["label"]
    assert [one.reference for one in judged] == ["no"] * 10 + ["yes"] * 10
    chosen = spread_indices(200, 20, EvaluatePlan().seed)
    assert [int(address.rpartition(" ")[2]) - 1 for address in addresses] == chosen


def test_a_broken_row_is_no_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    _jsonl(path, [{"text": "a", "label": "yes"}, {"text": "b", "label": "no"}])
    path.write_text("not json\n" + path.read_text())
    task = Task("t", LINE, train=str(path), valid=False)
    source = task.source("train")
    assert source is not None
    with pytest.raises(SampleError):
        source.read(0, 0)
    assert Trainer(tokenizer_size=300).prepare("nano", [task]).closed_sets["t"]["label"] == ("no", "yes")
