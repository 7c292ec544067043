"""An empty value of an input is read as nothing, in every modality; an empty answer is no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ofa_instruction import Catalog, compile
from ofa_modalities import DecodeContext, Item, SampleError
from ofa_modalities.processor import NoAnswerError

EMPTY = [None, "", "  ", float("nan"), np.float32("nan"), {"bytes": None, "path": None}]
READ = {
    "TEXT": "[TEXT:x] ? -> [TEXT:a]",
    "PHONE": "[PHONE:x,fallback=rules] ? -> [TEXT:a]",
    "IMAGE": "[IMAGE:x] ? -> [TEXT:a]",
    "VIDEO": "[VIDEO:x] ? -> [TEXT:a]",
    "AUDIO": "[AUDIO:x] ? -> [TEXT:a]",
    "BOX": "[IMAGE:img] [BOX:x] ? -> [TEXT:a]",
    "CATEGORY": "[CATEGORY:x] ? -> [TEXT:a]",
    "STRUCT": "[STRUCT:x] ? -> [TEXT:a]",
    "FRAMES": "[FRAMES:x] ? -> [TEXT:a]",
}
SETS = {name: {"x": ("cat", "dog")} for name in READ}
VALUES = {
    "TEXT": "a cat",
    "PHONE": "cat",
    "BOX": [1, 2, 30, 40],
    "CATEGORY": "dog",
    "STRUCT": [["a"], ["b"]],
    "IMAGE": np.zeros((16, 16, 3), np.uint8),
    "VIDEO": np.zeros((4, 16, 16, 3), np.uint8),
    "AUDIO": (np.zeros(8000, np.float32), 16000),
    "FRAMES": np.ones((3, 2), np.float32),
}


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    return make_run(READ, closed_sets=SETS)


def line_of(run: Any, task: str) -> int:
    slot = next(slot for slot in run.encoder.instruction(task).slots if slot.column == "x")
    return int(run.encoder.line(task, slot))


@pytest.mark.parametrize("modality", READ)
def test_nothing_is_one_token_that_packs_beside_values(run: Any, picture: Any, modality: str) -> None:
    row = {"img": picture, "a": "a cat"}
    whole = run.encode(modality, {**row, "x": VALUES[modality]})
    assert whole.empty == ()
    for value in EMPTY:
        example = run.encode(modality, {**row, "x": value})
        assert example.empty == ("x",)
        (segment,) = [one for one in example.source if one.slot == line_of(run, modality)]
        assert segment.units.tolist() == [run.vocabulary.id(f"begin:{modality}")]
        assert segment.adaptor == "text"
        batch = run.encoder.pack([whole, example, whole])
        assert batch.source.lengths.tolist() == [whole.num_source_tokens, example.num_source_tokens, whole.num_source_tokens]
        assert batch.source.coordinates.shape[0] == batch.source.num_tokens
    left_out = run.encode(modality, row)
    assert left_out.empty == ("x",)
    with pytest.raises(SampleError, match="`x` is missing"):
        run.encode(modality, row, split="infer", with_targets=False)


@pytest.mark.parametrize("split", ["train", "valid", "infer"])
def test_required_makes_it_a_bad_row(make_run: Callable[..., Any], split: str) -> None:
    run = make_run({"t": "[IMAGE:x,required] ? -> [TEXT:a]"})
    with pytest.raises(SampleError, match="column `x` is empty, and its slot is `required`") as caught:
        run.encode("t", {"x": "", "a": "a cat"}, split=split)
    assert not isinstance(caught.value, NoAnswerError)


@pytest.mark.parametrize("value", EMPTY)
def test_an_empty_answer_is_told_apart(run: Any, value: object) -> None:
    with pytest.raises(NoAnswerError, match="there is no answer to learn"):
        run.encode("TEXT", {"x": "a cat", "a": value})
    with pytest.raises(NoAnswerError):
        run.encode("TEXT", {"x": "a cat"})
    example = run.encode("TEXT", {"x": "a cat", "a": value}, with_targets=False, split="test")
    with pytest.raises(NoAnswerError):
        run.encoder.references({"x": "a cat", "a": value}, example, split="test")


def test_what_belongs_to_nothing(make_run: Callable[..., Any], picture: Any) -> None:
    run = make_run({"t": "[IMAGE:img] [BOX:x] ? -> [TEXT:a]", "ask": "[IMAGE:img] ? -> [BOX:x]"})
    both = run.encode("t", {"img": None, "x": "", "a": "a"})
    assert both.empty == ("img", "x")
    assert all(segment.refers == -1 for segment in both.source)
    with pytest.raises(SampleError, match="a box belongs to a picture, and this row has none"):
        run.encode("t", {"img": None, "x": [1, 2, 3, 4], "a": "a"})
    asked = run.encode("ask", {"img": None}, split="infer", with_targets=False)
    start = run.vocabulary.block("bin").start
    box = run.encoder.decode(line_of(run, "ask"), np.array([start, start, start + 63, start + 63]), asked)
    assert box == pytest.approx([1 / 128, 1 / 128, 127 / 128, 127 / 128])


def test_nothing_among_the_items_of_a_repeat(make_run: Callable[..., Any], picture: Any) -> None:
    run = make_run({"t": "([IMAGE:img] [TEXT:x])* ? -> [TEXT:a]"})
    mixed = run.encode("t", {"img": [picture, None], "x": ["", "cat"], "a": "a"})
    assert mixed.empty == ("img", "x")
    assert run.encode("t", {"img": [picture, picture], "x": None, "a": "a"}).empty == ("x",)
    none = run.encode("t", {"img": "", "x": None, "a": "a"})
    assert none.num_source_tokens == run.encode("t", {"img": [], "x": [], "a": "a"}).num_source_tokens
    run.encoder.pack([mixed, none])


def test_a_task_without_words_has_no_stream_for_nothing(make_run: Callable[..., Any]) -> None:
    run = make_run({"t": "[FRAMES:x] -> [FRAMES:y]"})
    frames = np.ones((3, 2), np.float32)
    assert set(run.encoder.streams) == {"frames"}
    run.encode("t", {"x": frames, "y": frames})
    with pytest.raises(SampleError, match="the value is empty, and a task without any words cannot read nothing"):
        run.encode("t", {"x": None, "y": frames})


def test_the_plan_says_required_where_it_is_so(catalog: Catalog) -> None:
    plan = compile("[TEXT:x,required] [TEXT:y] -> [TEXT:a]", catalog, catalog.backend("generalist").spec, name="t")
    assert [slot.required for slot in plan.instructions[0].slots] == [True, False, False]
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan
    assert plan.model_dump_json().count('"required"') == 1


def test_an_item_of_no_units_is_nothing() -> None:
    assert Item(units=np.zeros(0, np.int64), shape=(0,)).is_nothing
    assert not Item(units=np.zeros(0, np.int64), shape=(2, 3)).is_nothing
    assert DecodeContext().referred is None
