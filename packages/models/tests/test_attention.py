"""Every kernel equals the reference on every mask."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_models.attention import RowMask, make_attention
from ofa_models.attention import rowwise as rowwise_module

lengths = st.lists(st.integers(0, 12), max_size=9)


@st.composite
def masks(draw: st.DrawFn) -> RowMask:
    """Full, causal and mixed self-attention, and cross-attention, with empty rows."""
    q = draw(lengths)
    if draw(st.booleans()):
        causal = draw(st.lists(st.booleans(), min_size=len(q), max_size=len(q)))
        return RowMask.within(torch.tensor(q, dtype=torch.int64), torch.tensor(causal, dtype=torch.bool))
    k = draw(st.lists(st.integers(0, 12), min_size=len(q), max_size=len(q)))
    return RowMask.across(torch.tensor(q, dtype=torch.int64), torch.tensor(k, dtype=torch.int64))


def run(kind: str, mask: RowMask, seed: int = 0, value_width: int = 8) -> list[torch.Tensor]:
    """The output and the three gradients."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(mask.num_queries, 2, 8), (mask.num_keys, 2, 8), (mask.num_keys, 2, value_width)]
    q, k, v = (torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes)
    kernel = make_attention(kind, mask, num_heads=2, dtype=torch.float64, device=q.device)
    out = kernel(q, k, v)
    weights = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    if not out.requires_grad:  # the reference had no row with keys
        return [out, *(torch.zeros_like(x) for x in (q, k, v))]
    gradients = torch.autograd.grad((out * weights).sum(), (q, k, v), allow_unused=True)
    return [out, *(torch.zeros_like(x) if g is None else g for x, g in zip((q, k, v), gradients, strict=True))]


@given(
    mask=masks(),
    group_cost=st.sampled_from([0, 50, 10**6]),
    group_scores=st.sampled_from([30, 1 << 20]),
    width=st.sampled_from([8, 4]),
)
@settings(max_examples=150, deadline=None)
def test_rowwise_products_equal_the_reference(mask, group_cost, group_scores, width):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rowwise_module, "GROUP_COST", group_cost)
        patch.setattr(rowwise_module, "GROUP_SCORES", group_scores)
        for got, wanted in zip(run("sdpa", mask, value_width=width), run("reference", mask, value_width=width), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


@given(mask=masks(), limit=st.sampled_from([0, 5]))
@settings(max_examples=60, deadline=None)
def test_long_rows_through_sdpa_equal_the_reference(mask, limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(rowwise_module.SHORT_LIMIT, torch.float64, limit)
        for got, wanted in zip(run("sdpa", mask), run("reference", mask), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


@given(mask=masks())
@settings(max_examples=60, deadline=None)
def test_the_reference_equals_dense_attention_under_the_materialised_mask(mask):
    generator = torch.Generator().manual_seed(1)
    shapes = [(size, 2, 8) for size in (mask.num_queries, mask.num_keys, mask.num_keys)]
    q, k, v = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    visible = mask.materialize()
    scores = torch.einsum("tnh,snh->nts", q, k) * 8**-0.5
    p = scores.masked_fill(~visible, -torch.inf).softmax(-1).nan_to_num(0)
    got = make_attention("reference", mask, num_heads=2, dtype=q.dtype, device=q.device)(q, k, v)
    torch.testing.assert_close(got, torch.einsum("nts,snh->tnh", p, v), rtol=1e-10, atol=1e-10)


def test_groups_leave_little_padding_and_few_calls():
    generator = torch.Generator().manual_seed(0)
    q_lengths = torch.randint(5, 111, (200,), generator=generator)
    mask = RowMask.within(q_lengths, torch.zeros(200, dtype=torch.bool))
    kernel = make_attention("sdpa", mask, num_heads=2, dtype=torch.float32, device=torch.device("cpu"))
    groups = kernel._short.groups  # type: ignore[attr-defined]
    computed = sum(group.num_rows * group.q_length * group.k_length for group in groups)
    assert len(groups) < 25
    assert computed < 1.3 * int(q_lengths.square().sum())


def test_a_causal_row_must_be_square():
    with pytest.raises(ValueError, match="as many keys as queries"):
        RowMask(q_lengths=torch.tensor([2]), k_lengths=torch.tensor([3]), causal=torch.tensor([True]))
