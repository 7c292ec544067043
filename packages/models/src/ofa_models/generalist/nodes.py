"""Nodes of prefix trees, run beside the lanes of a cache: they see their lane and their ancestors, and are not appended.

# N lanes, L written places, M nodes of a call, W nodes written so far, A ancestors of a node, B most nodes of one lane or row
# D model width, h heads, H head width
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ofa_models.generalist.incremental import Cache, LayerCache, Spread, attend_memory, rotation_of

if TYPE_CHECKING:
    from ofa_models.generalist.model import Generalist


def extend_nodes(
    model: Generalist, cache: Cache, embedded: Tensor, coordinates: Tensor, lanes: Tensor, ancestors: Tensor, written: int
) -> Tensor:
    """Run M nodes beside the cache; final states ``[M, D]``. Raises ValueError for ancestors that are not known."""
    M, known = lanes.shape[0], cache.layers[0].node_keys.shape[0]
    if known < written:
        raise ValueError(f"nodes are numbered from {written}, but only {known} are known")
    if ancestors.numel() and int(ancestors.max()) >= written:
        raise ValueError("an ancestor must have been given in an earlier call")
    family = _Family(cache, lanes, ancestors, written)
    by_row = Spread(lanes // cache.copies, cache.num_rows)
    cis = rotation_of(model, coordinates)
    x = model.enter(embedded)
    for layer in cache.layers:
        weights = layer.weights
        q, k, v = weights.project(x, cis, cache.num_heads)
        layer.node_keys = _kept(layer.node_keys, k, written, written + M)
        layer.node_values = _kept(layer.node_values, v, written, written + M)
        x = x + F.linear(family.attend(layer, q).flatten(1), weights.out)
        q = by_row.out(weights.queries(x, cache.num_heads))
        x = x + F.linear(by_row.back(attend_memory(cache, layer, q)).flatten(1), weights.cross_out)
        x = x + weights.mlp(x)
    return model.finish(x)


def _kept(known: Tensor, new: Tensor, start: int, stop: int) -> Tensor:
    """``known`` with ``new`` at start .. stop - 1, made longer where it is too short."""
    if known.shape[0] < stop:
        known = torch.cat([known[:start], known.new_zeros(stop - start, *known.shape[1:])])
    known[start:stop] = new
    return known


class _Family:
    """Who sees whom: a node all of its lane, its ancestors and itself. One softmax over all, in float32 or wider."""

    def __init__(self, cache: Cache, lanes: Tensor, ancestors: Tensor, written: int) -> None:
        M, device = lanes.shape[0], lanes.device
        self.by_lane = Spread(lanes, cache.lengths.shape[0])
        self.length = max(cache.known_lengths, default=0)
        self.lane_mask: Tensor | None = None
        if min(cache.known_lengths, default=0) < self.length:
            visible = torch.arange(self.length, device=device) < cache.lengths[:, None]
            self.lane_mask = visible.logical_not_()[:, None, None]
        itself = torch.arange(written, written + M, device=device)[:, None]
        self.line = torch.cat([ancestors.clamp(min=0), itself], 1)  # [M, A + 1]
        self.absent = torch.cat([ancestors < 0, itself < 0], 1)[..., None]

    def attend(self, layer: LayerCache, q: Tensor) -> Tensor:
        """``[M, h, H]`` → ``[M, h, H]``."""
        by_lane, scale = self.by_lane, q.shape[-1] ** -0.5
        wide = torch.promote_types(q.dtype, torch.float32)
        keys, values = layer.keys[: self.length], layer.values[: self.length]
        scores = torch.matmul(by_lane.out(q).transpose(1, 2), keys.permute(1, 2, 3, 0)).to(wide)  # [N, h, B, L]
        if self.lane_mask is not None:
            scores = scores.masked_fill(self.lane_mask, -torch.inf)
        scores_lane = by_lane.back(scores.permute(0, 2, 3, 1))  # [M, L, h]
        scores_line = (q[:, None].to(wide) * layer.node_keys[self.line]).sum(-1).masked_fill(self.absent, -torch.inf)
        p = torch.cat([scores_lane, scores_line], 1).mul_(scale).softmax(1).to(q.dtype)  # [M, L + A + 1, h]
        p_lane = by_lane.out(p[:, : self.length]).permute(0, 3, 1, 2)  # [N, h, B, L]
        seen = by_lane.back(torch.matmul(p_lane, values.permute(1, 2, 0, 3)).transpose(1, 2))
        return seen + (p[:, self.length :, :, None] * layer.node_values[self.line]).sum(1)
