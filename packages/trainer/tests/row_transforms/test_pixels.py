"""Boxes move with the pixels: a painted box is found again where the changed row says it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_instruction import compile, default_catalog
from ofa_modalities.processor import SampleError
from ofa_trainer import Crop, Mirror
from ofa_trainer.row_transforms.applying import RowChanges
from ofa_trainer.row_transforms.columns import reach_of
from ofa_trainer.row_transforms.crop import choose_window
from PIL import Image

COLOURS = ((220, 30, 30), (30, 200, 30), (30, 30, 220))


def changes(plan: Crop | Mirror, instruction: str) -> RowChanges:
    catalog = default_catalog()
    task = compile(instruction, catalog, catalog.backend("generalist").spec, name="task")
    return RowChanges(reaches=(reach_of(plan, task),))


def painted(size: tuple[int, int], boxes: list[list[int]]) -> Image.Image:
    image = Image.new("RGB", size, "white")
    for box, colour in zip(boxes, COLOURS, strict=False):
        image.paste(colour, tuple(box))
    return image


def extent(image: Any, colour: tuple[int, int, int]) -> list[int]:
    """The rectangle of a colour."""
    rows, columns = np.nonzero((np.asarray(image) == colour).all(axis=-1))
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[tuple[int, int], list[list[int]]]:
    """A size, and up to three boxes side by side, so that none covers another."""
    width, height = draw(st.integers(24, 60)), draw(st.integers(8, 60))
    boxes = []
    for number in range(draw(st.integers(1, 3))):
        third = width // 3
        left = number * third + draw(st.integers(0, third - 2))
        right = draw(st.integers(left + 1, (number + 1) * third))
        top = draw(st.integers(0, height - 1))
        boxes.append([left, top, right, draw(st.integers(top + 1, height))])
    return (width, height), boxes


@settings(max_examples=60, deadline=None)
@given(scenes(), st.integers(0, 2**32 - 1), st.sampled_from(["centre", "share"]), st.floats(0.05, 1))
def test_a_crop_keeps_its_boxes_and_moves_them(scene: Any, seed: int, keep: Any, min_side: float) -> None:
    size, boxes = scene
    plan = Crop(min_side=min_side, keep=keep, min_share=0.7)
    change = changes(plan, "[IMAGE:img] what? -> ([BOX:box] [TEXT:word])*")
    row = {"img": painted(size, boxes), "box": boxes, "word": ["x"] * len(boxes), "id": 7}
    changed: Any = change(row, np.random.default_rng(seed))
    assert changed["id"] == 7
    assert row["img"].size == size
    assert row["box"] == boxes
    for side, whole in zip(changed["img"].size, size, strict=True):
        assert min_side * whole - 1 <= side <= whole
    for box, colour, before in zip(changed["box"], COLOURS, boxes, strict=False):
        assert extent(changed["img"], colour) == pytest.approx(box)
        area, whole = ((one[2] - one[0]) * (one[3] - one[1]) for one in (box, before))
        assert area >= (0.7 * whole - 1e-6 if keep == "share" else 1e-9)


@settings(max_examples=60, deadline=None)
@given(scenes(), st.integers(0, 2**32 - 1), st.floats(0.05, 1))
def test_the_middle_of_every_box_is_shown(scene: Any, seed: int, min_side: float) -> None:
    size, boxes = scene
    left, top, right, bottom = choose_window(size, boxes, Crop(min_side=min_side), np.random.default_rng(seed))
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    for box in boxes:
        assert left <= (box[0] + box[2]) / 2 <= right
        assert top <= (box[1] + box[3]) / 2 <= bottom


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_a_mirror_moves_boxes(scene: Any) -> None:
    size, boxes = scene
    change = changes(Mirror(sides="none", probability=1), "[IMAGE:img] what? -> ([BOX:box] [TEXT:word])*")
    row = {"img": painted(size, boxes), "box": boxes, "word": ["left"] * len(boxes)}
    changed: Any = change(row, np.random.default_rng(0))
    assert np.array_equal(np.asarray(changed["img"]), np.asarray(row["img"])[:, ::-1])
    for box, colour in zip(changed["box"], COLOURS, strict=False):
        assert extent(changed["img"], colour) == box
    assert changed["word"] == row["word"]
    again: Any = change(changed, np.random.default_rng(0))
    assert again["box"] == boxes


def test_pictures_of_a_repeat_have_boxes_of_their_own() -> None:
    sizes = [(30, 20), (48, 16)]
    boxes = [[2, 3, 9, 8], [20, 1, 40, 9]]
    images = [painted(size, [box]) for size, box in zip(sizes, boxes, strict=True)]
    for plan in (Mirror(sides="none", probability=1), Crop(min_side=0.5)):
        change = changes(plan, "([IMAGE:img] [BOX:box])* -> [TEXT:a]")
        changed: Any = change({"img": images, "box": boxes, "a": "x"}, np.random.default_rng(1))
        for image, box in zip(changed["img"], changed["box"], strict=True):
            assert extent(image, COLOURS[0]) == pytest.approx(box)


FOUR = [[4, 4, 12, 10], "4,4,12,10", (4.0, 4.0, 12.0, 10.0), np.array([4, 4, 12, 10]), ["4", "4", "12", "10"]]


@pytest.mark.parametrize("box", FOUR, ids=str)
def test_a_box_may_be_text_or_any_four_numbers(box: Any) -> None:
    change = changes(Mirror(sides="none", probability=1), "[IMAGE:img] where? -> [BOX:box]")
    row = {"img": painted((32, 16), [[4, 4, 12, 10]]), "box": box}
    assert change(row, np.random.default_rng(0))["box"] == [20, 4, 28, 10]


def objects(*values: Any) -> Any:
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    "as_list", [list, tuple, np.array, lambda boxes: objects(*boxes)], ids=["list", "tuple", "array", "objects"]
)
def test_boxes_of_a_repeat_may_be_any_list(as_list: Any) -> None:
    boxes = [[4, 4, 12, 10], [14, 2, 20, 9]]
    change = changes(Mirror(sides="none", probability=1), "[IMAGE:img] what? -> ([BOX:box] [TEXT:word])*")
    row = {"img": painted((32, 16), boxes), "box": as_list(boxes), "word": ["x", "y"]}
    assert change(row, np.random.default_rng(0))["box"] == [[20, 4, 28, 10], [12, 2, 18, 9]]
    assert change(row | {"box": np.array(["4,4,12,10", "14,2,20,9"])}, np.random.default_rng(0))["box"] == [
        [20, 4, 28, 10],
        [12, 2, 18, 9],
    ]


def test_pictures_of_a_repeat_may_be_an_array() -> None:
    boxes = [[2, 3, 9, 8], [20, 1, 28, 9]]
    images = objects(*(painted((30, 20), [box]) for box in boxes))
    change = changes(Mirror(sides="none", probability=1), "([IMAGE:img] ([BOX:box])*)* -> [TEXT:a]")
    changed: Any = change({"img": images, "box": objects([boxes[0]], np.array([boxes[1]])), "a": "x"}, np.random.default_rng(1))
    assert [extent(image, COLOURS[0]) for image in changed["img"]] == [box for (box,) in changed["box"]]


def test_lists_of_other_lengths_are_left_to_the_encoder() -> None:
    change = changes(Mirror(sides="none", probability=1), "([IMAGE:img] [BOX:box])* -> [TEXT:a]")
    for boxes in ([[2, 3, 9, 8]] * 2, [], 7, None):
        row = {"img": [painted((30, 20), [])], "box": boxes, "a": "x"}
        assert change(row, np.random.default_rng(0))["box"] == boxes


@pytest.mark.parametrize("plan", [Crop(), Mirror(sides="none", probability=1)], ids=["crop", "mirror"])
def test_a_picture_may_be_as_large_as_its_slot_says(plan: Any) -> None:
    row = {"img": painted((40, 30), []), "a": "x"}
    with pytest.raises(SampleError, match="more than 1199 in all"):
        changes(plan, "[IMAGE:img,max_pixels=1199] -> [TEXT:a]")(row, np.random.default_rng(0))
    changes(plan, "[IMAGE:img,max_pixels=1200] -> [TEXT:a]")(row, np.random.default_rng(0))
    # Each slot holds the picture to its own limit when it is encoded.
    twice = changes(plan, "[IMAGE:img,max_pixels=9] -> [IMAGE:img,max_pixels=1200]")
    assert [columns.max_pixels for columns in twice.reaches[0].pictures] == [1200]


def test_two_pictures_are_mirrored_and_one_of_them_cropped() -> None:
    text = "[IMAGE:a] and [IMAGE:b] -> [BOX:box,of=b]"
    row = {"a": painted((30, 20), []), "b": painted((32, 16), [[4, 4, 12, 10]]), "box": [4, 4, 12, 10]}
    row["a"].paste((0, 0, 0), (0, 0, 5, 5))
    changed: Any = changes(Mirror(sides="none", probability=1), text)(row, np.random.default_rng(0))
    assert changed["a"].getpixel((29, 0)) == (0, 0, 0)
    assert changed["box"] == [20, 4, 28, 10]
    cropped: Any = changes(Crop(image="b", min_side=0.3), text)(row, np.random.default_rng(0))
    assert cropped["a"] is row["a"]
    assert extent(cropped["b"], COLOURS[0]) == pytest.approx(cropped["box"])


def test_chance_says_how_many_rows_change() -> None:
    change = changes(Mirror(sides="none", probability=0.25), "[IMAGE:img] -> [TEXT:a]")
    row = {"img": painted((8, 8), [[0, 0, 4, 8]]), "a": "x"}
    changed = [change(row, np.random.default_rng(seed)) is not row for seed in range(400)]
    assert 70 < sum(changed) < 130


def test_what_cannot_be_read_is_a_sample_error_of_its_column() -> None:
    change = changes(Crop(), "[IMAGE:img] where? -> [BOX:box]")
    good = painted((32, 16), [])
    for row, column in [
        ({"img": b"nothing", "box": [0, 0, 1, 1]}, "img"),
        ({"img": good, "box": [0, 0, 99, 1]}, "box"),
        ({"img": good, "box": "a,b"}, "box"),
    ]:
        with pytest.raises(SampleError) as caught:
            change(row, np.random.default_rng(0))
        assert caught.value.column == column
    assert change({"img": None, "box": None}, np.random.default_rng(0)) == {"img": None, "box": None}
