"""The kernel ``sdpa``: rows of nearly equal length run together, short ones as plain products, long ones through SDPA.

Packed tokens are gathered into groups of rows, each group padded to its longest row where that costs less than
one more group. Indices are computed once per mask. The short path has its gradient written by hand: a token
occurs once, so gradients are gathered back too and nothing is ever added by index.

    # T packed query tokens, S packed key tokens, N heads, H head width
    # G rows of a group, Q and K its longest row in queries and keys, P padded tokens of all groups
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ofa_models.attention.mask import RowMask
from ofa_models.functional import apply

Int64 = NDArray[np.int64]

SHORT_LIMIT = {torch.float32: 200, torch.float64: 200, torch.bfloat16: 600, torch.float16: 600}
"""Longest row, in keys, that plain products win on a CPU (measured; float16 by analogy)."""
GROUP_COST = 12_000
"""What one more group costs, in scores (one product of a query and a key of one head): about 0.15 ms of calls."""
GROUP_SCORES = 1 << 20
"""Most scores of one group: keeps a group inside the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Rows that run together. Slices are into the padded layout ``[(P · N), H]`` of queries and of keys."""

    rows: Int64
    num_rows: int
    q_length: int
    k_length: int
    q_start: int
    k_start: int
    bias: Tensor | None  # float, broadcastable to [G·N, Q, K]: -inf where a query does not see a key


class RowwiseAttention:
    """Row-wise attention over packed tokens."""

    kind = "sdpa"

    def __init__(self, mask: RowMask, *, num_heads: int, dtype: torch.dtype, device: torch.device) -> None:
        self.mask = mask
        q_lengths, k_lengths, causal = (x.numpy() for x in (mask.q_lengths, mask.k_lengths, mask.causal))
        active = (q_lengths > 0) & (k_lengths > 0)
        short = active & (k_lengths <= SHORT_LIMIT[dtype])
        self._short = _ShortPlan(mask, np.flatnonzero(short), num_heads, dtype, device)
        self._long = _long_groups(q_lengths, k_lengths, causal, np.flatnonzero(active & ~short), device)

    def __call__(self, q_TNH: Tensor, k_SNH: Tensor, v_SNH: Tensor) -> Tensor:
        """``[T, N, H]``."""
        with torch.autocast(q_TNH.device.type, enabled=False):
            out = cast(Tensor, apply(_ShortAttention, q_TNH, k_SNH, v_SNH, self._short))
        if not self._long:
            return out
        parts = [group.attend(q_TNH, k_SNH, v_SNH) for group in self._long]
        index = torch.cat([group.q_index.flatten() for group in self._long])
        return out.index_copy(0, index, torch.cat(parts).to(out.dtype))


class _ShortPlan:
    """Groups of short rows and the indices between the packed and the padded layout."""

    def __init__(self, mask: RowMask, rows: Int64, num_heads: int, dtype: torch.dtype, device: torch.device) -> None:
        q_lengths, k_lengths, causal = (x.numpy() for x in (mask.q_lengths, mask.k_lengths, mask.causal))
        self.num_heads = num_heads
        self.groups: list[_Group] = []
        q_layout, k_layout = _Layout(q_lengths, num_heads), _Layout(k_lengths, num_heads)
        for members in _group_rows(q_lengths, k_lengths, causal, rows, num_heads):
            q_start, q_length, _ = q_layout.add(members)
            k_start, k_length, k_padded = k_layout.add(members)
            bias = None
            if causal[members[0]]:
                bias = torch.full((k_length, k_length), -torch.inf).triu_(1)[None]
            elif k_padded is not None:
                bias = torch.zeros(len(members), num_heads, 1, k_length)
                bias.masked_fill_(torch.from_numpy(k_padded)[:, None, None, :], -torch.inf)
                bias = bias.view(-1, 1, k_length)
            self.groups.append(
                _Group(
                    rows=members,
                    num_rows=len(members),
                    q_length=q_length,
                    k_length=k_length,
                    q_start=q_start,
                    k_start=k_start,
                    bias=None if bias is None else bias.to(device, dtype),
                )
            )
        self.q_gather, self.q_pad, self.q_back = q_layout.finish(device)
        self.k_gather, self.k_pad, self.k_back = (
            (self.q_gather, self.q_pad, self.q_back) if mask.k_lengths is mask.q_lengths else k_layout.finish(device)
        )


class _Layout:
    """Builds the padded layout of one side: group after group, in each [G, N, length], padded places filled with token 0."""

    def __init__(self, lengths: Int64, num_heads: int) -> None:
        self.lengths = lengths
        self.starts = np.cumsum(lengths) - lengths
        self.num_heads = num_heads
        self.parts: list[Int64] = []
        self.size = 0

    def add(self, members: Int64) -> tuple[int, int, NDArray[np.bool_] | None]:
        """Append a group; return its start, its length and where it is padded (``[G, length]``; None: nowhere)."""
        start, lengths = self.size, self.lengths[members]
        longest = int(lengths.max())
        place = np.arange(longest)
        token = self.starts[members, None] + place
        padded = place >= lengths[:, None]
        token[padded] = -1
        index = token[:, None, :] * self.num_heads + np.arange(self.num_heads)[:, None]
        index[np.broadcast_to(padded[:, None, :], index.shape)] = -1
        self.parts.append(index.ravel())
        self.size += index.size
        return start, longest, padded if padded.any() else None

    def finish(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """gather ``[P·N]`` into the packed ``[T·N]``, the padded places among them, and the way back ``[T·N]``.

        Tokens of no group go back to place P·N, a row of zeros.
        """
        gather = np.concatenate([*self.parts, np.zeros(0, np.int64)])
        real = gather >= 0
        back = np.full(int(self.lengths.sum()) * self.num_heads, self.size, np.int64)
        back[gather[real]] = np.flatnonzero(real)
        pad = np.flatnonzero(~real)
        return tuple(torch.from_numpy(x).to(device) for x in (np.maximum(gather, 0), pad, back))  # type: ignore[return-value]


def _group_rows(q_lengths: Int64, k_lengths: Int64, causal: NDArray[np.bool_], rows: Int64, num_heads: int) -> list[Int64]:
    """Cut rows, sorted by causality and lengths, into groups of least total cost (shortest path over the cuts)."""
    groups: list[Int64] = []
    for flag in (False, True):
        chosen = rows[causal[rows] == flag]
        if not len(chosen):
            continue
        q, k = q_lengths[chosen], k_lengths[chosen]
        chosen = chosen[np.lexsort((k, np.ceil(np.log2(q) * 2) if not np.array_equal(q, k) else q))]
        q, k = q_lengths[chosen], k_lengths[chosen]
        groups.extend(chosen[start:stop] for start, stop in _cuts(q, k, num_heads))
    return groups


def _cuts(q: Int64, k: Int64, num_heads: int) -> list[tuple[int, int]]:
    change = np.flatnonzero((np.diff(q) != 0) | (np.diff(k) != 0)) + 1
    edges = np.concatenate([[0], change, [len(q)]])  # a group starts and stops where the lengths change
    best = np.zeros(len(edges))
    came_from = np.zeros(len(edges), np.int64)
    q_run, k_run = q[edges[:-1]], k[edges[:-1]]
    for stop in range(1, len(edges)):
        q_longest = np.maximum.accumulate(q_run[:stop][::-1])[::-1]
        k_longest = np.maximum.accumulate(k_run[:stop][::-1])[::-1]
        count = (edges[stop] - edges[:stop]) * num_heads
        cost = best[:stop] + GROUP_COST + count * (q_longest * k_longest + 8 * (q_longest + k_longest))
        came_from[stop] = int(cost.argmin())
        best[stop] = cost[came_from[stop]]
    cuts: list[tuple[int, int]] = []
    stop = len(edges) - 1
    while stop > 0:
        start = int(came_from[stop])
        first, last = int(edges[start]), int(edges[stop])
        area = int(q[first:last].max() * k[first:last].max()) * num_heads
        step = max(1, GROUP_SCORES // area)
        cuts.extend((at, min(at + step, last)) for at in range(first, last, step))
        stop = start
    return cuts


class _ShortAttention(torch.autograd.Function):
    """Products and softmax over all groups; probabilities are kept for the way back."""

    @staticmethod
    def forward(ctx: Any, q_TNH: Tensor, k_SNH: Tensor, v_SNH: Tensor, plan: _ShortPlan) -> Tensor:
        N = q_TNH.shape[1]
        q_PH, k_PH, v_PH = (
            x.flatten(0, 1).index_select(0, gather)
            for x, gather in ((q_TNH, plan.q_gather), (k_SNH, plan.k_gather), (v_SNH, plan.k_gather))
        )
        out = _with_zero_row(q_PH, v_PH.shape[1])
        probabilities: list[Tensor] = []
        for group in plan.groups:
            q, k, v, o = (_cut(x, group, N, queries) for x, queries in ((q_PH, True), (k_PH, False), (v_PH, False), (out, True)))
            p = _scores(q, k, group.bias).softmax(-1)
            torch.bmm(p, v, out=o)
            probabilities.append(p)
        ctx.save_for_backward(q_PH, k_PH, v_PH, *probabilities)
        ctx.plan, ctx.shapes = plan, (q_TNH.shape, k_SNH.shape, v_SNH.shape)
        return out.index_select(0, plan.q_back).view(*q_TNH.shape[:2], v_SNH.shape[2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TNH: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q_PH, k_PH, v_PH, *probabilities = ctx.saved_tensors
        plan: _ShortPlan = ctx.plan
        N, H = grad_TNH.shape[1], q_PH.shape[1]
        grad_PH = grad_TNH.flatten(0, 1).index_select(0, plan.q_gather).index_fill_(0, plan.q_pad, 0)
        dq_PH, dk_PH, dv_PH = _with_zero_row(q_PH), _with_zero_row(k_PH), _with_zero_row(v_PH)
        for group, p in zip(plan.groups, probabilities, strict=True):
            q, do, dq = (_cut(x, group, N, True) for x in (q_PH, grad_PH, dq_PH))
            k, v, dk, dv = (_cut(x, group, N, False) for x in (k_PH, v_PH, dk_PH, dv_PH))
            torch.bmm(p.transpose(1, 2), do, out=dv)
            dp = torch.bmm(do, v.transpose(1, 2))
            ds = torch._softmax_backward_data(dp, p, -1, p.dtype).mul_(H**-0.5)
            torch.bmm(ds, k, out=dq)
            torch.bmm(ds.transpose(1, 2), q, out=dk)
        backs = (plan.q_back, plan.k_back, plan.k_back)
        dq, dk, dv = (
            x.index_select(0, back).view(shape) for x, back, shape in zip((dq_PH, dk_PH, dv_PH), backs, ctx.shapes, strict=True)
        )
        return dq, dk, dv, None


def _scores(q: Tensor, k: Tensor, bias: Tensor | None) -> Tensor:
    """``[G·N, Q, K]``: q · k / √H, with the bias where there is one."""
    scale = q.shape[-1] ** -0.5
    if bias is None:
        return torch.bmm(q, k.transpose(1, 2)).mul_(scale)
    return torch.baddbmm(bias.expand(q.shape[0], q.shape[1], k.shape[1]), q, k.transpose(1, 2), alpha=scale)


def _with_zero_row(x_PH: Tensor, width: int | None = None) -> Tensor:
    """An empty tensor with one row more, the last one zeros: where tokens of no group go back to."""
    out = x_PH.new_empty(x_PH.shape[0] + 1, x_PH.shape[1] if width is None else width)
    out[-1].zero_()
    return out


def _cut(x_PH: Tensor, group: _Group, num_heads: int, queries: bool) -> Tensor:
    """The group's ``[G·N, length, H]``, a view."""
    start, length = (group.q_start, group.q_length) if queries else (group.k_start, group.k_length)
    batch = group.num_rows * num_heads
    return x_PH[start : start + batch * length].view(batch, length, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LongGroup:
    """Long rows of exactly equal lengths, through ``scaled_dot_product_attention``."""

    q_index: Tensor  # int64 [G, Q]
    k_index: Tensor  # int64 [G, K]
    causal: bool

    def attend(self, q_TNH: Tensor, k_SNH: Tensor, v_SNH: Tensor) -> Tensor:
        """``[G · Q, N, H]``."""
        q, k, v = (
            x.index_select(0, index.flatten()).view(*index.shape, *x.shape[1:]).transpose(1, 2)
            for x, index in ((q_TNH, self.q_index), (k_SNH, self.k_index), (v_SNH, self.k_index))
        )
        return F.scaled_dot_product_attention(q, k, v, is_causal=self.causal).transpose(1, 2).flatten(0, 1)


def _long_groups(
    q_lengths: Int64, k_lengths: Int64, causal: NDArray[np.bool_], rows: Int64, device: torch.device
) -> Sequence[_LongGroup]:
    by_shape: dict[tuple[int, int, bool], list[int]] = {}
    for row in rows.tolist():
        by_shape.setdefault((int(q_lengths[row]), int(k_lengths[row]), bool(causal[row])), []).append(row)
    q_starts, k_starts = np.cumsum(q_lengths) - q_lengths, np.cumsum(k_lengths) - k_lengths
    return [
        _LongGroup(
            q_index=torch.from_numpy(q_starts[members, None] + np.arange(q)).to(device),
            k_index=torch.from_numpy(k_starts[members, None] + np.arange(k)).to(device),
            causal=is_causal,
        )
        for (q, k, is_causal), members in by_shape.items()
    ]
