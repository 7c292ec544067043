"""Examples → one packed batch, without padding.

    # R rows, S segments of a side, T tokens of a side

Work in Python is per segment; everything per token is numpy. Coordinates are those of three-dimensional rotary positions:
a sequence starts at (0, 0, 0); token i of a line that starts at s lies at (s+i, s+i, s+i), patch (r, c) of a picture at
(s, s+r, s+c), cell (f, r, c) of a clip at (s+f, s+r, s+c); the next segment starts at 1 + the largest coordinate used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ofa_modalities.batch import BatchSlot, FrameLabels, PackedBatch, SegmentColumn, Side, Stream, TokenLabels
from ofa_modalities.processor import SampleError
from ofa_modalities.segment import EncodedSegment, Example

Int64 = NDArray[np.int64]


def pack(examples: Sequence[Example], slots: tuple[BatchSlot, ...], task_names: tuple[str, ...]) -> PackedBatch:
    """Pack rows of any tasks, in order. ``slots`` and ``task_names`` are the encoder's tables.

    Raises ValueError where two items of one stream differ in their units' width or in the number of their dimensions.
    """
    source = _SideLayout([example.source for example in examples])
    target = _SideLayout([example.target for example in examples])
    first_source = source.first_segment
    return PackedBatch(
        task_names=task_names,
        slots=slots,
        tasks=_tensor(np.fromiter((example.task for example in examples), np.int64, len(examples))),
        addresses=tuple(example.address for example in examples),
        source=source.side(first_source, causal=np.zeros(len(examples), bool)),
        target=target.side(first_source, causal=np.fromiter((example.causal for example in examples), bool, len(examples))),
        token_labels=target.token_labels(),
        frame_labels=target.frame_labels(),
    )


def fill_batches(
    examples: Iterable[Example], budget: int, *, dropped: Callable[[Example, SampleError], None] | None = None
) -> Iterator[list[Example]]:
    """Cut a stream of rows into batches of at most ``budget`` tokens (source and target), keeping the order.

    A row larger than the budget is handed to ``dropped`` with its error, and left out; without ``dropped`` it is raised.
    """
    batch: list[Example] = []
    used = 0
    for example in examples:
        if example.num_tokens > budget:
            error = SampleError("(row)", f"{example.num_tokens} tokens do not fit a budget of {budget}", example.address)
            if dropped is None:
                raise error
            dropped(example, error)
            continue
        if used + example.num_tokens > budget:
            yield batch
            batch, used = [], 0
        batch.append(example)
        used += example.num_tokens
    if batch:
        yield batch


class _SideLayout:
    """The segments of one side of all rows, and where their tokens lie."""

    def __init__(self, sequences: Sequence[tuple[EncodedSegment, ...]]) -> None:
        self.num_rows = len(sequences)
        self.segments = [segment for sequence in sequences for segment in sequence]
        per_row = np.fromiter(map(len, sequences), np.int64, len(sequences))
        self.first_segment: Int64 = _starts(per_row)
        self.sequence: Int64 = np.repeat(np.arange(self.num_rows), per_row)
        grids = np.array([(1,) * (3 - len(s.layout)) + s.layout for s in self.segments], np.int64).reshape(-1, 3)
        self.grids = grids
        self.is_line: NDArray[np.bool_] = np.fromiter((len(s.layout) == 1 for s in self.segments), bool, len(self.segments))
        self.counts: Int64 = grids.prod(1)
        self.token_start: Int64 = _starts(self.counts)
        self.begins: Int64 = np.fromiter((segment.begins for segment in self.segments), np.int64, len(self.segments))

    def side(self, first_source: Int64, *, causal: NDArray[np.bool_]) -> Side:
        table = np.full((len(self.segments), len(SegmentColumn)), -1, np.int64)
        table[:, SegmentColumn.SEQUENCE] = self.sequence
        table[:, SegmentColumn.SLOT] = [segment.slot for segment in self.segments]
        table[:, SegmentColumn.TOKEN_START] = self.token_start
        table[:, SegmentColumn.NUM_TOKENS] = self.counts
        refers = np.fromiter((segment.refers for segment in self.segments), np.int64, len(self.segments))
        table[:, SegmentColumn.REFERS] = np.where(refers >= 0, first_source[self.sequence] + refers, -1)
        streams = self._streams(table)
        lengths = np.bincount(self.sequence, weights=self.counts, minlength=self.num_rows).astype(np.int64)
        return Side(
            lengths=_tensor(lengths),
            causal=_tensor(causal),
            coordinates=_tensor(self._coordinates()),
            streams=streams,
            segments=_tensor(table),
        )

    def _coordinates(self) -> Int64:
        advance = self.grids.max(1, initial=0)
        start = _starts(advance)
        if len(start):
            opens = np.searchsorted(self.sequence, self.sequence)  # first segment of each segment's sequence
            start = start - start[opens]
        index = _within(self.counts)
        base = np.repeat(start, self.counts)
        if self.is_line.all():
            line = base + index
            return np.stack((line, line, line), 1)
        rows, columns = (np.repeat(self.grids[:, axis], self.counts) for axis in (1, 2))
        line = np.repeat(self.is_line, self.counts)
        offsets = np.stack((index // (rows * columns), index // columns % rows, index % columns), 1)
        offsets[line] = index[line, None]
        coordinates: Int64 = base[:, None] + offsets
        return coordinates

    def _streams(self, table: Int64) -> tuple[Stream, ...]:
        members: dict[str, list[int]] = {}
        for number, segment in enumerate(self.segments):
            members.setdefault(segment.adaptor, []).append(number)
        streams = []
        for index, (adaptor, numbers) in enumerate(sorted(members.items())):
            chosen = np.array(numbers, np.int64)
            table[chosen, SegmentColumn.STREAM] = index
            table[chosen, SegmentColumn.ITEM] = np.arange(len(chosen))
            begins = self.begins[chosen]
            items = [self.segments[number] for number in numbers]
            try:
                units = np.concatenate([item.units for item in items])
                shapes = np.array([item.shape for item in items], np.int64)
            except ValueError as error:
                raise ValueError(f"items of the stream `{adaptor}` differ in width or dimensions: {error}") from error
            streams.append(
                Stream(
                    adaptor=adaptor,
                    units=_tensor(units),
                    shapes=_tensor(shapes),
                    token_positions=_tensor(_ranges(self.token_start[chosen] + begins, self.counts[chosen] - begins)),
                    begin_positions=_tensor(self.token_start[chosen][begins > 0]),
                    **_noise(items, adaptor),
                )
            )
        return tuple(streams)

    def token_labels(self) -> TokenLabels:
        numbers = [number for number, segment in enumerate(self.segments) if segment.labels is not None]
        labelled = [self.segments[number] for number in numbers]
        chosen = np.array(numbers, np.int64)
        counts = self.counts[chosen]
        weights = _concatenate([segment.weights for segment in labelled], np.float32)
        kept = np.flatnonzero(weights > 0)
        slots = np.array([segment.label_slot for segment in labelled], np.int64)
        return TokenLabels(
            positions=_tensor(_ranges(self.token_start[chosen], counts)[kept]),
            ids=_tensor(_concatenate([segment.labels for segment in labelled], np.int64)[kept]),
            weights=_tensor(weights[kept]),
            slots=_tensor(np.repeat(slots, counts)[kept]),
            segments=_tensor(np.repeat(chosen, counts)[kept]),
            nodes=_tensor(_concatenate([segment.nodes for segment in labelled], np.int64)[kept]),
        )

    def frame_labels(self) -> tuple[FrameLabels, ...]:
        members: dict[str, list[int]] = {}
        for number, segment in enumerate(self.segments):
            if segment.frames is not None:
                members.setdefault(segment.adaptor, []).append(number)
        found = []
        for adaptor, numbers in sorted(members.items()):
            labelled = [self.segments[number] for number in numbers]
            chosen = np.array(numbers, np.int64)
            counts = self.counts[chosen]
            weights = _concatenate([segment.weights for segment in labelled], np.float32)
            kept = np.flatnonzero(weights > 0)
            slots = np.array([segment.label_slot for segment in labelled], np.int64)
            found.append(
                FrameLabels(
                    adaptor=adaptor,
                    positions=_tensor(_ranges(self.token_start[chosen], counts)[kept]),
                    frames=_tensor(_concatenate([segment.frames for segment in labelled], np.float32)[kept]),
                    stop=_tensor(_concatenate([segment.stop for segment in labelled], np.float32)[kept]),
                    weights=_tensor(weights[kept]),
                    slots=_tensor(np.repeat(slots, counts)[kept]),
                    segments=_tensor(np.repeat(chosen, counts)[kept]),
                )
            )
        return tuple(found)


def _noise(items: Sequence[EncodedSegment], adaptor: str) -> dict[str, Tensor]:
    """Times and noise of a stream whose items are answers by diffusion."""
    times = [item.time for item in items if item.time is not None]
    if not times:
        return {}
    if len(times) != len(items):
        raise ValueError(f"the stream `{adaptor}` holds answers by diffusion and other items")
    noise = [item.noise for item in items if item.noise is not None]
    found = {"times": _tensor(np.array(times, np.float32))}
    return found | ({"noise": _tensor(np.concatenate(noise))} if noise else {})


def _starts(counts: Int64) -> Int64:
    """Where each run begins when runs follow each other: the exclusive running sum."""
    return np.cumsum(counts) - counts


def _within(counts: Int64) -> Int64:
    """0 .. count - 1 for each run, one after the other."""
    return np.arange(counts.sum()) - np.repeat(_starts(counts), counts)


def _ranges(starts: Int64, counts: Int64) -> Int64:
    """start .. start + count - 1 for each run, one after the other."""
    return np.repeat(starts, counts) + _within(counts)


def _concatenate(arrays: Sequence[NDArray[Any] | None], dtype: type) -> NDArray[Any]:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else np.zeros(0, dtype)


def _tensor(array: NDArray[Any]) -> Tensor:
    """The array as a tensor that owns contiguous memory."""
    return torch.from_numpy(np.ascontiguousarray(array))
