"""Patches of space and time, masks, and what the processor makes of a clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import SampleError, unpack
from ofa_modalities.image.masking import mask_centre, mask_patches, masked, random_mask
from ofa_modalities.video.encoding import clip_grid, fill_tubelets, frames_to_patches, patches_to_frames
from ofa_modalities.video.output import Video

CLIP = np.random.default_rng(0).integers(0, 256, (8, 16, 24, 3), np.uint8)


@given(
    grid=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    patch=st.integers(1, 5),
    tubelet=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_patches_show_the_very_frames(grid: tuple[int, int, int], patch: int, tubelet: int, seed: int) -> None:
    count, rows, columns = grid
    frames = np.random.default_rng(seed).integers(0, 256, (count * tubelet, rows * patch, columns * patch, 3), np.uint8)
    units = frames_to_patches(frames, patch, tubelet)
    assert units.shape == (count * rows * columns, tubelet * patch * patch * 3)
    assert units.dtype == np.float32
    assert -1 <= units.min() <= units.max() <= 1
    assert np.array_equal(patches_to_frames(units, grid, tubelet), frames)


@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    count=st.integers(1, 32),
    size=st.integers(1, 300),
    patch=st.integers(1, 32),
    most=st.integers(1, 2000),
)
def test_a_grid_keeps_to_its_limits(width: int, height: int, count: int, size: int, patch: int, most: int) -> None:
    rows, columns = clip_grid(width, height, count=count, size=size, patch=patch, max_patches=most)
    assert rows >= 1
    assert columns >= 1
    assert count * rows * columns <= max(most, count)
    assert max(rows, columns) * patch <= max(size, patch)


def test_a_tubelet_is_filled_with_the_last_frame() -> None:
    assert fill_tubelets(CLIP[:5], 4).shape[0] == 8
    assert np.array_equal(fill_tubelets(CLIP[:5], 4)[5:], np.repeat(CLIP[4:5], 3, 0))
    assert fill_tubelets(CLIP, 4) is CLIP


@given(ratio=st.floats(0, 1), shape=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)), tube=st.booleans())
def test_a_random_mask_has_its_share(ratio: float, shape: tuple[int, int, int], tube: bool) -> None:
    mask = random_mask(shape, ratio, np.random.default_rng(0), tube=tube).reshape(shape)
    whole = shape[1] * shape[2] if tube else mask.size
    wanted = min(whole, int(np.ceil(ratio * whole - 1e-9)))
    assert mask.sum() == wanted * (shape[0] if tube else 1)
    if tube:
        assert (mask == mask[0]).all()


@pytest.mark.parametrize(("ratio", "inside"), [(0.0, 0), (0.5, 8), (1.0, 16)])
def test_the_middle_of_every_frame_is_masked(ratio: float, inside: int) -> None:
    frames = np.full((4, 16, 16, 3), 255, np.uint8)
    units = mask_centre(frames_to_patches(frames, 4, 2), (2, 4, 4), ratio, tubelet=2)
    grey = (patches_to_frames(units, (2, 4, 4), 2) == 128).all(-1)
    assert (grey.sum((1, 2)) == inside * inside).all()
    start = (16 - inside) // 2
    assert grey[:, start : start + inside, start : start + inside].all()


def test_a_mask_is_the_one_that_is_named() -> None:
    units = frames_to_patches(np.full((4, 16, 16, 3), 255, np.uint8), 4, 2)

    def made(mask: Literal["random", "tube", "centre"]) -> np.ndarray:
        return masked(units, (2, 4, 4), np.random.default_rng(0), ratio=0.5, mask=mask, tubelet=2)

    for mask in ("random", "tube"):
        places = random_mask((2, 4, 4), 0.5, np.random.default_rng(0), tube=mask == "tube")
        assert np.array_equal(made(mask), mask_patches(units, places))
    assert np.array_equal(made("centre"), mask_centre(units, (2, 4, 4), 0.5, tubelet=2))


INSTRUCTION = "[VIDEO:clip{}] what happens? -> [TEXT:label]"


@pytest.fixture
def encode(make_run: Callable[..., Any]) -> Callable[..., Any]:
    def encoded(attributes: str = "", split: str = "train", seed: int = 0, clip: object = CLIP) -> Any:
        run = make_run({"t": INSTRUCTION.format(attributes)})
        row = {"clip": clip, "label": "the cat"}
        return run, run.encode("t", row, split=split, rng=np.random.default_rng(seed))

    return encoded


def test_a_clip_becomes_a_segment_whose_tokens_stand_in_a_grid(encode: Callable[..., Any]) -> None:
    run, example = encode(",num_frames=4,patch=8,tubelet=2")
    segment = example.source[0]
    assert segment.shape == segment.layout == (2, 2, 3)
    assert segment.units.shape == (12, 2 * 8 * 8 * 3)
    view = unpack(run.encoder.pack([example]), run.encoder)[0].source[0]
    assert isinstance(view.value, Video)
    assert np.array_equal(view.value.frames, CLIP[[1, 3, 5, 7]])
    assert view.value.sheet().size == (4 * 24, 16)


def test_frames_are_shrunk_at_their_own_aspect_ratio(encode: Callable[..., Any]) -> None:
    clip = np.zeros((2, 120, 240, 3), np.uint8)
    assert encode(",num_frames=2,tubelet=1,size=32,patch=4", clip=clip)[1].source[0].shape == (2, 4, 8)
    assert encode(",num_frames=2,tubelet=1,size=64,patch=4,max_patches=64", clip=clip)[1].source[0].shape == (2, 4, 8)


def test_masks_hold_in_training_alone_but_where_the_clip_is_asked_for(make_run: Callable[..., Any]) -> None:
    run = make_run({"t": INSTRUCTION.format(",mask_ratio=0.5,num_frames=2,tubelet=1,patch=8")})
    row = {"clip": CLIP, "label": "the cat"}

    def share(split: str) -> float:
        return float((run.encode("t", row, split=split).source[0].units == 0).all(1).mean())

    assert share("train") == 0.5
    assert share("valid") == share("infer") == 0.0


def test_windows_are_drawn_from_the_rows_own_generator(encode: Callable[..., Any]) -> None:
    clip = np.repeat(np.arange(100, dtype=np.uint8)[:, None, None, None], 8, 1) * np.ones((1, 1, 8, 3), np.uint8)

    def first(split: str, seed: int) -> float:
        return float(encode(",fps=5,num_frames=4,tubelet=1", split, seed, clip)[1].source[0].units[0, 0])

    assert len({first("train", seed) for seed in range(8)}) > 4
    assert first("train", 3) == first("train", 3)
    assert len({first("valid", seed) for seed in range(4)}) == 1


def test_a_window_behind_the_end_of_a_clip_is_a_bad_row(encode: Callable[..., Any]) -> None:
    assert encode(",fps=25,num_frames=4,start=0.3")[1].source[0].shape[0] == 1
    with pytest.raises(SampleError, match=r"column `clip`: the clip ends at 0\.32 s, before the start at 5 s"):
        encode(",fps=25,num_frames=4,start=5")


def test_a_film_is_encoded_from_its_path(encode: Callable[..., Any], fixtures: Path) -> None:
    pytest.importorskip("av")
    example = encode(",num_frames=6", clip=str(fixtures / "street.mp4"))[1]
    assert example.source[0].shape == (3, 6, 8)
