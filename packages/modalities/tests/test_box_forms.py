"""Boxes say their unit and their order: every form is read right, and what looks like another one is told with its options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ofa_instruction import Catalog, InstructionError, compile
from ofa_modalities import DecodeContext, EncodeContext, Item, SampleError
from ofa_modalities.box.forms import Box, BoxForm, BoxFormat, BoxSample, BoxUnit, better_forms, describe
from ofa_modalities.box.reading import read_box
from ofa_modalities.image.reading import picture_size
from PIL import Image

FORMS = [BoxForm(format=order, unit=unit) for order in get_args(BoxFormat) for unit in get_args(BoxUnit)]
SIZE = (120, 80)
BOXES: list[Box] = [(10, 20, 50, 60), (70, 30, 110, 44), (5, 60, 25, 78), (60, 2, 119, 30), (90, 50, 118, 79)]


def samples(numbers: list[Box], size: tuple[int, int] | None = SIZE) -> list[BoxSample]:
    return [BoxSample(numbers=one, size_px=size, address=f"a.csv:row {place}") for place, one in enumerate(numbers, 1)]


def said(form: BoxForm) -> list[Box]:
    return [tuple(form.of_pixels(box, SIZE)) for box in BOXES]  # type: ignore[misc]


@given(st.sampled_from(FORMS), *[st.floats(0, 1)] * 4)
def test_what_is_written_is_read_again(form: BoxForm, a: float, b: float, c: float, d: float) -> None:
    box = (min(a, b) * 120, min(c, d) * 80, max(a, b) * 120, max(c, d) * 80)
    assume(box[2] - box[0] > 1e-3)
    assume(box[3] - box[1] > 1e-3)
    numbers = form.of_pixels(box, SIZE)
    assert read_box(numbers, "box", SIZE, form) == pytest.approx(box, abs=1e-6)
    assert read_box(", ".join(map(repr, numbers)), "box", SIZE, form) == pytest.approx(box, abs=1e-6)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_slot_reads_its_form_and_answers_in_pixels(make_run: Callable[..., Any], form: BoxForm) -> None:
    slot = f"[BOX:box,bins=1000,format={form.format},unit={form.unit}]"
    run = make_run({"t": f"[IMAGE:img] [TEXT:q] -> {slot}"})
    processor = run.encoder.processor(run.encoder.line("t", run.tasks[0].instructions[0].target[0]))
    picture = Item(units=np.zeros((1, 3), np.float32), shape=(1, 1), size_px=SIZE)
    context = EncodeContext(split="train", rng=np.random.default_rng(0), referred=picture)
    for box, numbers in zip(BOXES, said(form), strict=True):
        item = processor.encode(list(numbers), context)
        assert processor.decode(item.units, DecodeContext(referred=picture)) == pytest.approx(box, abs=0.1)
        assert processor.reference(list(numbers), context) == pytest.approx(box, abs=1e-6)


def tells_itself(form: BoxForm) -> bool:
    """Percent of such a picture are pixels of it too, and in a square of shares both orders of the axes fit."""
    return form.format != "corners" and form.unit != "percent" and (form.format != "yxyx" or form.unit == "px")


@pytest.mark.parametrize("form", list(filter(tells_itself, FORMS)), ids=str)
def test_every_form_is_recognised_where_pixels_and_corners_are_asked_for(form: BoxForm) -> None:
    asked = BoxForm()
    told = describe(samples(said(form)), "box", asked)
    if form == asked:
        assert told == ""
        return
    assert form in better_forms(samples(said(form)), asked)
    assert form.attributes("box", asked) in told
    assert "of 5 boxes of `box` do not look like left, top, right, bottom in pixels" in told


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_pixels_and_corners_are_recognised_where_another_form_is_asked_for(form: BoxForm) -> None:
    told = describe(samples(BOXES), "box", form)
    assert (told == "") == all(form.fits(box, SIZE) for box in BOXES)
    if told:
        assert BoxForm().attributes("box", form) in told or "format=corners" in form.attributes("box", BoxForm())


def test_boxes_of_a_pixel_in_the_corner_are_shares_whether_or_not_the_picture_is_known() -> None:
    shares: list[Box] = [(0.1, 0.2, 0.5, 0.6), (0.0, 0.0, 1.0, 1.0)]
    for size in (SIZE, None):
        told = describe(samples(shares, size), "box", BoxForm())
        assert "2 of 2 boxes of `box`" in told
        assert "[BOX:box,unit=share]" in told
        assert describe(samples(shares, size), "box", BoxForm(unit="share")) == ""


def test_swapped_corners_and_boxes_beyond_the_edge_are_told_with_what_reads_them() -> None:
    swapped: list[Box] = [(*box[2:], *box[:2]) for box in BOXES[:2]]
    told = describe(samples([*BOXES, *swapped]), "box", BoxForm())
    assert "2 of 7 boxes" in told
    assert "a.csv:row 6: (50, 60, 10, 20) in a picture of 120 × 80 pixels" in told
    assert "[BOX:box,format=corners]" in told
    assert read_box(swapped[0], "box", SIZE, BoxForm(format="corners")) == BOXES[0]
    beyond: list[Box] = [(-20, 10, 40, 30), (100, 60, 140, 90)]
    assert "[BOX:box,clip]" in describe(samples([*BOXES, *beyond]), "box", BoxForm())
    assert read_box(beyond[0], "box", SIZE, BoxForm(clip=True)) == (0, 10, 40, 30)
    with pytest.raises(SampleError, match="outside its picture of 120 × 80"):
        read_box((200, 10, 240, 30), "box", SIZE, BoxForm(clip=True))


def test_what_no_form_reads_is_told_without_one() -> None:
    told = describe(samples([(500, 3, 500, 900), *BOXES]), "box", BoxForm())
    assert "1 of 6 boxes" in told
    assert "are bad rows" in told


def test_a_bad_row_names_the_form_it_would_fit() -> None:
    with pytest.raises(SampleError, match=r"inverted or empty: it is left, top, right.*\[BOX:box,format=xywh\]"):
        read_box([70, 30, 40, 14], "box", SIZE)
    with pytest.raises(SampleError, match=r"lies outside its picture.*shares.*\[BOX:box,unit=px\]"):
        read_box([10, 20, 50, 60], "box", SIZE, BoxForm(unit="share"))
    with pytest.raises(SampleError, match=r"\[BOX:box,format=xywh,unit=share\].* or \[BOX:box,format=cxcywh,unit=share\]"):
        read_box([0.65, 0.42, 0.27, 0.36], "box", SIZE)


def test_options_are_checked_and_the_other_name_of_the_modality_takes_them(catalog: Catalog) -> None:
    profile = catalog.backend("generalist").spec
    slot = (
        compile("[IMAGE:img] -> [BOUNDING_BOX:box,format=xywh,unit=share,clip]", catalog, profile, name="t")
        .instructions[0]
        .slots[1]
    )
    assert BoxForm.of_options(slot.processor.options) == BoxForm(format="xywh", unit="share", clip=True)
    with pytest.raises(InstructionError, match="xyxy"):
        compile("[IMAGE:img] -> [BOX:box,format=xyhw]", catalog, profile, name="t")


def test_the_size_of_a_picture_from_its_header(tmp_path: Any) -> None:
    picture = Image.new("RGB", (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    picture.save(tmp_path / "plain.png")
    assert picture_size("plain.png", root=tmp_path) == (30, 20)
    assert picture_size("turned.jpg", root=tmp_path) == (20, 30)
    assert picture_size((tmp_path / "plain.png").read_bytes()) == picture_size(picture) == (30, 20)
    assert picture_size(np.zeros((20, 30, 3), np.uint8)) == (30, 20)
    assert picture_size("missing.png", root=tmp_path) is picture_size(None) is picture_size(b"no picture") is None
