"""The generalist on padded batches: what packing is measured against.

    # R rows, P padded length of a side, T = R · P tokens, N heads, H head width, D model width, V vocabulary

The same weights and the same layers; every row of a side is padded to the longest, attention is one call of
``scaled_dot_product_attention`` with a mask, and logits are computed at every target position. Embedding stays packed, which
favours the padded side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from ofa_modalities.batch import PackedBatch, Side
from ofa_models.attention import RowMask
from ofa_models.cross_entropy import cross_entropy
from ofa_models.functional import compute_dtype, rms_norm
from ofa_models.generalist.model import Generalist
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedSide:
    """places: int64 ``[tokens]`` of each packed token among R · P. coordinates: int64 ``[R · P, 3]``. keys: bool ``[R, P]``."""

    num_rows: int
    length: int
    places: Tensor
    coordinates: Tensor
    keys: Tensor

    @classmethod
    def of(cls, side: Side) -> PaddedSide:
        """Pad a packed side to its longest row."""
        num_rows, length = side.lengths.shape[0], int(side.lengths.max())
        keys = torch.arange(length) < side.lengths[:, None]
        places = keys.flatten().nonzero().flatten()
        coordinates = torch.zeros(num_rows * length, 3, dtype=torch.int64).index_copy(0, places, side.coordinates)
        return cls(num_rows=num_rows, length=length, places=places, coordinates=coordinates, keys=keys)

    @property
    def num_tokens(self) -> int:
        """T."""
        return self.num_rows * self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedBatch:
    """labels: int64 ``[R · P]``, -100 where there is no loss."""

    packed: PackedBatch
    source: PaddedSide
    target: PaddedSide
    labels: Tensor

    @classmethod
    def of(cls, packed: PackedBatch) -> PaddedBatch:
        """The same rows in the same order, padded."""
        source, target = PaddedSide.of(packed.source), PaddedSide.of(packed.target)
        labels = torch.full((target.num_tokens,), IGNORED)
        labels[target.places[packed.token_labels.positions]] = packed.token_labels.ids
        return cls(packed=packed, source=source, target=target, labels=labels)

    @property
    def padding_share(self) -> float:
        """Part of all positions that hold nothing."""
        return 1 - self.packed.num_tokens / (self.source.num_tokens + self.target.num_tokens)


class PaddedAttention:
    """One masked call on ``[R, N, P, H]``."""

    def __init__(self, queries: PaddedSide, keys: PaddedSide, *, causal: bool) -> None:
        self.mask = RowMask.across(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
        self.queries, self.keys = queries, keys
        self.allowed = keys.keys[:, None, None, :]
        if causal:
            self.allowed = self.allowed & torch.ones(queries.length, keys.length, dtype=torch.bool).tril()

    def __call__(self, q_TNH: Tensor, k_SNH: Tensor, v_SNH: Tensor) -> Tensor:
        """``[T, N, H]``."""
        rows = self.queries.num_rows
        q, k, v = (x.view(rows, -1, *x.shape[1:]).transpose(1, 2) for x in (q_TNH, k_SNH, v_SNH))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.allowed).transpose(1, 2).flatten(0, 1)


def padded_loss(model: Generalist, batch: PaddedBatch) -> Tensor:
    """Mean cross entropy over the labelled positions, by way of all positions and all logits."""
    packed, source, target = batch.packed, batch.source, batch.target
    with model._autocast():
        x = _spread(model._embed(packed.source), source)
        attention, cis = PaddedAttention(source, source, causal=False), model._rotation(source.coordinates)
        for layer in model.encoder:
            x = layer(x, cis, attention, ())
        memory = rms_norm(x) * model.memory_gain.to(compute_dtype(x))
        for stream in packed.source.streams:
            place = model._adaptor(stream.adaptor).memory_place(stream.shapes)
            if place is not None:
                memory = memory.index_add(0, source.places[stream.token_positions], place.to(memory.dtype))
        x = _spread(model._embed(packed.target), target)
        attention, cross = PaddedAttention(target, target, causal=True), PaddedAttention(target, source, causal=False)
        cis = model._rotation(target.coordinates)
        for layer in model.decoder:
            x = layer(x, memory, cis, attention, cross)
        logits = F.linear(model.finish(x), model.token_weight())
    return F.cross_entropy(logits.float(), batch.labels, ignore_index=IGNORED)


def packed_loss(model: Generalist, batch: PackedBatch) -> Tensor:
    """The same figure by the model's own way: packed tokens, logits in chunks where there is a loss."""
    labels = batch.token_labels
    hidden = model.decode(batch, model.encode(batch), labels.positions)
    scale = torch.full((len(labels.ids),), 1 / len(labels.ids))
    return cross_entropy(hidden, model.token_weight(), labels.ids, scale)[0]


def _spread(x: Tensor, side: PaddedSide) -> Tensor:
    return x.new_zeros(side.num_tokens, x.shape[1]).index_copy(0, side.places, x)
