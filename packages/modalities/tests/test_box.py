from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ofa_modalities import DecodeContext, EncodeContext, Item, SampleError

RNG = np.random.default_rng(0)
SIDE = st.integers(1, 5000)
UNIT = st.floats(0, 1)


@pytest.fixture(scope="module")
def processor(make_run: Callable[..., Any]) -> Any:
    run = make_run({"t": "[IMAGE:img] [TEXT:q] -> [BOX:box,bins=100]"})
    return run.encoder.processor(run.encoder.line("t", run.tasks[0].instructions[0].target[0]))


def _picture(width: int, height: int, view: tuple[float, float, float, float] | None = None) -> Item:
    return Item(units=np.zeros((1, 3), np.float32), shape=(1, 1), size_px=(width, height), view_px=view)


def _context(picture: Item | None) -> EncodeContext:
    return EncodeContext(split="train", rng=RNG, referred=picture)


@given(SIDE, SIDE, UNIT, UNIT, UNIT, UNIT)
def test_the_error_is_at_most_half_a_bin(processor: Any, width: int, height: int, a: float, b: float, c: float, d: float) -> None:
    box = [min(a, b) * width, min(c, d) * height, max(a, b) * width, max(c, d) * height]
    assume(box[2] > box[0] and box[3] > box[1])
    picture = _picture(width, height)
    item = processor.encode(box, _context(picture))
    assert item.shape == (4,)
    found = processor.decode(item.units, DecodeContext(referred=picture))
    half = np.array([width, height, width, height]) / 200 * (1 + 1e-9)
    assert (np.abs(np.array(found) - box) <= half).all()


def test_spellings_of_a_box(processor: Any) -> None:
    picture = _picture(200, 100)
    wanted = processor.encode([1, 2, 30, 40], _context(picture)).units
    for value in ("1,2,30,40", "[1.0, 2, 30, 40]", (1, 2, 30, 40), np.array([1, 2, 30, 40])):
        assert np.array_equal(processor.encode(value, _context(picture)).units, wanted)


def test_less_than_a_pixel_beyond_the_edge_is_clipped(processor: Any) -> None:
    picture = _picture(200, 100)
    item = processor.encode([-0.9, 0, 200.9, 100], _context(picture))
    assert np.array_equal(item.units, processor.encode([0, 0, 200, 100], _context(picture)).units)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([30, 2, 1, 40], "inverted"),
        ([1, 2, 1, 40], "inverted or empty"),
        ([0, 0, 202, 100], "outside its picture of 200 × 100"),
        ([-5, 0, 20, 20], "outside"),
        ([200.2, 1, 200.8, 5], "outside"),
        ([1, 2, 3], "four numbers"),
        ("1,2,3,x", "four numbers"),
        ([1, 2, float("nan"), 4], "finite"),
        ([1, 2, 10**400, 4], "four numbers"),
        ([True, 2, 3, 4], "finite"),
        (None, "four numbers"),
        ({"x": 1}, "four numbers"),
    ],
)
def test_what_is_no_box_of_the_picture_is_a_sample_error(processor: Any, value: object, said: str) -> None:
    with pytest.raises(SampleError, match=said) as caught:
        processor.encode(value, _context(_picture(200, 100)))
    assert caught.value.column == "box"


def test_a_box_without_a_picture_is_a_sample_error(processor: Any) -> None:
    with pytest.raises(SampleError, match="belongs to a picture"):
        processor.encode([1, 2, 3, 4], _context(None))


def test_boxes_move_with_the_view_of_their_picture(processor: Any) -> None:
    zoomed = _picture(200, 100, (50.0, 25.0, 150.0, 75.0))
    item = processor.encode([60, 30, 100, 50], _context(zoomed))
    unit = processor.decode(item.units, DecodeContext())
    assert np.allclose(unit, [0.1, 0.1, 0.5, 0.5], atol=0.0051)
    assert np.allclose(processor.decode(item.units, DecodeContext(referred=zoomed)), [60, 30, 100, 50], atol=0.51)
    with pytest.raises(SampleError, match="part of the picture that is shown"):
        processor.encode([0, 0, 20, 20], _context(zoomed))


def test_sides_come_out_in_order_and_inside(processor: Any) -> None:
    picture = _picture(200, 100, (-20.0, -10.0, 220.0, 110.0))
    start = processor.encode([0, 0, 200, 100], _context(_picture(200, 100))).units[0]
    assert processor.decode(np.array([start + 99, start + 99, start, start]), DecodeContext(referred=picture)) == [0, 0, 200, 100]
    with pytest.raises(ValueError, match="4 units"):
        processor.decode(np.array([start]), DecodeContext(referred=picture))


def test_two_numbers_of_bins_in_one_run_are_an_error(make_run: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="the block `bin` is 64 long for task `a`, column `box`, but 32 for task `b`"):
        make_run({"a": "[IMAGE:img] -> [BOX:box]", "b": "[IMAGE:img] -> [BOX:box,bins=32]"})
