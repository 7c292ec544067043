"""Adaptors of sound: lengths are those that the specs say, items never mix, and equal the plain convolutions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_models.adaptors.audio import AudioConvAdaptor, AudioFramesAdaptor, ItemConvolution
from ofa_models.specs import AUDIO_CONV, AUDIO_FRAMES, AudioConvOptions, AudioFramesOptions
from torch import Tensor

COUNTS = st.lists(st.integers(1, 12), min_size=1, max_size=5)


def plain_convolution(layer: ItemConvolution, item: Tensor) -> Tensor:
    """torch's own, with zeros beyond the item's ends."""
    channels = item.shape[1]
    weight = layer.linear.weight.view(-1, layer.kernel, channels).transpose(1, 2)
    return F.conv1d(item.T[None], weight, layer.linear.bias, layer.stride, layer.kernel // 2)[0].T


@settings(max_examples=40, deadline=None)
@given(counts=COUNTS, kernel=st.sampled_from([1, 3, 5, 7]), stride=st.integers(1, 4))
def test_convolutions_are_torchs_item_by_item(counts: list[int], kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = ItemConvolution(3, 4, kernel, stride).double()
    x = torch.randn(sum(counts), 3, dtype=torch.float64)
    found, out_counts = layer(x, torch.tensor(counts))
    wanted = [plain_convolution(layer, item) for item in x.split(counts)]
    assert out_counts.tolist() == [len(item) for item in wanted]
    torch.testing.assert_close(found, torch.cat(wanted))


@settings(max_examples=40, deadline=None)
@given(counts=COUNTS, first=st.integers(1, 3), second=st.integers(1, 3))
def test_tokens_are_as_many_as_the_spec_says_and_items_never_mix(counts: list[int], first: int, second: int) -> None:
    options = AudioConvOptions(first_stride=first, second_stride=second)
    torch.manual_seed(0)
    adaptor = AudioConvAdaptor(options, 6, 8)
    units = torch.randn(sum(counts), 6)
    lengths = [AUDIO_CONV.layout(options, (count,)).num_tokens for count in counts]
    together = adaptor.embed(units, torch.tensor(counts)[:, None])
    assert len(together) == sum(lengths)
    alone = [adaptor.embed(item, torch.tensor([[len(item)]])) for item in units.split(counts)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_the_default_is_a_token_for_four_units() -> None:
    shapes = [AUDIO_CONV.layout(AUDIO_CONV.options(), (count,)).shape for count in (1, 4, 5, 9, 113)]
    assert shapes == [(1,), (1,), (2,), (3,), (29,)]
    with pytest.raises(ValueError, match="a line of units"):
        AUDIO_CONV.layout(AUDIO_CONV.options(), (2, 3))
    with pytest.raises(ValueError, match="odd"):
        AudioConvOptions(kernel=4)


def frames_adaptor(**options: object) -> AudioFramesAdaptor:
    torch.manual_seed(0)
    adaptor = AudioFramesAdaptor(AudioFramesOptions(**options), 12, 16)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in adaptor.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return adaptor


def test_the_prenet_drops_in_training_alone() -> None:
    adaptor = frames_adaptor(frames_per_step=4)
    units, shapes = torch.randn(5, 12), torch.tensor([[5]])
    adaptor.train()
    assert not torch.equal(adaptor.embed(units, shapes), adaptor.embed(units, shapes))
    adaptor.eval()
    assert torch.equal(adaptor.embed(units, shapes), adaptor.embed(units, shapes))
    assert adaptor.embed(units, shapes).shape == (5, 16)


def test_the_prenet_drops_by_the_rows_own_numbers_where_an_answer_is_fed_back() -> None:
    torch.manual_seed(0)
    adaptor = AudioFramesAdaptor(AudioFramesOptions(prenet_width=32, prenet_dropout=0.5), 8, 16).eval()
    units, shapes = torch.randn(4, 8), torch.tensor([[4]])
    assert adaptor.noise_width == 64
    noise = torch.rand(4, 64)
    found = adaptor.embed_answered(units, shapes, noise)
    assert torch.equal(found, adaptor.embed_answered(units, shapes, noise.clone()))
    assert not torch.allclose(found, adaptor.embed_answered(units, shapes, torch.rand(4, 64)))
    nothing = adaptor.embed_answered(units, shapes, torch.zeros(4, 64))
    torch.testing.assert_close(nothing, adaptor.project_in.bias.expand(4, 16))
    assert AudioFramesAdaptor(AudioFramesOptions(prenet_dropout=0), 8, 16).noise_width == 0


def test_the_postnet_begins_as_no_change_and_is_optional() -> None:
    frames, counts = torch.randn(5, 12), torch.tensor([2, 3])
    fresh = AudioFramesAdaptor(AudioFramesOptions(), 12, 16)
    assert torch.equal(fresh.refine(frames, counts), frames)
    assert AudioFramesAdaptor(AudioFramesOptions(postnet_layers=0), 12, 16).refine(frames, counts) is None


def test_the_postnet_works_on_frames_within_items() -> None:
    adaptor = frames_adaptor(n_frames_per_step=4, postnet_width=7, postnet_kernel=3).eval()
    frames = torch.randn(6, 12)
    refined = adaptor.refine(frames, torch.tensor([2, 4]))
    for start, stop in ((0, 2), (2, 6)):
        x = mel = frames[start:stop].reshape(-1, 3)
        for number, layer in enumerate(adaptor.postnet):
            x = plain_convolution(layer, torch.tanh(x) if number else x)
        torch.testing.assert_close(refined[start:stop], (mel + x).reshape(-1, 12))


def test_heads_say_frames_and_a_stop() -> None:
    output = frames_adaptor(frames_per_step=2).read(torch.randn(3, 16))
    assert output.frames.shape == (3, 12)
    assert output.stop_logits.shape == (3,)


def test_units_that_are_not_whole_frames_are_an_error() -> None:
    with pytest.raises(ValueError, match="units of 12 floats are not 5 frames each"):
        frames_adaptor(frames_per_step=5)


@pytest.mark.parametrize("spec", [AUDIO_CONV, AUDIO_FRAMES], ids=lambda spec: spec.name)
def test_specs_load_and_need_the_width_of_units(spec) -> None:
    with pytest.raises(ValueError, match="needs the width of its units"):
        spec.load()(spec.options(), None, 16)
