"""A dense little decoder that speaks the backend protocol, with padding and masks written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ofa_models.backend import FrameOutput, Memory
from torch import Tensor, nn

# N lanes, K new tokens, C cached tokens, M nodes, D width


@dataclass
class FakeState:
    """Keys and values of every layer ``[N, capacity, D]``, and those of tree nodes."""

    keys: list[Tensor]
    values: list[Tensor]
    lengths: Tensor
    memory: Tensor
    memory_mask: Tensor
    capacity: int
    node_keys: list[Tensor] = field(default_factory=list)
    node_values: list[Tensor] = field(default_factory=list)

    def reorder(self, lanes: Tensor) -> None:
        assert torch.equal(lanes // self.copies, torch.arange(len(lanes)) // self.copies), "lanes stay with their row"
        self.keys = [part[lanes] for part in self.keys]
        self.values = [part[lanes] for part in self.values]
        self.lengths = self.lengths[lanes]

    def truncate(self, lengths: Tensor) -> None:
        assert (lengths <= self.lengths).all()
        self.lengths = lengths.clone()

    copies: int = 1


class FakeBackend(nn.Module):
    """Two layers of one-head attention over the own sequence and the memory; float64, deterministic by seed."""

    def __init__(
        self, vocabulary_size: int = 40, width: int = 16, seed: int = 0, sharpness: float = 3.0, features: int = 3
    ) -> None:
        super().__init__()
        self.width = width
        generator = torch.Generator().manual_seed(seed)

        def make(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64) / math.sqrt(shape[-1])

        self.embedding = nn.Parameter(make(vocabulary_size, width) * sharpness)
        self.layers = [[make(width, width) * 1.5 for _ in range(6)] for _ in range(2)]
        self.frame_in, self.frame_out = make(width, features), make(features, width)
        self.begin, self.stop = make(width), make(width) * 4
        self.plan = SimpleNamespace(adaptors={})
        self.refine: Callable[[Tensor, Tensor], Tensor] | None = None
        self.num_tokens_run = 0
        self.num_extends = 0

    def encode(self, batch: Any) -> Memory:
        ids = torch.cat([stream.units for stream in batch.source.streams])
        states = self.embedding.detach()[ids]
        return Memory(states=states, lengths=batch.source.lengths)

    def token_weight(self) -> Tensor:
        return self.embedding

    def embed_ids(self, ids: Tensor) -> Tensor:
        return self.embedding[ids]

    def frame_noise(self, adaptor: str) -> int:
        return 0

    def embed_frames(self, adaptor: str, units: Tensor, noise: Tensor | None = None) -> Tensor:
        return units.double() @ self.frame_in.T

    def frames_looked_back(self, adaptor: str) -> int | None:
        return None

    def begin_vector(self, adaptor: str) -> Tensor:
        return self.begin

    def read_frames(self, adaptor: str, hidden: Tensor) -> FrameOutput:
        return FrameOutput(frames=(hidden @ self.frame_out.T).float(), stop_logits=(hidden @ self.stop).float())

    def refine_frames(self, adaptor: str, frames: Tensor, counts: Tensor) -> Tensor | None:
        return None if self.refine is None else self.refine(frames, counts)

    def start(self, memory: Memory, *, copies: int, capacity: int) -> FakeState:
        rows = memory.states.split(memory.lengths.tolist())
        longest = max([1, *memory.lengths.tolist()])
        padded = torch.zeros(len(rows), longest, self.width, dtype=torch.float64)
        mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        for number, row in enumerate(rows):
            padded[number, : len(row)], mask[number, : len(row)] = row, True
        lanes = len(rows) * copies
        empty = torch.zeros(lanes, capacity, self.width, dtype=torch.float64)
        state = FakeState(
            keys=[empty.clone() for _ in self.layers],
            values=[empty.clone() for _ in self.layers],
            lengths=torch.zeros(lanes, dtype=torch.int64),
            memory=padded.repeat_interleave(copies, 0),
            memory_mask=mask.repeat_interleave(copies, 0),
            capacity=capacity,
        )
        state.copies = copies
        return state

    def _place(self, coordinates: Tensor) -> Tensor:
        rates = torch.arange(1, self.width + 1, dtype=torch.float64) * 0.37
        folded = coordinates.double() @ torch.tensor([1.0, 0.31, 0.17], dtype=torch.float64)
        return torch.sin(folded[..., None] * rates)

    def _layer(self, x: Tensor, layer: int, keys: Tensor, values: Tensor, mask: Tensor, memory: Tensor, seen: Tensor) -> Tensor:
        """x ``[B, K, D]``, keys/values ``[B, C, D]``, mask ``[B, K, C]``, memory ``[B, S, D]``, seen ``[B, S]``."""
        query, _, _, cross, mix, out = self.layers[layer]
        scores = (x @ query) @ keys.transpose(1, 2)
        x = x + torch.softmax(scores.masked_fill(~mask, -1e9), -1) @ values
        scores = ((x @ cross) @ memory.transpose(1, 2)).masked_fill(~seen[:, None], -1e9)
        x = x + torch.softmax(scores, -1) @ memory * seen.any(1)[:, None, None]
        return x + torch.tanh(x @ mix) @ out

    def extend(self, state: FakeState, embedded: Tensor, coordinates: Tensor, counts: Tensor) -> Tensor:
        num_new = embedded.shape[1]
        assert (counts <= num_new).all()
        assert (state.lengths + counts <= state.capacity).all(), "over capacity"
        self.num_tokens_run += int(counts.sum())
        self.num_extends += 1
        x = embedded + self._place(coordinates)
        offsets = torch.arange(num_new)
        places = state.lengths[:, None] + offsets
        lane, column = (offsets[None] < counts[:, None]).nonzero(as_tuple=True)
        mask = torch.arange(state.capacity)[None, None] <= places[:, :, None]
        for number, (_, key, value, *_) in enumerate(self.layers):
            state.keys[number][lane, places[lane, column]] = (x @ key)[lane, column]
            state.values[number][lane, places[lane, column]] = (x @ value)[lane, column]
            x = self._layer(x, number, state.keys[number], state.values[number], mask, state.memory, state.memory_mask)
        state.lengths = state.lengths + counts
        beyond = offsets[None] >= counts[:, None]
        return x.masked_fill(beyond[..., None], torch.nan)

    def extend_nodes(
        self, state: FakeState, embedded: Tensor, coordinates: Tensor, lanes: Tensor, ancestors: Tensor, written: int
    ) -> Tensor:
        self.num_tokens_run += len(lanes)
        if written == 0:
            state.node_keys = [torch.zeros(0, self.width, dtype=torch.float64) for _ in self.layers]
            state.node_values = [part.clone() for part in state.node_keys]
        assert written <= len(state.node_keys[0])
        state.node_keys = [part[:written] for part in state.node_keys]
        state.node_values = [part[:written] for part in state.node_values]
        assert (ancestors < written).all()
        x = (embedded + self._place(coordinates))[:, None]
        mask = torch.cat(
            [
                torch.arange(state.capacity)[None] < state.lengths[lanes][:, None],
                ancestors >= 0,
                torch.ones(len(lanes), 1, dtype=torch.bool),
            ],
            dim=1,
        )[:, None]
        for number, (_, key, value, *_) in enumerate(self.layers):
            own_key, own_value = x @ key, x @ value
            at = ancestors.clamp(min=0)
            keys = torch.cat([state.keys[number][lanes], _pick(state.node_keys[number], at), own_key], 1)
            values = torch.cat([state.values[number][lanes], _pick(state.node_values[number], at), own_value], 1)
            state.node_keys[number] = torch.cat([state.node_keys[number], own_key[:, 0]])
            state.node_values[number] = torch.cat([state.node_values[number], own_value[:, 0]])
            x = self._layer(x, number, keys, values, mask, state.memory[lanes], state.memory_mask[lanes])
        return x[:, 0]

    def decode_dense(self, embedded: Tensor, coordinates: Tensor, memory: Tensor) -> Tensor:
        """One sequence at once, no cache: embedded ``[K, D]``, coordinates ``[K, 3]``, memory ``[S, D]`` → ``[K, D]``."""
        x = (embedded + self._place(coordinates))[None]
        mask = torch.ones(len(embedded), len(embedded), dtype=torch.bool).tril()[None]
        memory = memory if len(memory) else torch.zeros(1, self.width, dtype=torch.float64)
        seen = torch.full((1, len(memory)), bool(memory.any()))
        for number, (_, key, value, *_) in enumerate(self.layers):
            x = self._layer(x, number, x @ key, x @ value, mask, memory[None], seen)
        return x[0]


def _pick(nodes: Tensor, at: Tensor) -> Tensor:
    return nodes[at] if len(nodes) else torch.zeros(*at.shape, nodes.shape[1], dtype=nodes.dtype)


def random_memory(lengths: list[int], width: int = 16, seed: int = 1) -> Memory:
    """Memory of rows with these source lengths."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(sum(lengths), width, generator=generator, dtype=torch.float64)
    return Memory(states=states, lengths=torch.tensor(lengths))


@pytest.fixture(scope="session")
def make_backend() -> type[FakeBackend]:
    """The class of the fake backend."""
    return FakeBackend


@pytest.fixture(scope="session")
def make_memory() -> Any:
    """:func:`random_memory`."""
    return random_memory
