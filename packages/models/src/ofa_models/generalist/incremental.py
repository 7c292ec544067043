"""Incremental decoding: a dense preallocated cache, and tokens appended to its lanes.

    # N = R rows · C copies lanes, n of them asked, K new tokens of a lane, P places of the cache, S longest memory
    # D model width, h heads, H head width, B most asked lanes of one row

A lane's keys lie at places 0 .. length - 1; place ``capacity`` takes what must not be kept. Places come first in memory, so
that what is written so far is one block, and lanes change places in one pass. Cross keys are computed once a row and shared
by its copies. Lengths are known on the host: where they are equal nothing is masked. Equal to packed decoding, token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from ofa_models.backend import Memory
from ofa_models.functional import EPS, compute_dtype, rotate
from ofa_models.generalist.rotary import rotation

if TYPE_CHECKING:
    from ofa_models.generalist.layers import DecoderLayer
    from ofa_models.generalist.model import Generalist


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWeights:
    """Matrices of one decoder layer in the dtype that products run in: the parameters themselves, or one copy an answer."""

    q: Tensor
    k: Tensor
    v: Tensor
    out: Tensor
    cross_q: Tensor
    cross_out: Tensor
    gate: Tensor
    up: Tensor
    down: Tensor

    @classmethod
    def of(cls, layer: DecoderLayer, dtype: torch.dtype) -> LayerWeights:
        """Those of a layer."""
        own, cross, mlp = layer.self_attention, layer.cross_attention, layer.mlp
        named = {"q": own.q, "k": own.k, "v": own.v, "out": own.out, "cross_q": cross.q, "cross_out": cross.out}
        named |= {"gate": mlp.gate, "up": mlp.up, "down": mlp.down}
        return cls(**{name: matrix.detach().to(dtype) for name, matrix in named.items()})

    def project(self, x: Tensor, cis: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys, normalised and turned, and values, each ``[T, h, H]``, of residual states ``[T, D]``."""
        x = norm(x, self.q.dtype)
        q, k, v = (F.linear(x, matrix).view(x.shape[0], num_heads, -1) for matrix in (self.q, self.k, self.v))
        q, k = rotate(_norm_heads(torch.cat([q, k], 1)), cis).to(v.dtype).chunk(2, 1)
        return q, k, v

    def queries(self, x: Tensor, num_heads: int) -> Tensor:
        """Of the cross-attention, ``[T, h, H]``."""
        q = F.linear(norm(x, self.cross_q.dtype), self.cross_q).view(x.shape[0], num_heads, -1)
        return _norm_heads(q).to(q.dtype)

    def mlp(self, x: Tensor) -> Tensor:
        """``[T, D]`` to add to the residual stream."""
        x = norm(x, self.gate.dtype)
        return F.linear(F.silu(F.linear(x, self.gate)).mul_(F.linear(x, self.up)), self.down)


def norm(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x / rms(x) of the last axis, as ``functional.rms_norm`` without a gradient."""
    return F.rms_norm(x, x.shape[-1:], eps=EPS).to(dtype)


def _norm_heads(x: Tensor) -> Tensor:
    return F.rms_norm(x.to(torch.promote_types(x.dtype, torch.float32)), x.shape[-1:], eps=EPS)


@dataclass(slots=True, kw_only=True)
class LayerCache:
    """Of one layer: own keys and values ``[P + 1, N, h, H]``, the memory's ``[R, S, h, H]``, those of nodes ``[W, h, H]``."""

    weights: LayerWeights
    keys: Tensor
    values: Tensor
    memory_keys: Tensor
    memory_values: Tensor
    node_keys: Tensor
    node_values: Tensor


@dataclass(slots=True, kw_only=True)
class Cache:
    """The decoder's state; see :class:`ofa_models.backend.DecoderState`.

    known_lengths: the lengths on the host. memory_mask: bool ``[R, 1, 1, S]`` where rows are of different lengths, all true for
    a row without a memory; no_memory: bool ``[R, 1, 1, 1]``, which those are, where there are some.
    """

    lengths: Tensor
    known_lengths: list[int]
    copies: int
    capacity: int
    num_heads: int
    memory_mask: Tensor | None
    no_memory: Tensor | None
    layers: list[LayerCache] = field(default_factory=list)
    spare: Tensor | None = None
    """Where keys or values go when lanes change places; what they leave is where the next ones go."""

    @property
    def num_rows(self) -> int:
        """R."""
        return len(self.known_lengths) // self.copies

    def reorder(self, lanes: Tensor) -> None:
        """Lane n becomes a copy of lane ``lanes[n]``; lanes stay within their row."""
        origins: list[int] = lanes.tolist()
        if any(lane // self.copies != origin // self.copies for lane, origin in enumerate(origins)):
            raise ValueError("a lane can only become a copy of a lane of its own row")
        length = max(self.known_lengths, default=0)
        spare = torch.zeros_like(self.layers[0].keys) if self.spare is None else self.spare
        for layer in self.layers:
            torch.index_select(layer.keys[:length], 1, lanes, out=spare[:length])
            layer.keys, spare = spare, layer.keys
            torch.index_select(layer.values[:length], 1, lanes, out=spare[:length])
            layer.values, spare = spare, layer.values
        self.spare = spare
        self.lengths = self.lengths[lanes]
        self.known_lengths = [self.known_lengths[origin] for origin in origins]

    def truncate(self, lengths: Tensor) -> None:
        """Forget what was written beyond ``lengths``."""
        wanted: list[int] = lengths.tolist()
        if any(not 0 <= length <= known for length, known in zip(wanted, self.known_lengths, strict=True)):
            raise ValueError("a lane can only be cut to between 0 and its length")
        self.lengths, self.known_lengths = lengths.clone(), wanted


def start(model: Generalist, memory: Memory, copies: int, capacity: int) -> Cache:
    """Empty lanes over a memory."""
    lengths: list[int] = memory.lengths.tolist()
    num_rows, longest = len(lengths), max(lengths, default=0)
    size, dtype = model.plan.architecture, compute_dtype(model.embedding)
    even = all(length == longest for length in lengths)
    visible = torch.arange(longest, device=memory.lengths.device) < memory.lengths[:, None]
    nothing = memory.lengths == 0
    cache = Cache(
        lengths=memory.lengths.new_zeros(num_rows * copies),
        known_lengths=[0] * (num_rows * copies),
        copies=copies,
        capacity=capacity,
        num_heads=size.num_heads,
        memory_mask=None if even else (visible | nothing[:, None])[:, None, None],
        no_memory=None if even or min(lengths) else nothing[:, None, None, None],
    )
    own = (capacity + 1, num_rows * copies, size.num_heads, size.head_width)
    for layer in layers_of(model):
        keys, values = layer.cross_attention.keys_values(memory.states)
        cache.layers.append(
            LayerCache(
                weights=LayerWeights.of(layer, dtype),
                keys=keys.new_zeros(own),
                values=keys.new_zeros(own),
                memory_keys=_pad(keys, visible, even=even),
                memory_values=_pad(values, visible, even=even),
                node_keys=keys.new_zeros(0, *own[2:]),
                node_values=keys.new_zeros(0, *own[2:]),
            )
        )
    return cache


def extend(model: Generalist, cache: Cache, embedded: Tensor, coordinates: Tensor, counts: Tensor) -> Tensor:
    """Append ``counts[n] <= K`` tokens to lane n; final states ``[N, K, D]``, zeros of lanes that get none."""
    N, K = coordinates.shape[:2]
    new: list[int] = counts.tolist()
    after = [length + count for length, count in zip(cache.known_lengths, new, strict=True)]
    if max(new, default=0) > K or max(after, default=0) > cache.capacity:
        raise ValueError(f"the cache holds {cache.capacity} tokens a lane; it was asked to hold {max(after)}")
    asked = [lane for lane, count in enumerate(new) if count]  # no other lane is run
    if not asked:
        return embedded.new_zeros(N, K, model.plan.architecture.width, dtype=compute_dtype(model.embedding))
    window = _Window(cache, asked, [new[lane] for lane in asked], K, counts.device)
    if len(asked) < N:
        embedded, coordinates = embedded[window.index], coordinates[window.index]
    cis = rotation_of(model, coordinates.flatten(0, 1))
    x = model.enter(embedded).flatten(0, 1)  # [n · K, D]
    for layer in cache.layers:
        weights = layer.weights
        q, k, v = weights.project(x, cis, cache.num_heads)
        x = x + F.linear(window.attend(layer, q, k, v).flatten(1), weights.out)
        q = weights.queries(x, cache.num_heads)
        x = x + F.linear(window.attend_memory(layer, q).flatten(1), weights.cross_out)
        x = x + weights.mlp(x)
    cache.lengths, cache.known_lengths = cache.lengths + counts, after
    states = model.finish(x).view(len(asked), K, -1)
    return states if len(asked) == N else states.new_zeros(N, *states.shape[1:]).index_copy(0, window.index, states)


class _Window:
    """What the asked lanes of one call write and see: views of the cache where lanes and lengths are even, else under masks."""

    def __init__(self, cache: Cache, asked: Sequence[int], counts: Sequence[int], num_new: int, device: torch.device) -> None:
        self.cache, self.num_new, self.num_asked = cache, num_new, len(asked)
        self.index = torch.tensor(asked, device=device)
        before = [cache.known_lengths[lane] for lane in asked]
        longest, num_lanes = max(before), len(cache.known_lengths)
        self.span = min(longest + num_new, cache.capacity)
        even = min(before) == longest and min(counts) == num_new
        lanes = _evenly(asked)
        self.read, self.at = _lanes_to_read(asked, lanes, self.index, num_lanes)
        starts, step = torch.tensor(before, device=device)[:, None], torch.arange(num_new, device=device)
        self.place: Tensor | None = None
        self.new = (slice(longest, longest + num_new), lanes)
        if not even or lanes is None:
            self.place = (starts + step).where(step < torch.tensor(counts, device=device)[:, None], cache.capacity)
        self.mask: Tensor | None = None
        if not even or num_new > 1:
            # A token past its lane's count sees place 0 at least, so that its undefined state stays finite.
            last = (starts + step).clamp(max=self.span - 1)
            if self.at is not None:
                last = last.new_zeros(num_lanes, num_new).index_copy(0, self.at, last)
            self.mask = (torch.arange(self.span, device=device) <= last[..., None])[:, None]
        self.group = _Group.of(cache, asked, lanes, self.index)

    def attend(self, layer: LayerCache, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Keep the new keys and values and look at all so far: ``[n · K, h, H]`` each → ``[n · K, h, H]``."""
        for kept, part in ((layer.keys, k), (layer.values, v)):
            fresh = part.view(self.num_asked, self.num_new, *part.shape[1:])
            if self.place is None:
                kept[self.new] = fresh.transpose(0, 1)
            else:
                kept[self.place, self.index[:, None]] = fresh
        q = q.view(self.num_asked, self.num_new, *q.shape[1:])
        if self.at is not None:
            q = q.new_zeros(len(self.cache.known_lengths), *q.shape[1:]).index_copy(0, self.at, q)
        keys, values = (kept[: self.span, self.read].permute(1, 2, 0, 3) for kept in (layer.keys, layer.values))
        seen = F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, self.mask).transpose(1, 2)
        return (seen if self.at is None else seen[self.at]).flatten(0, 1)

    def attend_memory(self, layer: LayerCache, q: Tensor) -> Tensor:
        """Look at the memory: ``[n · K, h, H]`` → ``[n · K, h, H]``."""
        return self.group.back(attend_memory(self.cache, layer, self.group.out(q, self.num_new), self.group.rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Lanes by their rows, for a look at the rows' memory. rows: which are looked at; spread: how lanes get there and back."""

    rows: slice
    num_rows: int
    spread: Spread | None

    @classmethod
    def of(cls, cache: Cache, asked: Sequence[int], lanes: slice | None, index: Tensor) -> _Group:
        """A view where whole rows follow each other, or one lane of rows at equal distances."""
        copies = cache.copies
        if lanes is not None and lanes.start % copies == 0:
            if lanes.step == 1 and len(asked) % copies == 0:
                rows = slice(lanes.start // copies, lanes.stop // copies, 1)
                return cls(rows=rows, num_rows=len(asked) // copies, spread=None)
            if lanes.step % copies == 0 or len(asked) == 1:
                step = max(1, lanes.step // copies)
                first = lanes.start // copies
                return cls(rows=slice(first, first + (len(asked) - 1) * step + 1, step), num_rows=len(asked), spread=None)
        return cls(rows=slice(None), num_rows=cache.num_rows, spread=Spread(index // copies, cache.num_rows))

    def out(self, q: Tensor, num_new: int) -> Tensor:
        """``[n · K, h, H]`` → ``[rows, queries, h, H]``."""
        if self.spread is None:
            return q.view(self.num_rows, -1, *q.shape[1:])
        return self.spread.out(q.view(-1, num_new, *q.shape[1:])).flatten(1, 2)

    def back(self, seen: Tensor) -> Tensor:
        """The way back."""
        if self.spread is None:
            return seen.flatten(0, 1)
        return self.spread.back(seen.reshape(*self.spread.shape, -1, *seen.shape[2:])).flatten(0, 1)


def attend_memory(cache: Cache, layer: LayerCache, q: Tensor, rows: slice = slice(None)) -> Tensor:
    """Queries ``[rows, Q, h, H]`` → ``[rows, Q, h, H]``; zeros for rows without a memory."""
    if layer.memory_keys.shape[1] == 0:
        return torch.zeros_like(q)
    keys, values = (kept[rows].transpose(1, 2) for kept in (layer.memory_keys, layer.memory_values))
    mask = None if cache.memory_mask is None else cache.memory_mask[rows]
    seen = F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, mask).transpose(1, 2)
    return seen if cache.no_memory is None else seen.masked_fill(cache.no_memory[rows], 0)


def _evenly(lanes: Sequence[int]) -> slice | None:
    """The slice of these lanes (ascending), where they lie at equal distances."""
    stride = lanes[1] - lanes[0] if len(lanes) > 1 else 1
    stop = lanes[-1] + 1
    return slice(lanes[0], stop, stride) if list(lanes) == list(range(lanes[0], stop, stride)) else None


def _lanes_to_read(
    asked: Sequence[int], lanes: slice | None, index: Tensor, num_lanes: int
) -> tuple[slice | Tensor, Tensor | None]:
    """Whose keys are read for these lanes, and where the asked ones stand among them; None: they are it all.

    Lanes at equal distances are a view of the cache. Others are copied out of it, unless they are most of it: then it is
    cheaper to read it all.
    """
    if lanes is not None:
        return lanes, None
    return (index, None) if 2 * len(asked) <= num_lanes else (slice(None), index)


class Spread:
    """Things of owners (lanes or rows) between their list ``[M, …]`` and a dense ``[owners, B, …]``."""

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


def _pad(packed: Tensor, visible: Tensor, *, even: bool) -> Tensor:
    """``[sum of lengths, h, H]`` → ``[R, S, h, H]``, zeros where nothing is visible."""
    if even:
        return packed.view(*visible.shape, *packed.shape[1:])
    dense = packed.new_zeros(*visible.shape, *packed.shape[1:])
    dense[visible] = packed
    return dense


def rotation_of(model: Generalist, coordinates: Tensor) -> Tensor:
    """How the heads at these coordinates are turned."""
    size = model.plan.architecture
    return rotation(coordinates, size.head_width, size.rotary_base, model.embedding.dtype)


def layers_of(model: Generalist) -> list[DecoderLayer]:
    """The decoder's layers."""
    return cast("list[DecoderLayer]", list(model.decoder))
