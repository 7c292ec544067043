"""Incremental decoding: a dense preallocated cache, tokens appended to it, tree nodes beside it.

    # N = R rows · C copies lanes, n of them asked, K new tokens of a lane, P places of the cache, S longest memory
    # D model width, h heads, H head width
    # M tree nodes of a call, W nodes written so far, A ancestors of a node, B most nodes of one lane, or asked lanes of one row

A lane's keys lie at places 0 .. length - 1; place ``capacity`` takes what must not be kept. Cross keys are computed once
a row and shared by its copies. Equal to packed decoding, token by token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ofa_models.backend import Memory
from ofa_models.generalist.rotary import rotation

if TYPE_CHECKING:
    from ofa_models.generalist.layers import CrossAttention, DecoderLayer, SelfAttention
    from ofa_models.generalist.model import Generalist


@dataclass(slots=True, kw_only=True)
class _LayerCache:
    """Of one layer: own keys and values ``[N, capacity + 1, h, H]``, the memory's ``[R, S, h, H]``, nodes' ``[W, h, H]``."""

    keys: Tensor
    values: Tensor
    memory_keys: Tensor
    memory_values: Tensor
    node_keys: Tensor
    node_values: Tensor


@dataclass(slots=True, kw_only=True)
class Cache:
    """The decoder's state; see :class:`ofa_models.backend.DecoderState`."""

    lengths: Tensor
    copies: int
    capacity: int
    memory_visible: Tensor  # bool [R, S]
    layers: list[_LayerCache] = field(default_factory=list)

    def reorder(self, lanes: Tensor) -> None:
        """Lane n becomes a copy of lane ``lanes[n]``; lanes stay within their row."""
        rows = torch.arange(self.lengths.shape[0], device=lanes.device) // self.copies
        if not torch.equal(lanes // self.copies, rows):
            raise ValueError("a lane can only become a copy of a lane of its own row")
        longest = self._longest()
        self.lengths = self.lengths[lanes]
        for layer in self.layers:
            layer.keys[:, :longest] = layer.keys[lanes, :longest]
            layer.values[:, :longest] = layer.values[lanes, :longest]

    def truncate(self, lengths: Tensor) -> None:
        """Forget what was written beyond ``lengths``."""
        if bool((lengths > self.lengths).any()) or bool((lengths < 0).any()):
            raise ValueError("a lane can only be cut to between 0 and its length")
        self.lengths = lengths.clone()

    def _longest(self) -> int:
        return int(self.lengths.max()) if self.lengths.numel() else 0


def start(model: Generalist, memory: Memory, copies: int, capacity: int) -> Cache:
    """Empty lanes over a memory."""
    lengths = memory.lengths
    num_rows, longest = lengths.shape[0], int(lengths.max()) if lengths.numel() else 0
    size = model.plan.architecture
    visible = torch.arange(longest, device=lengths.device) < lengths[:, None]
    lanes = num_rows * copies
    cache = Cache(lengths=lengths.new_zeros(lanes), copies=copies, capacity=capacity, memory_visible=visible)
    for layer in _layers(model):
        keys, values = layer.cross_attention.keys_values(memory.states)
        own = (lanes, capacity + 1, size.num_heads, size.head_width)
        cache.layers.append(
            _LayerCache(
                keys=keys.new_zeros(own),
                values=keys.new_zeros(own),
                memory_keys=_pad(keys, visible),
                memory_values=_pad(values, visible),
                node_keys=keys.new_zeros(0, *own[2:]),
                node_values=keys.new_zeros(0, *own[2:]),
            )
        )
    return cache


def extend(model: Generalist, cache: Cache, embedded: Tensor, coordinates: Tensor, counts: Tensor) -> Tensor:
    """Append ``counts[n] <= K`` tokens to lane n; final states ``[N, K, D]``, zeros of lanes that get none."""
    N, K = coordinates.shape[:2]
    before, after = cache.lengths, cache.lengths + counts
    if bool((counts > K).any()) or bool((after > cache.capacity).any()):
        raise ValueError(f"the cache holds {cache.capacity} tokens a lane; it was asked to hold {int(after.max())}")
    asked = counts.nonzero().flatten()  # [n]: no other lane is run
    n = asked.shape[0]
    read, at = _lanes_to_read(asked, N)
    step = torch.arange(K, device=counts.device)
    place = torch.where(step < counts[asked, None], before[asked, None] + step, cache.capacity)
    span = min(int(before[asked].max()) + K, cache.capacity) if n else 0
    # A token past its lane's count sees place 0 at least, so that its undefined state stays finite.
    visible = torch.arange(span, device=counts.device) <= (before[read, None] + step).clamp(max=max(span - 1, 0))[..., None]
    by_row = _Spread(asked // cache.copies, cache.memory_visible.shape[0]) if n < N else None
    cis = _rotation(model, coordinates[asked].flatten(0, 1))
    x = model.enter(embedded[asked]).flatten(0, 1)  # [n · K, D]
    for layer, store in zip(_layers(model), cache.layers, strict=True):
        q, k, v = (part.view(n, K, *part.shape[1:]) for part in layer.self_attention.project(x, cis))
        store.keys[asked[:, None], place] = k.to(store.keys.dtype)
        store.values[asked[:, None], place] = v.to(store.values.dtype)
        if at is not None:
            q = q.new_zeros(N, *q.shape[1:]).index_copy(0, at, q)
        seen = _attend(q, store.keys[read, :span], store.values[read, :span], visible)
        seen = seen if at is None else seen[at]
        x = x + _write(seen.flatten(0, 1), layer.self_attention)
        q = layer.cross_attention.queries(x)
        if by_row is None:
            q = q.view(N // cache.copies, cache.copies * K, *q.shape[1:])
        else:
            q = by_row.out(q.view(n, K, *q.shape[1:])).flatten(1, 2)  # [R, B · K, h, H]
        seen = _attend(q, store.memory_keys, store.memory_values, cache.memory_visible[:, None])
        if by_row is not None:
            seen = by_row.back(seen.reshape(*by_row.shape, K, *seen.shape[2:]))
        x = x + _write(seen.flatten(0, 1), layer.cross_attention)
        x = x + layer.mlp(x)
    cache.lengths = after
    states = model.finish(x).view(n, K, x.shape[-1])
    return states if n == N else states.new_zeros(N, *states.shape[1:]).index_copy(0, asked, states)


def _lanes_to_read(asked: Tensor, num_lanes: int) -> tuple[slice | Tensor, Tensor | None]:
    """Whose keys are read for these lanes (ascending ``[n]``), and where the asked ones stand among them; None: they are it all.

    Lanes at equal distances (all, or the first of every row) are a view of the cache. Others are copied out of it, unless they
    are most of it: then it is cheaper to read it all.
    """
    lanes = asked.tolist()
    stride = lanes[1] - lanes[0] if len(lanes) > 1 else 1
    if lanes and lanes == list(range(lanes[0], lanes[-1] + 1, stride)):
        return slice(lanes[0], lanes[-1] + 1, stride), None
    if 2 * len(lanes) <= num_lanes:
        return asked, None
    return slice(None), asked


def extend_nodes(
    model: Generalist, cache: Cache, embedded: Tensor, coordinates: Tensor, lanes: Tensor, ancestors: Tensor, written: int
) -> Tensor:
    """Run M nodes beside the cache; final states ``[M, D]``."""
    M = lanes.shape[0]
    if written and cache.layers[0].node_keys.shape[0] < written:
        raise ValueError(f"nodes are numbered from {written}, but only {cache.layers[0].node_keys.shape[0]} are known")
    if ancestors.numel() and int(ancestors.max()) >= written:
        raise ValueError("an ancestor must have been given in an earlier call")
    by_lane, by_row = _Spread(lanes, cache.lengths.shape[0]), _Spread(lanes // cache.copies, cache.memory_visible.shape[0])
    span = cache._longest()
    lane_visible = (torch.arange(span, device=lanes.device) < cache.lengths[:, None])[:, None]
    known = torch.cat([ancestors >= 0, torch.ones(M, 1, dtype=torch.bool, device=lanes.device)], 1)
    itself = torch.arange(written, written + M, device=lanes.device)[:, None]
    line = torch.cat([ancestors.clamp(min=0), itself], 1)  # [M, A + 1]
    cis = _rotation(model, coordinates)
    x = model.enter(embedded)
    for layer, store in zip(_layers(model), cache.layers, strict=True):
        q, k, v = layer.self_attention.project(x, cis)
        store.node_keys = torch.cat([store.node_keys[:written], k])
        store.node_values = torch.cat([store.node_values[:written], v])
        scores_lane = by_lane.back(
            _scores(by_lane.out(q), store.keys[:, :span]).masked_fill(~lane_visible[:, :, None], -torch.inf).transpose(1, 2)
        )
        line_keys, line_values = store.node_keys[line], store.node_values[line]  # [M, A + 1, h, H]
        scores_line = torch.einsum("mnh,manh->mna", _wide(q), _wide(line_keys)) * q.shape[-1] ** -0.5
        scores_line = scores_line.masked_fill(~known[:, None], -torch.inf)
        p = torch.cat([scores_lane, scores_line], -1).softmax(-1)  # [M, h, span + A + 1]
        seen_lane = by_lane.back(_mix(by_lane.out(p[..., :span]).transpose(1, 2), store.values[:, :span]))
        seen_line = torch.einsum("mna,manh->mnh", p[..., span:], _wide(line_values))
        x = x + _write((seen_lane + seen_line).to(q.dtype), layer.self_attention)
        q = by_row.out(layer.cross_attention.queries(x))
        seen = _attend(q, store.memory_keys, store.memory_values, cache.memory_visible[:, None])
        x = x + _write(by_row.back(seen), layer.cross_attention)
        x = x + layer.mlp(x)
    return model.finish(x)


class _Spread:
    """Nodes of owners (lanes or rows) between their list ``[M, …]`` and a dense ``[owners, B, …]``."""

    def __init__(self, owner: Tensor, num_owners: int) -> None:
        counts = torch.bincount(owner, minlength=num_owners)
        order = owner.argsort(stable=True)
        starts = counts.cumsum(0) - counts
        place = torch.empty_like(owner)
        place[order] = torch.arange(owner.shape[0], device=owner.device) - starts[owner[order]]
        self.owner, self.place = owner, place
        self.shape = (num_owners, int(counts.max()) if num_owners else 0)

    def out(self, x: Tensor) -> Tensor:
        """``[M, …]`` → ``[owners, B, …]``, zeros between."""
        dense = x.new_zeros(*self.shape, *x.shape[1:])
        dense[self.owner, self.place] = x
        return dense

    def back(self, dense: Tensor) -> Tensor:
        """``[owners, B, …]`` → ``[M, …]``."""
        return dense[self.owner, self.place]


def _attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> Tensor:
    """q ``[B, Q, h, H]``, k and v ``[B, P, h, H]``, visible bool ``[B, Q or 1, P]`` → ``[B, Q, h, H]``; no key: zeros."""
    if k.shape[1] == 0:
        return torch.zeros_like(q)
    scores = _scores(q, k).masked_fill(~visible[:, None], torch.finfo(torch.float32).min)
    p = scores.softmax(-1) * visible[:, None]
    return _mix(p, v).to(q.dtype)


def _scores(q: Tensor, k: Tensor) -> Tensor:
    """q ``[B, Q, h, H]``, k ``[B, P, h, H]`` → ``[B, h, Q, P]``."""
    scores = torch.matmul(q.transpose(1, 2), k.permute(0, 2, 3, 1)).to(_wide_dtype(q))
    return scores.mul_(q.shape[-1] ** -0.5)


def _mix(p: Tensor, v: Tensor) -> Tensor:
    """p ``[B, h, Q, P]``, v ``[B, P, h, H]`` → ``[B, Q, h, H]``."""
    return torch.matmul(p.to(v.dtype), v.transpose(1, 2)).transpose(1, 2)


def _wide_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _wide(x: Tensor) -> Tensor:
    return x.to(_wide_dtype(x))


def _write(seen: Tensor, attention: SelfAttention | CrossAttention) -> Tensor:
    """Heads ``[…, h, H]`` to what is added to the residual stream."""
    return F.linear(seen.flatten(-2), attention.out)


def _pad(packed: Tensor, visible: Tensor) -> Tensor:
    """``[sum of lengths, h, H]`` → ``[R, S, h, H]``, zeros where nothing is visible."""
    dense = packed.new_zeros(*visible.shape, *packed.shape[1:])
    dense[visible] = packed
    return dense


def _rotation(model: Generalist, coordinates: Tensor) -> Tensor:
    size = model.plan.architecture
    return rotation(coordinates, size.head_width, size.rotary_base, model.embedding.dtype)


def _layers(model: Generalist) -> list[DecoderLayer]:
    return list(model.decoder)  # type: ignore[arg-type]
