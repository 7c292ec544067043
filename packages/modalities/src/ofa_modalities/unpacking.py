"""A packed batch, turned back into what a person can read: what a model is really given, segment by segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.batch import FrameLabels, PackedBatch, SegmentColumn, Side, Stream
from ofa_modalities.encoder import TaskEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelView:
    """What one token must answer: ``position`` within its segment, the id's spelling, and its weight in the loss."""

    position: int
    token: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentView:
    """One segment.

    column and modality: None for fixed text and control tokens. stream: its adaptor. num_tokens and shape: of the tokens' units.
    tokens: spellings of its ids, begin token included; empty for floats.
    value: what its units show, rebuilt from the batch: a text, a picture, an array; None for targets, whose units are shifted.
    labels: for ids. num_frame_labels: for floats. refers: number of the row's source segment that it refers to, or None.
    """

    column: str | None
    modality: str | None
    stream: str
    num_tokens: int
    shape: tuple[int, ...]
    tokens: tuple[str, ...]
    value: object
    labels: tuple[LabelView, ...]
    num_frame_labels: int
    refers: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """One row of a batch."""

    task: str
    address: str
    source: tuple[SegmentView, ...]
    target: tuple[SegmentView, ...]


def unpack(batch: PackedBatch, encoder: TaskEncoder) -> tuple[RowView, ...]:
    """The rows of a batch, in order. ``encoder`` is the one that made it."""
    sides = [_SideView(side, batch, encoder, is_target=side is batch.target) for side in (batch.source, batch.target)]
    first_source = np.searchsorted(sides[0].table[:, SegmentColumn.SEQUENCE], np.arange(batch.num_rows))
    return tuple(
        RowView(
            task=batch.task_names[int(batch.tasks[row])],
            address=batch.addresses[row],
            source=sides[0].row(row, int(first_source[row])),
            target=sides[1].row(row, int(first_source[row])),
        )
        for row in range(batch.num_rows)
    )


class _SideView:
    def __init__(self, side: Side, batch: PackedBatch, encoder: TaskEncoder, *, is_target: bool) -> None:
        self.side = side
        self.batch = batch
        self.encoder = encoder
        self.is_target = is_target
        self.table: NDArray[np.int64] = side.segments.cpu().numpy()
        self.ends = [stream.shapes.cpu().prod(1).cumsum(0).tolist() for stream in side.streams]
        self.labels: dict[int, list[LabelView]] = {}
        self.num_frames: dict[int, int] = {}
        if is_target:
            self._read_labels()

    def _read_labels(self) -> None:
        labels = self.batch.token_labels
        tokens = self.encoder.vocabulary.spell(labels.ids.tolist())
        columns = (labels.positions.tolist(), tokens, labels.weights.tolist(), labels.segments.tolist())
        for position, token, weight, segment in zip(*columns, strict=True):
            start = int(self.table[segment, SegmentColumn.TOKEN_START])
            view = LabelView(position=position - start, token=token, weight=weight)
            self.labels.setdefault(segment, []).append(view)
        frame_labels: tuple[FrameLabels, ...] = self.batch.frame_labels
        for group in frame_labels:
            for segment in group.segments.tolist():
                self.num_frames[segment] = self.num_frames.get(segment, 0) + 1

    def row(self, row: int, first_source: int) -> tuple[SegmentView, ...]:
        numbers = np.flatnonzero(self.table[:, SegmentColumn.SEQUENCE] == row).tolist()
        return tuple(self._segment(number, first_source) for number in numbers)

    def _segment(self, number: int, first_source: int) -> SegmentView:
        line, stream_index, item, count, refers = (
            int(self.table[number, column])
            for column in (
                SegmentColumn.SLOT,
                SegmentColumn.STREAM,
                SegmentColumn.ITEM,
                SegmentColumn.NUM_TOKENS,
                SegmentColumn.REFERS,
            )
        )
        stream: Stream = self.side.streams[stream_index]
        ends = self.ends[stream_index]
        units = stream.units[(ends[item - 1] if item else 0) : ends[item]].cpu().numpy()
        shape = tuple(stream.shapes[item].tolist())
        is_ids = units.ndim == 1
        slot = self.batch.slots[line].slot if line >= 0 else None
        value: object = None
        if slot is None:
            value = self.encoder.vocabulary.tokenizer.decode(units.tolist()) or None
        elif not self.is_target:
            value = self.encoder.processor(line).show(units[1:] if is_ids else units, shape)
        return SegmentView(
            column=slot.column if slot else None,
            modality=slot.modality if slot else None,
            stream=stream.adaptor,
            num_tokens=count,
            shape=shape,
            tokens=tuple(self.encoder.vocabulary.spell(units.tolist())) if is_ids else (),
            value=value,
            labels=tuple(self.labels.get(number, ())),
            num_frame_labels=self.num_frames.get(number, 0),
            refers=refers - first_source if refers >= 0 else None,
        )
