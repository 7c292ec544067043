"""Adaptors of motion: items are not mixed, noise is mixed in as the library does it, hidden frames are told."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from ofa_models.adaptors.motion import MotionAdaptor, MotionDiffusionAdaptor, level_features, time_features
from ofa_models.noise import Noise, sampling_scheduler
from ofa_models.specs import MotionAdaptorOptions, MotionDiffusionOptions

SHAPES = torch.tensor([[3], [5]])


def adaptor() -> MotionDiffusionAdaptor:
    torch.manual_seed(0)
    return MotionDiffusionAdaptor(MotionDiffusionOptions(), 9, 16).double()


def units(seed: int) -> torch.Tensor:
    return torch.randn(8, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_items_are_not_mixed() -> None:
    made = adaptor()
    frames, noise, times = units(1), units(2), torch.tensor([0.1, 0.8])
    both = made.embed_noisy(frames, SHAPES, noise, times)
    assert both.shape == (8, 16)
    assert torch.allclose(both[:3], made.embed_noisy(frames[:3], SHAPES[:1], noise[:3], times[:1]))
    assert torch.allclose(both[3:], made.embed_noisy(frames[3:], SHAPES[1:], noise[3:], times[1:]))
    read = MotionAdaptor(MotionAdaptorOptions(), 9, 16).double()
    assert torch.allclose(read.embed(frames, SHAPES)[3:], read.embed(frames[3:], SHAPES[1:]))


def test_mixed_units_are_what_a_mixture_looks_like() -> None:
    made = adaptor()
    frames, noise, times = units(1), units(2), torch.tensor([0.25, 0.75])
    levels = made.noise.levels(times)
    assert levels.tolist() == [250, 750]
    share = (
        sampling_scheduler(MotionDiffusionOptions(), 10).alphas_cumprod[levels].double().repeat_interleave(SHAPES[:, 0])[:, None]
    )
    mixed = share.sqrt() * frames + (1 - share).sqrt() * noise
    assert torch.allclose(made.embed_noisy(frames, SHAPES, noise, times), made.embed_noisy(mixed, SHAPES, None, times), atol=1e-6)


def test_how_noisy_units_are_matters() -> None:
    made = adaptor()
    one, other = (made.embed_noisy(units(1), SHAPES, None, torch.tensor([time, time])) for time in (0.1, 0.9))
    assert not torch.allclose(one, other)


def test_a_frame_of_zeros_is_hidden_where_it_is_read_and_a_frame_where_it_is_noisy() -> None:
    made = adaptor()
    frames = units(1)
    frames[1] = 0
    with torch.no_grad():
        before, noisy = made.embed(frames, SHAPES), made.embed_noisy(frames, SHAPES, None, torch.zeros(2))
        made.frames.hidden += 1
        after, noisy_after = made.embed(frames, SHAPES), made.embed_noisy(frames, SHAPES, None, torch.zeros(2))
    assert (before != after).any(1).nonzero().flatten().tolist() == [1]
    assert torch.equal(noisy, noisy_after)


def test_clean_frames_are_read_in_float32() -> None:
    made = adaptor().float()
    with torch.autocast("cpu", torch.bfloat16):
        output = made.read(torch.randn(4, 16))
    assert output.frames.shape == (4, 9)
    assert output.frames.dtype == torch.float32
    assert output.stop_logits is None


def test_times_and_levels_are_told_apart() -> None:
    features = time_features(torch.tensor([[4], [4], [2]]), 3)
    assert torch.equal(features[:4], features[4:8])
    assert len({tuple(row) for row in features[:4].tolist()}) == 4
    assert features[8:, 1].unique().item() == pytest.approx(0.6931, abs=1e-4)
    assert level_features(torch.arange(1000), 7).unique(dim=0).shape == (1000, 7)


@pytest.mark.parametrize("count", [2, 10, 1000])
def test_every_level_is_that_of_its_time(count: int) -> None:
    noise = Noise(MotionDiffusionOptions(noise_levels=count))
    levels = torch.arange(count)
    times = torch.tensor([noise.time_of(level) for level in levels.tolist()])
    assert torch.equal(noise.levels(times), levels)
    assert noise.levels(torch.tensor([0.0, 0.9999999])).tolist() == [0, count - 1]


def test_a_width_must_be_known() -> None:
    with pytest.raises(ValueError, match="width of its units"):
        MotionAdaptor(MotionAdaptorOptions(), None, 16)


def test_the_library_of_schedules_is_imported_where_it_is_used() -> None:
    code = "import sys, ofa_models.adaptors.motion, ofa_models.session; sys.exit('diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
