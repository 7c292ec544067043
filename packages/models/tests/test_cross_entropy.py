"""Chunked cross entropy equals torch's, gradients included."""

from __future__ import annotations

import importlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_models import cross_entropy
from torch.nn import functional as F

module = importlib.import_module("ofa_models.cross_entropy")


def make(num_labels, dtype=torch.float64, width=6, vocabulary=11, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(num_labels, width, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, width, generator=generator, dtype=dtype, requires_grad=True)
    labels = torch.randint(0, vocabulary, (num_labels,), generator=generator)
    scale = torch.rand(num_labels, generator=generator, dtype=dtype)
    return hidden, weight, labels, scale


@given(num_labels=st.integers(0, 9), width=st.integers(1, 6), chunk=st.integers(1, 40), smoothing=st.sampled_from([0.0, 0.1]))
@settings(max_examples=60, deadline=None)
def test_it_equals_torch_in_any_chunks(num_labels, width, chunk, smoothing):
    hidden, weight, labels, scale = make(num_labels, width=width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_LOGITS", chunk)
        loss, losses = cross_entropy(hidden, weight, labels, scale, label_smoothing=smoothing)
    got = torch.autograd.grad(loss * 3, (hidden, weight))
    plain = F.cross_entropy(hidden @ weight.T, labels, reduction="none", label_smoothing=smoothing)
    wanted = torch.autograd.grad((plain * scale).sum() * 3, (hidden, weight))
    torch.testing.assert_close(losses, plain.detach())
    torch.testing.assert_close(loss, (plain * scale).sum())
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize(
    ("num_labels", "vocabulary", "width"), [(1000, 50_000, 128), (1000, 50_000, 700), (5, 1 << 24, 2), (0, 9, 3)]
)
def test_chunks_cover_every_label_once_and_hold_no_more_logits_than_allowed(num_labels, vocabulary, width):
    chunks = list(module._chunks(num_labels, vocabulary, width))
    assert [place for chunk in chunks for place in range(num_labels)[chunk]] == list(range(num_labels))
    most = max(module.CHUNK_LOGITS, vocabulary * width)
    assert all((chunk.stop - chunk.start) * vocabulary <= most for chunk in chunks)


def test_very_unlikely_labels_keep_their_loss():
    hidden = torch.tensor([[200.0]], requires_grad=True)
    loss, losses = cross_entropy(hidden, torch.tensor([[1.0], [-1.0]]), torch.tensor([1]), torch.ones(1))
    assert losses.tolist() == [400.0]
    assert torch.autograd.grad(loss, hidden)[0].item() == 2.0


def test_a_block_leaves_other_ids_out():
    hidden, weight, labels, scale = make(7)
    labels = labels % 4 + 3
    loss, losses = cross_entropy(hidden, weight, labels, scale, block=range(3, 8))
    plain = F.cross_entropy((hidden @ weight.T)[:, 3:8], labels - 3, reduction="none")
    torch.testing.assert_close(losses, plain.detach())
    wanted = torch.autograd.grad((plain * scale).sum(), (hidden, weight))
    torch.testing.assert_close(torch.autograd.grad(loss, (hidden, weight)), wanted)


def test_soft_labels_are_a_normal_distribution_over_the_block():
    hidden, weight, labels, scale = make(7)
    labels = labels % 4 + 3
    loss, losses = cross_entropy(hidden, weight, labels, scale, block=range(3, 8), sigma=1.5)
    distance = (torch.arange(3, 8) - labels[:, None]).double()
    wanted_LB = torch.softmax(-distance.square() / (2 * 1.5**2), 1)
    plain = F.cross_entropy((hidden @ weight.T)[:, 3:8], wanted_LB, reduction="none")
    torch.testing.assert_close(losses, plain.detach())
    wanted = torch.autograd.grad((plain * scale).sum(), (hidden, weight))
    torch.testing.assert_close(torch.autograd.grad(loss, (hidden, weight)), wanted)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}, {"block": range(2, 9), "sigma": 1.0}])
def test_gradcheck(options):
    hidden, weight, labels, scale = make(5)
    labels = labels % 7 + 2
    assert torch.autograd.gradcheck(lambda h, w: cross_entropy(h, w, labels, scale, **options)[0], (hidden, weight))


def test_bfloat16_states_give_float32_losses_and_weight_gradients():
    hidden, weight, labels, scale = make(40, torch.float32, width=16)
    loss, losses = cross_entropy(hidden.bfloat16(), weight, labels, scale)
    plain = F.cross_entropy(hidden @ weight.T, labels, reduction="none")
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, plain.detach(), rtol=0.05, atol=0.05)
    (gradient,) = torch.autograd.grad(loss, weight)
    (wanted,) = torch.autograd.grad((plain * scale).sum(), weight)
    assert gradient.dtype == torch.float32
    assert (gradient - wanted).norm() < 0.02 * wanted.norm()


def test_without_gradients_none_are_computed():
    hidden, weight, labels, scale = make(4)
    with torch.no_grad():
        loss, losses = cross_entropy(hidden, weight, labels, scale)
    assert not loss.requires_grad
    assert not losses.requires_grad


def test_a_label_outside_is_an_error():
    hidden, weight, labels, scale = make(4)
    with pytest.raises(ValueError, match="outside the 2 ids"):
        cross_entropy(hidden, weight, labels + 5, scale, block=range(0, 2))
    with pytest.raises(ValueError, match="soft labels need a block"):
        cross_entropy(hidden, weight, labels, scale, sigma=1.0)
