"""Values longer than their limits: no end is learnt behind a cut, characters stay whole, and the row says what was cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ofa_modalities import Item, SampleError
from ofa_modalities.segment import Cut
from ofa_modalities.token_pieces import ends_whole

LONG = " ".join(f"word{number}" for number in range(50))
TASKS = {
    "text": "[TEXT:q,max_length=4] -> [TEXT:a,max_length=8]",
    "noisy": "[TEXT:q] -> [TEXT:a,max_length=8,noise_ratio=0.5]",
    "infill": "[TEXT:a,mask_ratio=0.2,max_length=8] -> [TEXT:a,max_length=8]",
    "phones": "[TEXT:q] -> [PHONE:a,max_length=8]",
    "whole": "[TEXT:q] -> [PHONE:a]",
    "table": "[TEXT:q] -> [STRUCT:t,max_length=8]",
    "query": "[TEXT:q] -> [STRUCT:s,as=sql,max_length=8]",
    "frames": "[TEXT:q] -> [FRAMES:f,max_frames=3]",
    "several": "[TEXT:q] -> ([TEXT:a,max_length=8])* and [TEXT:b]",
    "given": "[TEXT:q] -> ([TEXT:a,no_loss] [TEXT:b])*",
}


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    return make_run(TASKS, max_items=2)


def _target(run: Any, task: str, row: dict[str, Any]) -> tuple[Any, tuple[Cut, ...]]:
    example = run.encode(task, {"q": "x", **row})
    return example.target, example.cuts


@pytest.mark.parametrize("task", ["text", "noisy", "infill", "phones"])
def test_no_end_is_learnt_behind_a_cut(run: Any, task: str) -> None:
    (segment,), cuts = _target(run, task, {"a": LONG})
    assert len(segment.labels) == 9
    assert segment.labels[-1] == run.vocabulary.id("end")
    assert segment.weights.tolist() == [1] * 8 + [0]
    answer = next(cut for cut in cuts if run.encoder.slots[cut.line].slot.side == "target")
    assert (answer.kept, answer.limit, answer.is_learnt) == (8, "max_length", False)
    assert answer.total > 50


@pytest.mark.parametrize("task", ["text", "noisy", "phones"])
def test_the_end_of_what_fits_is_learnt(run: Any, task: str) -> None:
    (segment,), cuts = _target(run, task, {"a": "yes"})
    assert segment.weights[-1] == 1
    assert not cuts


def test_what_is_read_tells_too(run: Any) -> None:
    example = run.encode("text", {"q": LONG, "a": "yes"})
    (cut,) = example.cuts
    assert (run.encoder.slots[cut.line].slot.column, cut.kept) == ("q", 4)
    assert run.encode("text", {"q": "x"}, with_targets=False).cuts == ()


@pytest.mark.parametrize(("task", "row"), [("table", {"t": {"name": [LONG]}}), ("query", {"s": f"SELECT '{LONG}'"})])
def test_what_cannot_be_cut_is_an_error(run: Any, task: str, row: dict[str, Any]) -> None:
    with pytest.raises(SampleError, match="max_length=8"):
        _target(run, task, row)


def test_frames_and_phones_beyond_the_longest_answer_are_learnt_and_told(run: Any) -> None:
    (segment,), cuts = _target(run, "frames", {"f": np.zeros((5, 2))})
    assert segment.stop.tolist() == [0, 0, 0, 0, 1]
    assert cuts == (Cut(line=segment.slot, kept=3, total=5, limit="max_frames", is_learnt=True),)
    (segment,), (cut,) = _target(run, "whole", {"a": " ".join(["banana"] * 40)})
    assert segment.weights[-1] == 1
    assert (cut.kept, cut.limit, cut.is_learnt) == (256, "max_length", True)


def test_items_of_a_repeat_beyond_the_most_answered_are_told(run: Any) -> None:
    _, cuts = _target(run, "several", {"a": ["yes", LONG, "no"], "b": "x"})
    assert {(cut.limit, cut.kept) for cut in cuts} == {("max_items", 2), ("max_length", 8)}
    assert not _target(run, "given", {"a": ["x"] * 5, "b": ["y"] * 5})[1]


def test_a_text_is_cut_between_characters(run: Any) -> None:
    for length in range(1, 9):
        text = "x" * (8 - length) + "日本語👍🏽"
        (segment,), _ = _target(run, "text", {"a": text})
        units = segment.labels[: int(segment.weights.sum())]
        answer = run.encoder.decode(segment.slot, units)
        assert answer
        assert text.startswith(answer)


def test_an_answer_that_is_cut_ends_on_a_whole_character(run: Any) -> None:
    (segment,), _ = _target(run, "several", {"a": [], "b": "ab日本\ufffd"})[0][-1:], None
    ids = segment.labels[:-1]
    seen = {run.encoder.decode(segment.slot, ids[:count], is_cut=True) for count in range(len(ids) + 1)}
    assert seen <= {"", "a", "ab", "ab日", "ab日本", "ab日本\ufffd"}
    assert {"ab日", "ab日本\ufffd"} <= seen
    torn = {run.encoder.decode(segment.slot, ids[:count]) for count in range(len(ids) + 1)}
    assert any(text.endswith("日\ufffd") for text in torn)


def test_ends_of_characters() -> None:
    content = "é日👍".encode()
    assert [ends_whole(content[:count]) for count in range(len(content) + 1)] == [
        True, False, True, False, False, True, False, False, False, True,
    ]  # fmt: skip
    assert ends_whole("a\ufffd".encode())
    assert not ends_whole(b"a\x80")


def test_an_answer_that_ended_at_once_is_its_begin_and_end(run: Any) -> None:
    """As generation gives it: an empty text is no training row, but a model may answer nothing."""
    program = run.encoder.program("text")
    step = next(step for step in program.slots.values() if step.slot.side == "target")
    segment = step.segment(Item(units=np.zeros(0, np.int64), shape=(0,)))
    assert segment.units.tolist() == [run.vocabulary.id("begin:TEXT")]
    assert segment.labels.tolist() == [run.vocabulary.id("end")]
