"""The xformers path without a GPU: its masks equal ours, and its operators object to nothing but the device."""

from __future__ import annotations

import pytest
import torch
from ofa_models.attention import RowMask
from ofa_models.plans import SIZES

pytest.importorskip("xformers", reason="the extra `xformers` is not installed", exc_type=ImportError)

from ofa_models.attention.xformers import XformersAttention, plan_calls

LENGTHS = torch.tensor([3, 0, 7, 1, 110, 16])
MASKS = {
    "full": RowMask.within(LENGTHS, torch.zeros(6, dtype=torch.bool)),
    "causal": RowMask.within(LENGTHS, torch.ones(6, dtype=torch.bool)),
    "mixed": RowMask.within(LENGTHS, torch.tensor([True, False, False, True, True, False])),
    "cross": RowMask.across(torch.tensor([2, 4, 0, 5, 3, 1]), LENGTHS),
}
ALLOWED = ("device=cpu (supported: {'cuda'})", "bf16 is only supported on A100+ GPUs", "operator wasn't built")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_operators_object_to_nothing_but_the_device(mask, size, dtype):
    heads = (SIZES[size].num_heads, SIZES[size].head_width)
    q = torch.zeros(mask.num_queries, *heads, dtype=dtype)
    k = torch.zeros(mask.num_keys, *heads, dtype=dtype)
    reasons = XformersAttention(mask, device=torch.device("cpu")).not_supported_reasons(q, k, k)
    assert set(reasons) == {"cutlass.FwOp", "cutlass.BwOp", "flash.FwOp", "flash.BwOp"}
    for operator, told in reasons.items():
        assert any(reason.startswith(ALLOWED[0]) for reason in told), operator
        assert [reason for reason in told if not reason.startswith(ALLOWED)] == [], operator


def test_a_wrong_head_width_would_be_told():
    q = torch.zeros(MASKS["full"].num_queries, 2, 12, dtype=torch.float16)
    reasons = XformersAttention(MASKS["full"], device=torch.device("cpu")).not_supported_reasons(q, q, q)
    assert any("shape[-1] % 8" in reason for reason in reasons["flash.FwOp"])


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_materialised_masks_equal_ours(mask):
    visible = torch.zeros(mask.num_queries, mask.num_keys, dtype=torch.bool)
    for call in plan_calls(mask, torch.device("cpu")):
        q = torch.arange(mask.num_queries) if call.q_index is None else call.q_index
        k = torch.arange(mask.num_keys) if call.k_index is None else call.k_index
        visible[q[:, None], k] = call.bias.materialize((len(q), len(k))) == 0
    assert torch.equal(visible, mask.materialize())


def test_rows_of_one_kind_are_not_moved():
    full = RowMask.within(torch.tensor([3, 2]), torch.zeros(2, dtype=torch.bool))
    (call,) = plan_calls(full, torch.device("cpu"))
    assert call.q_index is None
    assert call.k_index is None


def test_float64_is_refused_with_the_way_out():
    q = torch.zeros(MASKS["full"].num_queries, 2, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match="use `sdpa`"):
        XformersAttention(MASKS["full"], device=torch.device("cpu"))(q, q, q)
