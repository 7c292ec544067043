"""Hand-written gradients equal numerical ones; rotary coordinates turn what they should."""

from __future__ import annotations

import pytest
import torch
from ofa_models.adaptors.patches import place_features
from ofa_models.functional import gated_silu, rms_norm, split_heads
from ofa_models.generalist.rotary import rotation


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)


def test_gradients():
    cis = rotation(torch.randint(0, 50, (3, 3)), 8, 100.0, torch.float64)
    assert torch.autograd.gradcheck(rms_norm, (draw(3, 8),))
    assert torch.autograd.gradcheck(gated_silu, (draw(3, 8),))
    assert torch.autograd.gradcheck(lambda x: split_heads(x, cis, sections="qkv", num_heads=2), (draw(3, 48),))
    assert torch.autograd.gradcheck(lambda x: split_heads(x, None, sections="kv", num_heads=2), (draw(3, 32),))


def test_rotated_products_depend_on_differences_alone():
    x = draw(2, 16).detach()

    def product(places):
        cis = rotation(torch.tensor(places), 16, 100.0, torch.float64)
        first, second = split_heads(x, cis, sections="q", num_heads=1)[0]
        return (first * second).sum()

    here, there = product([[3, 9, 4], [1, 2, 8]]), product([[20, 26, 21], [18, 19, 25]])
    torch.testing.assert_close(here, there)
    assert (here - product([[3, 10, 4], [1, 2, 8]])).abs() > 1e-3


def test_every_coordinate_turns_some_channels():
    still = rotation(torch.zeros(1, 3, dtype=torch.int64), 32, 100.0, torch.float32)
    for coordinate in range(3):
        place = torch.zeros(1, 3, dtype=torch.int64)
        place[0, coordinate] = 5
        assert (rotation(place, 32, 100.0, torch.float32) != still).sum() >= 5


def test_heads_come_out_with_unit_root_mean_square():
    q, k, v = split_heads(draw(5, 48), None, sections="qkv", num_heads=2)
    for x in (q, k):
        torch.testing.assert_close(x.square().mean(-1), torch.ones(5, 2, dtype=torch.float64), rtol=1e-3, atol=1e-3)
    assert v.shape == (5, 2, 8)


def test_place_features_do_not_depend_on_the_batch():
    alone = place_features(torch.tensor([[3, 5]]), 6)
    together = place_features(torch.tensor([[2, 2], [3, 5], [1, 1]]), 6)
    assert torch.equal(alone, together[4:19])
    assert len(alone.unique(dim=0)) == 15


def test_places_of_a_clip_are_those_of_its_frames_with_their_time():
    features = place_features(torch.tensor([[3, 2, 4]]), 2, torch.float64)
    frame = place_features(torch.tensor([[2, 4]]), 2, torch.float64)
    assert features.shape == (24, 3 + 1 + 2 * 3 * 2)
    assert features[:, 0].view(3, 8)[:, 0].tolist() == pytest.approx([-2 / 3, 0, 2 / 3])
    for time in range(3):
        part = features[8 * time : 8 * time + 8]
        torch.testing.assert_close(part[:, 1:4], frame[:, :3])
        torch.testing.assert_close(part[:, [6, 7, 8, 9, 12, 13, 14, 15]], frame[:, 3:])
