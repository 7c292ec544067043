"""Streams, sequences, segments: the packed batch that models are given.

    # R rows, T packed tokens of a side, S segments of a side, I items and U units of a stream, F features, L labelled positions

Row r owns sequence r of the source side and sequence r of the target side (either may be empty). Tokens of a
sequence are contiguous and sequences follow each other in row order, so ``lengths`` alone gives the block diagonal.
Nothing is padded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import IntEnum
from typing import TypeVar

import torch
from ofa_instruction.plans import SlotPlan
from torch import Tensor

from ofa_modalities.prefix_tree import PrefixTree

T = TypeVar("T")


class SegmentColumn(IntEnum):
    """Columns of :attr:`Side.segments`."""

    SEQUENCE = 0
    SLOT = 1  # index into PackedBatch.slots; -1 for fixed text and the control tokens of a repeat
    STREAM = 2  # index into Side.streams
    ITEM = 3  # index into Stream.shapes
    TOKEN_START = 4
    NUM_TOKENS = 5
    REFERS = 6  # row of the source side's segment table that this segment refers to, or -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The units that pass through one adaptor, item after item.

    units: int64 ``[U]`` ids or float32 ``[U, F]``. On the target side ids are the shifted inputs (begin token first);
        float units are shifted too: the last unit of an item is never an input, so an item of n frames gives n - 1 units.
    shapes: int64 ``[I, dims]`` shape of each item in units (on the target side: of the units present here).
    token_positions: int64 ``[N]`` where the tokens of these units go in the side.
    begin_positions: int64 ``[B]`` target tokens filled with the adaptor's begin vector (float streams only).
    noise float32 ``[U, F]`` and times float32 ``[I]`` in [0, 1): of answers by diffusion, whose units are the clean ones and are
        mixed with the noise as the adaptor's schedule says at that time. times without noise: the units are noisy already.
    """

    adaptor: str
    units: Tensor
    shapes: Tensor
    token_positions: Tensor
    begin_positions: Tensor
    noise: Tensor | None = None
    times: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """All source sequences, or all target sequences, of a batch.

    lengths: int64 ``[R]`` tokens of each sequence, 0 allowed; ``lengths.sum() == T``.
    causal: bool ``[R]``; False: every token of the sequence sees every other.
    coordinates: int64 ``[T, 3]`` rotary coordinates.
    segments: int64 ``[S, len(SegmentColumn)]``.
    """

    lengths: Tensor
    causal: Tensor
    coordinates: Tensor
    streams: tuple[Stream, ...]
    segments: Tensor

    @property
    def num_tokens(self) -> int:
        """T."""
        return self.coordinates.shape[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLabels:
    """Target positions whose next unit is an id, those with a weight only.

    positions: int64 ``[L]`` into the target side's tokens, ascending. ids: int64 ``[L]``. weights: float32 ``[L]`` > 0.
    slots: int64 ``[L]`` into PackedBatch.slots. segments: int64 ``[L]`` rows of the target side's segment table
    (control tokens of a repeat carry the slot of the repeat's first target slot).
    nodes: int64 ``[L]`` node of the slot's prefix tree from which this id was chosen; -1: any token of the slot's blocks.
    """

    positions: Tensor
    ids: Tensor
    weights: Tensor
    slots: Tensor
    segments: Tensor
    nodes: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLabels:
    """Target positions whose next unit is a float row, of one stream.

    positions ``[L]``, frames float32 ``[L, F]``, stop float32 ``[L]`` (1 at an item's last frame),
    weights, slots, segments ``[L]``.
    """

    adaptor: str
    positions: Tensor
    frames: Tensor
    stop: Tensor
    weights: Tensor
    slots: Tensor
    segments: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSlot:
    """One line of the run's slot table: the same object in every batch of a run."""

    task: str
    slot: SlotPlan
    tree: PrefixTree | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBatch:
    """Rows of any mixture of tasks, packed.

    tasks: int64 ``[R]`` index into ``task_names``. addresses: where each row came from, for reports.
    """

    task_names: tuple[str, ...]
    slots: tuple[BatchSlot, ...]
    tasks: Tensor
    addresses: tuple[str, ...]
    source: Side
    target: Side
    token_labels: TokenLabels
    frame_labels: tuple[FrameLabels, ...]

    def __repr__(self) -> str:
        tokens = f"{self.source.num_tokens:,} source + {self.target.num_tokens:,} target tokens"
        return f"PackedBatch({self.num_rows:,} rows of {len(self.task_names)} tasks, {tokens}, {self.tasks.device})"

    @property
    def num_rows(self) -> int:
        """R."""
        return self.tasks.shape[0]

    @property
    def num_tokens(self) -> int:
        """Source and target tokens together: what the token budget counts."""
        return self.source.num_tokens + self.target.num_tokens

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PackedBatch:
        """The same batch with every tensor on ``device``."""
        return _map_tensors(self, lambda tensor: tensor.to(device, non_blocking=non_blocking))


def _map_tensors(value: T, function: Callable[[Tensor], Tensor]) -> T:
    """Apply ``function`` to every tensor inside nested frozen dataclasses and tuples of them."""
    changes: dict[str, object] = {}
    for field in fields(value):  # type: ignore[arg-type]
        part = getattr(value, field.name)
        if isinstance(part, Tensor):
            changes[field.name] = function(part)
        elif isinstance(part, Side | Stream | TokenLabels | FrameLabels):
            changes[field.name] = _map_tensors(part, function)
        elif isinstance(part, tuple) and part and is_dataclass(part[0]) and not isinstance(part[0], BatchSlot):
            changes[field.name] = tuple(_map_tensors(item, function) for item in part)
    return replace(value, **changes)  # type: ignore[type-var]
