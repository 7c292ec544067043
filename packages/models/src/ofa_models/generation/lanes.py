"""Lanes: the decoder's cache with what is still to be written to each lane, and where it stands.

    # N lanes = rows · copies, n lanes asked, K new tokens, D model width

Tokens wait until a state is asked for, so whatever is forced (the inputs of an answer, the prompt after it, the next
begin token) goes through the decoder in one call. A row's first lane is its primary: outside of a search the other
copies are not run, and neither are the lanes of rows that have their answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from ofa_modalities.segment import EncodedSegment
from torch import Tensor

from ofa_models.backend import DecoderState, Memory, ModelBackend


@dataclass(slots=True)
class _Pending:
    """Tokens of one lane that are not written yet; floats stand at ``offset`` among ``ids`` (there -1)."""

    ids: list[int]
    places: list[tuple[int, int, int]]
    floats: list[tuple[int, Tensor]]


@dataclass(frozen=True, slots=True)
class _Grid:
    """The grid that the next tokens of a lane fill: where it starts, its shape, and how many of its places are taken."""

    start: int
    shape: tuple[int, ...]
    taken: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A place to come back to: written tokens, next coordinate and open grid of every lane, nothing pending."""

    lengths: Tensor
    next_place: tuple[int, ...]
    grids: tuple[_Grid | None, ...]


class Lanes:
    """All lanes of one batch of rows."""

    def __init__(self, backend: ModelBackend, memory: Memory, *, copies: int, capacity: int) -> None:
        self.backend = backend
        self.copies = copies
        self.capacity = capacity
        self.device = memory.states.device
        self.num_rows = len(memory.lengths)
        self.state: DecoderState = backend.start(memory, copies=copies, capacity=capacity)
        num_lanes = self.num_rows * copies
        self.next_place = [0] * num_lanes
        self._written = [0] * num_lanes
        self._grids: list[_Grid | None] = [None] * num_lanes
        self._pending = [_Pending([], [], []) for _ in range(num_lanes)]

    def primary(self, rows: Iterable[int]) -> list[int]:
        """The first lane of each row."""
        return [row * self.copies for row in rows]

    def room(self, lane: int) -> int:
        """Tokens that still fit in a lane."""
        return self.capacity - self._written[lane] - len(self._pending[lane].ids)

    def append(self, lane: int, ids: Iterable[int]) -> None:
        """Put ids at the end of a lane: in its open grid while it has places, else one coordinate further each."""
        pending = self._pending[lane]
        for token in ids:
            pending.ids.append(int(token))
            pending.places.append(self._take_place(lane))

    def _take_place(self, lane: int) -> tuple[int, int, int]:
        grid = self._grids[lane]
        if grid is None:
            place = self.next_place[lane]
            self.next_place[lane] = place + 1
            return place, place, place
        places = _places(grid.shape)
        first, second, third = places[grid.taken]
        done = grid.taken + 1 == len(places)
        self._grids[lane] = None if done else _Grid(grid.start, grid.shape, grid.taken + 1)
        return grid.start + first, grid.start + second, grid.start + third

    def open_grid(self, lane: int, shape: tuple[int, ...]) -> None:
        """The next ``prod(shape)`` tokens of a lane stand as the cells of a grid, row-major, as in a segment of that layout."""
        assert self._grids[lane] is None, "the grid before is not filled"
        start = self.next_place[lane]
        self._grids[lane] = _Grid(start, shape, 0)
        self.next_place[lane] = start + max(shape)

    def append_embedded(self, lane: int, embedded: Tensor) -> None:
        """Put embedded tokens ``[K, D]`` at the end of a lane, one coordinate further each."""
        start = len(self._pending[lane].ids)
        self._pending[lane].floats.append((start, embedded))
        self.append(lane, [-1] * len(embedded))

    def append_segment(self, lane: int, segment: EncodedSegment) -> None:
        """Put a segment of the target side at the end of a lane, standing as its layout says."""
        pending, start = self._pending[lane], self.next_place[lane]
        if segment.begins:
            parts = [self.backend.begin_vector(segment.adaptor)[None]]
            if len(segment.units):
                frames = torch.from_numpy(segment.units).to(self.device)
                parts.append(self.backend.embed_frames(segment.adaptor, frames).to(parts[0].dtype))
            pending.floats.append((len(pending.ids), torch.cat(parts)))
            pending.ids.extend([-1] * segment.num_tokens)
        else:
            pending.ids.extend(segment.units.tolist())
        places = item_places(segment.layout) + start
        pending.places.extend(map(tuple, places.tolist()))
        self.next_place[lane] = start + max(segment.layout)

    def flush(self, lanes: Sequence[int]) -> Tensor:
        """Write what is pending in ``lanes``, at least one token each; the final states ``[n, D]`` of their last tokens."""
        waiting = [self._pending[lane] for lane in lanes]
        counts = [len(pending.ids) for pending in waiting]
        assert min(counts) > 0, "a state is asked for where nothing is pending"
        num_lanes, longest = len(self._pending), max(counts)
        ids = np.zeros((num_lanes, longest), np.int64)
        places = np.zeros((num_lanes, longest, 3), np.int64)
        all_counts = np.zeros(num_lanes, np.int64)
        at = np.array(lanes, np.int64)
        all_counts[at] = counts
        if min(counts) == longest:
            ids[at], places[at] = [pending.ids for pending in waiting], [pending.places for pending in waiting]
        else:
            for lane, pending, count in zip(lanes, waiting, counts, strict=True):
                ids[lane, :count], places[lane, :count] = pending.ids, pending.places
        floats = [(lane, *part) for lane, pending in zip(lanes, waiting, strict=True) for part in pending.floats]
        for lane, count in zip(lanes, counts, strict=True):
            self._pending[lane] = _Pending([], [], [])
            self._written[lane] += count
        embedded = self.backend.embed_ids(torch.from_numpy(ids.clip(min=0)).to(self.device))
        for lane, offset, tokens in floats:
            embedded[lane, offset : offset + len(tokens)] = tokens.to(embedded.dtype)
        new_tokens = (torch.from_numpy(part).to(self.device) for part in (places, all_counts))
        hidden = self.backend.extend(self.state, embedded, *new_tokens)
        last = (torch.from_numpy(part).to(self.device) for part in (at, all_counts[at] - 1))
        return hidden[*last]

    def mark(self) -> Mark:
        """Where every lane stands; tokens pending in lanes that were not flushed are not part of it."""
        return Mark(self.state.lengths.clone(), tuple(self.next_place), tuple(self._grids))

    def back_to(self, mark: Mark, rows: Iterable[int]) -> None:
        """Forget what the lanes of ``rows`` have had since ``mark``."""
        lengths, before = self.state.lengths.clone(), mark.lengths.tolist()
        for lane in self.lanes_of(rows):
            lengths[lane] = self._written[lane] = before[lane]
            self.next_place[lane] = mark.next_place[lane]
            self._grids[lane] = mark.grids[lane]
            self._pending[lane] = _Pending([], [], [])
        self.state.truncate(lengths)

    def lanes_of(self, rows: Iterable[int]) -> list[int]:
        """All lanes of these rows."""
        return [row * self.copies + copy for row in rows for copy in range(self.copies)]

    def reorder(self, origins: dict[int, int]) -> None:
        """Lane n becomes a copy of lane ``origins[n]`` of its row, all at once; other lanes stay. Nothing may be pending."""
        if all(lane == origin for lane, origin in origins.items()):
            return
        order = list(range(len(self._pending)))
        for lane, origin in origins.items():
            assert not self._pending[origin].ids, "a lane with pending tokens cannot be copied"
            order[lane] = origin
        self.next_place = [self.next_place[origin] for origin in order]
        self._written = [self._written[origin] for origin in order]
        self._grids = [self._grids[origin] for origin in order]
        self._pending = [self._pending[lane] if lane == origin else _Pending([], [], []) for lane, origin in enumerate(order)]
        self.state.reorder(torch.tensor(order, device=self.device))

    def spread(self, rows: Sequence[int]) -> None:
        """Every lane of ``rows`` becomes a copy of its row's primary."""
        self.reorder({lane: lane // self.copies * self.copies for lane in self.lanes_of(rows)})


@lru_cache(maxsize=64)
def _places(shape: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    return tuple((first, second, third) for first, second, third in item_places(shape).tolist())


def item_places(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """int64 ``[N, 3]`` coordinates of an item's tokens from 0: a line advances all three, a picture the last two, a clip each.

    >>> item_places((2,)).tolist(), item_places((1, 2)).tolist()
    ([[0, 0, 0], [1, 1, 1]], [[0, 0, 0], [0, 0, 1]])
    """
    match shape:
        case (n,):
            return np.repeat(np.arange(n)[:, None], 3, axis=1)
        case (rows, columns):
            grid = np.indices((1, rows, columns))
        case (frames, rows, columns):
            grid = np.indices((frames, rows, columns))
        case _:
            raise ValueError(f"an item has one to three dimensions, not {len(shape)}")
    return grid.reshape(3, -1).T.astype(np.int64)
