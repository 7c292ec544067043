from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ofa_modalities import SampleError

LABELS = ("cat", "dog", "old owl")
SETS: dict[str, dict[str, tuple[str, ...]]] = {"one": {"kind": LABELS}, "two": {"kind": ("1", "2")}, "same": {"kind": LABELS}}


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    return make_run(dict.fromkeys(SETS, "[TEXT:t] -> [CATEGORY:kind]"), SETS)


def _answer(run: Any, task: str, value: object) -> object:
    target = run.encode(task, {"t": "x", "kind": value}).target[0]
    assert target.layout == (1,)
    assert target.units.tolist() == [run.vocabulary.id("begin:CATEGORY")]
    return run.encoder.decode(target.slot, target.labels)


def test_labels_and_indices_come_back_as_labels(run: Any) -> None:
    assert _answer(run, "one", " dog") == "dog"
    assert _answer(run, "one", 2) == "old owl"
    assert _answer(run, "one", np.int64(0)) == "cat"


@pytest.mark.parametrize("index", ["1", " 1", "1.0", 1.0, np.float32(1), torch.tensor(1), np.array(1)])
def test_an_index_is_read_from_text_and_from_any_number(run: Any, index: object) -> None:
    assert _answer(run, "one", index) == "dog"
    with pytest.raises(SampleError, match="index 3 is not among"):
        _answer(run, "one", "3")


def test_a_number_is_a_label_where_labels_are_numbers(run: Any) -> None:
    assert _answer(run, "two", 1) == "1"
    with pytest.raises(SampleError, match="not among"):
        _answer(run, "two", 0)


@pytest.mark.parametrize("value", ["dgo", 3, "3", -1, "-1", 1.5, True, None, ""])
def test_anything_else_is_a_sample_error(run: Any, value: object) -> None:
    with pytest.raises(SampleError) as caught:
        _answer(run, "one", value)
    assert caught.value.column == "kind"


def test_equal_sets_share_a_block_and_others_do_not(run: Any) -> None:
    blocks = [block for block in run.vocabulary.plan.blocks if block.name.startswith("category:kind:")]
    assert sorted(block.size for block in blocks) == [2, 3]


def test_the_rule_is_one_token_of_the_block(run: Any) -> None:
    rule = run.encoder.rule(run.encoder.line("one", run.tasks[0].instructions[0].target[0]))
    assert rule.length == 1
    assert rule.answers == LABELS
    assert set(rule.tree.token[1:]) == set(run.vocabulary.block(rule.blocks[0]))
