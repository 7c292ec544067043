"""Mirrors and words: what is exchanged, and what must be said before anything is mirrored."""

from __future__ import annotations

import doctest
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_instruction import compile, default_catalog
from ofa_modalities.processor import SampleError
from ofa_trainer import Crop, Mirror
from ofa_trainer.row_transforms import plans, words
from ofa_trainer.row_transforms.applying import RowChanges
from ofa_trainer.row_transforms.columns import reach_of
from ofa_trainer.row_transforms.words import WordSwap
from PIL import Image
from pydantic import ValidationError

SWAP = {"left": "right", "west": "east", "left-handed": "right-handed"}


def reach(plan: Crop | Mirror, instruction: str) -> Any:
    catalog = default_catalog()
    return reach_of(plan, compile(instruction, catalog, catalog.backend("generalist").spec, name="task"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Left, RIGHT and left", "Right, LEFT and right"),
        ("leftover bright", "leftover bright"),
        ("the left-handed man", "the right-handed man"),
        ("WEST of the West wing", "EAST of the East wing"),
        ("", ""),
    ],
)
def test_words_are_exchanged_and_keep_their_case(text: str, wanted: str) -> None:
    assert WordSwap(SWAP)(text) == wanted
    assert WordSwap(SWAP)(wanted) == text


@given(st.lists(st.sampled_from(["left", "Right", "WEST", "east", "wing", ",", "éleft"]), max_size=8).map(" ".join))
def test_exchanging_twice_changes_nothing(text: str) -> None:
    swap = WordSwap(SWAP)
    assert swap(swap(text)) == text


def test_the_texts_of_a_row_follow_its_picture() -> None:
    plan = Mirror(swap={"left": "right"}, probability=1)
    instruction = "[IMAGE:img] [TEXT:question] -> ([BOX:box] [TEXT:names])* [CATEGORY:side]"
    change = RowChanges(reaches=(reach(plan, instruction),))
    row = {
        "img": Image.new("RGB", (10, 10)),
        "question": "What is on the LEFT?",
        "box": [[0, 0, 4, 4]],
        "names": ["left shoe"],
        "side": "left",
        "note": "left as it is",
    }
    changed = change(row, np.random.default_rng(0))
    assert changed["question"] == "What is on the RIGHT?"
    assert changed["names"] == ["right shoe"]
    assert changed["side"] == "right"
    assert changed["note"] == "left as it is"
    assert changed["box"] == [[6, 0, 10, 4]]
    some = RowChanges(reaches=(reach(Mirror(swap={"left": "right"}, texts=("side",), probability=1), instruction),))
    assert some(row, np.random.default_rng(0))["question"] == row["question"]


def test_words_in_arrays_are_exchanged() -> None:
    change = RowChanges(reaches=(reach(Mirror(swap={"left": "right"}, probability=1), "[IMAGE:img] -> ([TEXT:side])*"),))
    row = {"img": np.zeros((4, 4), np.uint8), "side": np.array(["left", "right"])}
    assert change(row, np.random.default_rng(0))["side"] == ["right", "left"]


def test_an_index_whose_words_must_be_exchanged_is_refused() -> None:
    mirror = Mirror(swap={"left": "right"}, probability=1)
    image = np.zeros((4, 4), np.uint8)
    change = RowChanges(reaches=(reach(mirror, "[IMAGE:img] [TEXT:count] -> [CATEGORY:side]"),))
    for index in (0, np.int64(1), "1", " 0"):
        with pytest.raises(SampleError, match="an index tells no words: give the label") as caught:
            change({"img": image, "count": 7, "side": index}, np.random.default_rng(0))
        assert caught.value.column == "side"
    assert change({"img": image, "count": 7, "side": "left"}, np.random.default_rng(0))["side"] == "right"
    repeated = RowChanges(reaches=(reach(mirror, "[IMAGE:img] -> ([CATEGORY:side])*"),))
    with pytest.raises(SampleError, match="an index"):
        repeated({"img": image, "side": np.array([0, 1])}, np.random.default_rng(0))
    other = RowChanges(
        reaches=(reach(mirror.model_copy(update={"texts": ("count",)}), "[IMAGE:img] [TEXT:count] -> [CATEGORY:n]"),)
    )
    assert other({"img": image, "count": "left", "n": 3}, np.random.default_rng(0))["n"] == 3


def test_words_to_exchange_are_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    change = RowChanges(reaches=(reach(Mirror(swap={"left": "right"}, probability=1), "[IMAGE:img] -> [TEXT:side]"),))
    monkeypatch.setattr(words.WordSwap, "__init__", None)
    row = {"img": np.zeros((4, 4), np.uint8), "side": "left"}
    assert pickle.loads(pickle.dumps(change))(row, np.random.default_rng(0))["side"] == "right"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"a mirrored picture exchanges left and right: say `sides: none` .* or give the words to\s+exchange"),
        ({"sides": "none", "swap": {"left": "right"}}, "leave one of them out"),
        ({"swap": {"left": "left"}}, "`left` is not"),
        ({"swap": {"left": "right", "Right": "east"}}, "each in one pair"),
        ({"swap": {"": "right"}}, "different words"),
        ({"sides": "some"}, "none"),
    ],
)
def test_a_mirror_must_know_about_sides(options: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mirror(**options)


@pytest.mark.parametrize(
    ("plan", "instruction", "message"),
    [
        (
            Mirror(sides="none"),
            "[TEXT:a] -> [TEXT:b]",
            "`mirror` changes pictures, clips and motions, and the instruction has none",
        ),
        (Mirror(sides="none"), "[MOTION:m,mirror] -> [TEXT:b]", "leave one out"),
        (Crop(), "[TEXT:a] -> [TEXT:b]", "`crop` changes pictures"),
        (Crop(), "[IMAGE:a] [IMAGE:b] -> [TEXT:c]", "there are `a`, `b`; say which with `image`"),
        (Crop(image="c"), "[IMAGE:a] -> [TEXT:c]", "`crop` names `c`, and the columns with pictures are `a`"),
        (Mirror(swap=SWAP), "[IMAGE:a] what is left of it? -> [TEXT:b]", "the instruction itself says `left`"),
        (Mirror(swap=SWAP), "[IMAGE:a] -> ([TEXT:b] to the West)*", "the instruction itself says `West`"),
        (Mirror(swap=SWAP, texts=("z",)), "[IMAGE:a] -> [TEXT:b]", "names `z`, and the columns with texts are `b`"),
        (Mirror(swap=SWAP), "[IMAGE:a] [STRUCT:t] -> [TEXT:b]", r"no words of \[STRUCT:t\]; .* name the columns that do"),
    ],
)
def test_a_transform_that_does_not_fit_is_refused_before_training(plan: Any, instruction: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reach(plan, instruction)


def test_alternatives_are_seen_together() -> None:
    text = "[IMAGE:img] where is [TEXT:a] ? -> [BOX:box] ||| find [TEXT:b] in [IMAGE:img] : -> [BOX:box]"
    found = reach(Mirror(swap=SWAP), text)
    assert [text.column for text in found.texts] == ["a", "b"]
    assert [(picture.image, list(picture.boxes)) for picture in found.pictures] == [("img", ["box"])]


@pytest.mark.parametrize("module", [plans, words])
def test_examples_in_docstrings_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
