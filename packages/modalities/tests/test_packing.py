from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import PackedBatch, SampleError, SegmentColumn, fill_batches

WORD = st.sampled_from(["cat", "the dog", "a naïve end", "mat on the mat"])
PICTURE = st.tuples(st.integers(1, 70), st.integers(1, 70)).map(lambda size: np.zeros((*size, 3), np.uint8))


@st.composite
def rows(draw: Any) -> tuple[str, dict[str, object]]:
    task = draw(st.sampled_from(["vqa", "ground", "detect", "frames", "frames_in", "story", "two"]))
    picture = draw(PICTURE)
    height, width = picture.shape[:2]
    count = draw(st.integers(0, 3))
    row = {
        "img": picture,
        "img2": draw(PICTURE),
        "q": draw(WORD),
        "cap": draw(WORD),
        "story": draw(WORD),
        "answer": draw(st.sampled_from(["yes", "no", "not yet"])),
        "box": [0, 0, width, height],
        "boxes": [[0, 0, width, height]] * count,
        "names": [draw(WORD) for _ in range(count)],
        "a": draw(WORD),
        "b": draw(WORD),
        "f": np.random.default_rng(count).normal(size=(draw(st.integers(1, 5)), 2)),
    }
    return task, row


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    return make_run(
        {
            "vqa": "[IMAGE:img] [TEXT:q] -> [TEXT:answer,closed_set]",
            "ground": "[IMAGE:img] where is [TEXT:cap] ? -> [BOX:box]",
            "detect": "[IMAGE:img] what objects? -> ([BOX:boxes] [TEXT:names])*",
            "frames": "say [TEXT:a] -> [TEXT:b] [FRAMES:f]",
            "frames_in": "[FRAMES:f] -> [TEXT:b]",
            "story": "-> [TEXT:story]",
            "two": "[IMAGE:img] and [IMAGE:img2] -> [BOX:box,of=img] [TEXT:b]",
        },
        {"vqa": {"answer": ("yes", "no", "not yet")}},
    )


def _examples(run: Any, drawn: list[tuple[str, dict[str, object]]]) -> list[Any]:
    return [run.encode(task, row, address=f"row {number}") for number, (task, row) in enumerate(drawn)]


def _coordinates(segments: tuple[Any, ...]) -> list[tuple[int, int, int]]:
    """The rule of rotary coordinates, token by token."""
    found: list[tuple[int, int, int]] = []
    start = 0
    for segment in segments:
        if len(segment.layout) == 1:
            places = [(start + i,) * 3 for i in range(segment.layout[0])]
        else:
            rows, columns = segment.layout
            places = [(start, start + r, start + c) for r in range(rows) for c in range(columns)]
        found += places
        start = 1 + max(max(place) for place in places)
    return found


@given(st.lists(rows(), min_size=1, max_size=6))
def test_every_position_is_filled_by_exactly_one_stream(run: Any, drawn: Any) -> None:
    examples = _examples(run, drawn)
    batch: PackedBatch = run.encoder.pack(examples)
    assert batch.num_tokens == sum(example.num_tokens for example in examples)
    for side in (batch.source, batch.target):
        assert int(side.lengths.sum()) == side.num_tokens
        filled = [stream.token_positions for stream in side.streams] + [stream.begin_positions for stream in side.streams]
        assert sorted(torch.cat(filled).tolist() if filled else []) == list(range(side.num_tokens))
        for stream in side.streams:
            assert int(stream.shapes.prod(1).sum()) == len(stream.units) == len(stream.token_positions)
        table = side.segments
        assert int(table[:, SegmentColumn.NUM_TOKENS].sum()) == side.num_tokens
        ends = table[:, SegmentColumn.TOKEN_START] + table[:, SegmentColumn.NUM_TOKENS]
        assert torch.equal(ends[:-1], table[1:, SegmentColumn.TOKEN_START])


@given(st.lists(rows(), min_size=1, max_size=6))
def test_coordinates_follow_the_rule(run: Any, drawn: Any) -> None:
    examples = _examples(run, drawn)
    batch = run.encoder.pack(examples)
    for side, segments in ((batch.source, [e.source for e in examples]), (batch.target, [e.target for e in examples])):
        wanted = [place for row in segments for place in _coordinates(row)]
        assert side.coordinates.tolist() == [list(place) for place in wanted]


@given(st.lists(rows(), min_size=2, max_size=5))
def test_a_row_packed_alone_is_its_slice_of_the_batch(run: Any, drawn: Any) -> None:
    examples = _examples(run, drawn)
    batch = run.encoder.pack(examples)
    for number, example in enumerate(examples):
        alone = run.encoder.pack([example])
        for name in ("source", "target"):
            many, one = getattr(batch, name), getattr(alone, name)
            start = int(many.lengths[:number].sum())
            stop = start + int(many.lengths[number])
            assert torch.equal(many.coordinates[start:stop], one.coordinates)
            streams = {stream.adaptor: stream for stream in many.streams}
            for stream in one.streams:
                other = streams[stream.adaptor]
                inside = (other.token_positions >= start) & (other.token_positions < stop)
                assert torch.equal(other.units[inside], stream.units)
                assert torch.equal(other.token_positions[inside] - start, stream.token_positions)
        start, stop = (int(batch.target.lengths[: number + i].sum()) for i in (0, 1))
        inside = (batch.token_labels.positions >= start) & (batch.token_labels.positions < stop)
        for name in ("ids", "weights", "slots", "nodes"):
            assert torch.equal(getattr(batch.token_labels, name)[inside], getattr(alone.token_labels, name))
        assert torch.equal(batch.token_labels.positions[inside] - start, alone.token_labels.positions)


@given(st.lists(rows(), min_size=1, max_size=5))
def test_labels_lie_on_the_tokens_of_their_segments(run: Any, drawn: Any) -> None:
    batch = run.encoder.pack(_examples(run, drawn))
    for labels in (batch.token_labels, *batch.frame_labels):
        assert (labels.weights > 0).all()
        assert torch.equal(labels.positions, labels.positions.sort().values)
        table = batch.target.segments[labels.segments]
        offset = labels.positions - table[:, SegmentColumn.TOKEN_START]
        assert ((offset >= 0) & (offset < table[:, SegmentColumn.NUM_TOKENS])).all()
        for line, task in zip(labels.slots.tolist(), batch.tasks[table[:, SegmentColumn.SEQUENCE]].tolist(), strict=True):
            assert batch.slots[line].task == batch.task_names[task]
            assert batch.slots[line].slot.side == "target"


def test_a_box_refers_to_its_own_row_s_picture(run: Any) -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    row = {"img": picture, "img2": picture, "cap": "cat", "box": [0, 0, 8, 8], "b": "x"}
    batch = run.encoder.pack([run.encode("ground", row), run.encode("two", row), run.encode("ground", row)])
    for refers, row_number in zip(
        batch.target.segments[:, SegmentColumn.REFERS].tolist(),
        batch.target.segments[:, SegmentColumn.SEQUENCE].tolist(),
        strict=True,
    ):
        if refers >= 0:
            assert batch.source.segments[refers, SegmentColumn.SEQUENCE] == row_number
            line = int(batch.source.segments[refers, SegmentColumn.SLOT])
            assert batch.slots[line].slot.column == "img"
    assert (batch.target.segments[:, SegmentColumn.REFERS] >= 0).sum() == 3


def test_frames_are_labels_of_their_stream(run: Any) -> None:
    frames = np.arange(6, dtype=np.float32).reshape(3, 2)
    batch = run.encoder.pack([run.encode("frames", {"a": "x", "b": "y", "f": frames})] * 2)
    (labels,) = batch.frame_labels
    assert labels.frames.tolist() == [*frames.tolist(), *frames.tolist()]
    assert labels.stop.tolist() == [0, 0, 1] * 2
    stream = next(stream for stream in batch.target.streams if stream.adaptor == "frames")
    assert stream.shapes.tolist() == [[2], [2]]
    assert len(stream.begin_positions) == 2
    assert stream.begin_positions.tolist() == labels.positions[[0, 3]].tolist()


def test_packing_nothing_and_empty_sides(run: Any) -> None:
    assert run.encoder.pack([]).num_tokens == 0
    batch = run.encoder.pack([run.encode("story", {"story": "cat"})] * 2)
    assert batch.source.lengths.tolist() == [0, 0]
    assert batch.source.streams == ()
    assert batch.target.causal.all()
    assert not batch.source.causal.any()


def test_a_batch_moves_as_one(run: Any) -> None:
    batch = run.encoder.pack([run.encode("story", {"story": "cat"})])
    moved = batch.to("meta")
    assert moved.tasks.device.type == moved.target.streams[0].units.device.type == moved.token_labels.ids.device.type == "meta"
    assert moved.slots is batch.slots


@given(st.lists(st.sampled_from(["cat", "cat " * 6, "cat " * 30]), max_size=20), st.integers(20, 90))
def test_batches_keep_the_order_and_the_budget(run: Any, texts: list[str], budget: int) -> None:
    examples = [run.encode("story", {"story": text}, address=str(number)) for number, text in enumerate(texts)]
    dropped: list[str] = []
    batches = list(fill_batches(examples, budget, dropped=lambda example, error: dropped.append(error.address)))
    assert all(0 < sum(example.num_tokens for example in batch) <= budget for batch in batches)
    kept = [example.address for batch in batches for example in batch]
    assert kept == [example.address for example in examples if example.num_tokens <= budget]
    assert dropped == [example.address for example in examples if example.num_tokens > budget]
    for one, two in itertools.pairwise(batches):
        assert sum(example.num_tokens for example in one) + two[0].num_tokens > budget


def test_a_row_beyond_the_budget_is_raised_where_nobody_counts(run: Any) -> None:
    with pytest.raises(SampleError, match="do not fit a budget of 3"):
        list(fill_batches([run.encode("story", {"story": "the cat sat"})], 3))
