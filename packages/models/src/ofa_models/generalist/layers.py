"""Layers of the generalist: pre-norm attention and gated MLPs on packed tokens.

    # T packed tokens of a side, S packed memory tokens, D model width, N heads, H head width, M MLP width

Every matrix is a parameter of its own (an optimiser that orthogonalises sees q, k and v apart) and those that read the
same input are joined for one product. Matrices that write to the residual stream start at zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofa_models.attention import PackedAttention
from ofa_models.functional import gated_silu, rms_norm, split_heads


def _matrix(rows: int, columns: int, *, zero: bool = False) -> nn.Parameter:
    return nn.Parameter(torch.zeros(rows, columns) if zero else torch.randn(rows, columns) * columns**-0.5)


def _joint(x: Tensor, *matrices: Tensor) -> Tensor:
    return F.linear(x, torch.cat(matrices))


class SelfAttention(nn.Module):
    """Attention of a side to itself, with rotary positions."""

    def __init__(self, width: int, num_heads: int, head_width: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = num_heads * head_width
        self.q, self.k, self.v = (_matrix(inner, width) for _ in range(3))
        self.out = _matrix(width, inner, zero=True)

    def project(self, x: Tensor, cis: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each ``[T, N, H]``, of residual states ``[T, D]``."""
        joint = _joint(rms_norm(x), self.q, self.k, self.v)
        return split_heads(joint, cis, sections="qkv", num_heads=self.num_heads)

    def forward(self, x: Tensor, cis: Tensor, attention: PackedAttention) -> Tensor:
        """``[T, D]`` to add to the residual stream."""
        return F.linear(attention(*self.project(x, cis)).flatten(1), self.out)


class CrossAttention(nn.Module):
    """Attention of the decoder to the memory, without rotary positions."""

    def __init__(self, width: int, num_heads: int, head_width: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = num_heads * head_width
        self.q, self.k, self.v = (_matrix(inner, width) for _ in range(3))
        self.out = _matrix(width, inner, zero=True)

    def queries(self, x: Tensor) -> Tensor:
        """``[T, N, H]``."""
        return split_heads(F.linear(rms_norm(x), self.q), None, sections="q", num_heads=self.num_heads)[0]

    def keys_values(self, memory: Tensor) -> tuple[Tensor, ...]:
        """Keys and values ``[S, N, H]`` of memory ``[S, D]``, which is normalised already."""
        return split_heads(_joint(memory, self.k, self.v), None, sections="kv", num_heads=self.num_heads)

    def forward(self, x: Tensor, memory: Tensor, attention: PackedAttention) -> Tensor:
        """``[T, D]`` to add to the residual stream."""
        return F.linear(attention(self.queries(x), *self.keys_values(memory)).flatten(1), self.out)


class GatedMlp(nn.Module):
    """SiLU-gated MLP behind its norm."""

    def __init__(self, width: int, mlp_width: int) -> None:
        super().__init__()
        self.gate, self.up = _matrix(mlp_width, width), _matrix(mlp_width, width)
        self.down = _matrix(width, mlp_width, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """``[T, D]`` to add to the residual stream."""
        return F.linear(gated_silu(_joint(rms_norm(x), self.gate, self.up)), self.down)


class ExpertMlps(nn.Module):
    """One MLP per modality, each token to exactly one (the OFA+ mixture, hard routing)."""

    def __init__(self, num_experts: int, width: int, mlp_width: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(GatedMlp(width, mlp_width) for _ in range(num_experts))

    def forward(self, x: Tensor, routes: Sequence[Tensor]) -> Tensor:
        """``[T, D]``; routes: int64 positions of each expert's tokens, together every token once."""
        parts = [expert(x.index_select(0, route)) for expert, route in zip(self.experts, routes, strict=True)]
        order = torch.cat(list(routes))
        return torch.empty_like(x, dtype=parts[0].dtype).index_copy(0, order, torch.cat(parts))


class EncoderLayer(nn.Module):
    """Self-attention, then MLP or modality experts."""

    def __init__(self, width: int, num_heads: int, head_width: int, mlp_width: int, dropout: float, num_experts: int) -> None:
        super().__init__()
        self.self_attention = SelfAttention(width, num_heads, head_width)
        self.mlp = ExpertMlps(num_experts, width, mlp_width) if num_experts else GatedMlp(width, mlp_width)
        self.dropout = dropout

    def forward(self, x: Tensor, cis: Tensor, attention: PackedAttention, routes: Sequence[Tensor]) -> Tensor:
        """Residual states ``[T, D]`` in and out."""
        x = x + drop(self.self_attention(x, cis, attention), self.dropout, self.training)
        return x + drop(self.mlp(x, routes) if routes else self.mlp(x), self.dropout, self.training)


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, MLP."""

    def __init__(self, width: int, num_heads: int, head_width: int, mlp_width: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = SelfAttention(width, num_heads, head_width)
        self.cross_attention = CrossAttention(width, num_heads, head_width)
        self.mlp = GatedMlp(width, mlp_width)
        self.dropout = dropout

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        cis: Tensor,
        attention: PackedAttention,
        cross: PackedAttention,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Residual states ``[T, D]`` in and out; with ``positions`` the last step runs there only: ``[L, D]`` out."""
        x = x + drop(self.self_attention(x, cis, attention), self.dropout, self.training)
        x = x + drop(self.cross_attention(x, memory, cross), self.dropout, self.training)
        if positions is not None:
            x = x.index_select(0, positions)
        return x + drop(self.mlp(x), self.dropout, self.training)


def drop(x: Tensor, rate: float, training: bool) -> Tensor:
    """Dropout, and nothing at all where the rate is 0."""
    return F.dropout(x, rate) if training and rate else x
