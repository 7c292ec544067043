"""The stream: the same steps whoever encodes the rows, and every bad row with its address."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import numpy as np
import pytest
from ofa_modalities.processor import SampleError
from ofa_models import GeneralistModel
from ofa_trainer import Task, TooManyBadRows, Trainer
from ofa_trainer.preparing import Prepared
from ofa_trainer.source import Source
from ofa_trainer.stream import RowStream, StepRows, StreamState, cut
from ofa_trainer.trainer import row_stream
from trainer_rows import text_rows

INSTRUCTION = "what is the first word of [TEXT:text,noise_ratio=0.3] ? -> [TEXT:first]"


class Leaky:
    """Rows of which some cannot be read."""

    def __init__(self, count: int, bad: frozenset[int]) -> None:
        self.rows, self.bad = text_rows(count), bad

    def __len__(self) -> int:
        return len(self.rows)

    def address(self, index: int) -> str:
        return f"leaky:row {index + 1}"

    def fingerprint(self) -> str:
        return "leaky"

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        if index in self.bad:
            raise SampleError("text", "cannot be read")
        return self.rows[index]


def stream(source: object, **options: object) -> tuple[Prepared, RowStream]:
    trainer = Trainer(batch_tokens=256, tokenizer_size=300, **options)  # type: ignore[arg-type]
    tasks = [Task("first", INSTRUCTION, train=source, valid=False)]
    prepared = trainer.prepare(GeneralistModel("nano"), tasks)
    return prepared, row_stream(prepared, trainer.options)


def take(stream: RowStream, count: int, state: StreamState | None = None) -> list[StepRows]:
    steps = stream.steps(state or stream.start())
    found = list(islice(steps, count))
    steps.close()  # type: ignore[attr-defined]
    return found


def content(steps: list[StepRows]) -> list[object]:
    return [
        (
            [(row.address, [segment.units.tolist() for segment in (*row.source, *row.target)]) for row in step.examples],
            step.num_tokens,
            step.state,
            step.bad,
        )
        for step in steps
    ]


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_give_the_stream_of_the_main_process(workers: int) -> None:
    source = Leaky(50, frozenset({3, 20, 21}))
    alone = content(take(stream(source)[1], 8))
    assert content(take(stream(source, workers=workers)[1], 8)) == alone


def test_going_on_from_the_state_of_any_step() -> None:
    source = Leaky(50, frozenset({3, 20, 21}))
    steps = take(stream(source)[1], 9)
    assert steps[-1].state.counts[0] > 60  # across an epoch's end
    for at in (1, 5):
        assert content(take(stream(source)[1], 9 - at, steps[at - 1].state)) == content(steps[at:])


def test_steps_keep_to_the_budget() -> None:
    for step in take(stream(Leaky(50, frozenset()))[1], 6):
        assert step.num_tokens == sum(row.num_tokens for row in step.examples) <= 256


def test_bad_rows_are_named_and_counted() -> None:
    steps = take(stream(Leaky(40, frozenset({7})))[1], 6)
    bad = [str(row) for step in steps for row in step.bad]
    assert bad
    assert set(bad) == {"leaky:row 8:text: cannot be read"}
    assert steps[-1].state.bad == len(bad)


def test_too_many_bad_rows_in_a_row_stop_the_run() -> None:
    source = Leaky(60, frozenset(range(5, 60)))
    with pytest.raises(TooManyBadRows, match=r"(?s)4 rows in a row.*leaky:row \d+:text: cannot be read"):
        take(stream(source, max_bad_in_a_row=4)[1], 50)


def test_too_large_a_share_of_bad_rows_stops_the_run() -> None:
    source = Leaky(60, frozenset(range(0, 60, 4)))
    with pytest.raises(TooManyBadRows, match=r"of 2\d\d rows could not be used"):
        take(stream(source, max_bad_share=0.2)[1], 200)


def test_a_bug_in_a_transform_is_not_a_bad_row() -> None:
    def transform(row: Mapping[str, object], rng: np.random.Generator) -> Mapping[str, object]:
        raise ZeroDivisionError("in a transform")

    for workers, error in ((0, ZeroDivisionError), (1, RuntimeError)):
        trainer = Trainer(batch_tokens=256, tokenizer_size=300, workers=workers)
        tasks = [Task("first", INSTRUCTION, train=text_rows(30), transform=transform)]
        prepared = trainer.prepare(GeneralistModel("nano"), tasks)
        with pytest.raises(error, match="in a transform"):
            take(row_stream(prepared, trainer.options), 1)


def test_a_transform_draws_from_the_row_s_address() -> None:
    def shuffle(row: Mapping[str, object], rng: np.random.Generator) -> Mapping[str, object]:
        words = str(row["text"]).split()
        return {**row, "text": " ".join(rng.permutation(words))}

    def steps(workers: int) -> list[object]:
        trainer = Trainer(batch_tokens=256, tokenizer_size=300, workers=workers)
        tasks = [Task("first", INSTRUCTION, train=text_rows(30), transform=shuffle)]
        prepared = trainer.prepare(GeneralistModel("nano"), tasks)
        return content(take(row_stream(prepared, trainer.options), 3))

    assert steps(0) == steps(2)


def test_a_row_beyond_the_longest_is_a_bad_row() -> None:
    rows = [*text_rows(30), {"text": "red " * 200, "first": "red"}]
    _, found = stream(rows, max_row_tokens=64)
    bad = {str(row) for step in take(found, 12) for row in step.bad}
    assert len(bad) == 1
    assert "rows:row 31" in bad.pop().replace("first/train", "rows")


def test_cutting_keeps_the_order_and_evens_the_tokens() -> None:
    (step,) = take(stream(Leaky(50, frozenset()))[1], 1)
    for parts in (1, 2, 4, 100):
        pieces = cut(step.examples, parts)
        assert [row for piece in pieces for row in piece] == step.examples
        assert all(pieces)
        assert len(pieces) == min(parts, len(step.examples))
    sizes = [sum(row.num_tokens for row in piece) for piece in cut(step.examples, 4)]
    assert max(sizes) - min(sizes) <= 2 * max(row.num_tokens for row in step.examples)


def test_leaky_is_a_source() -> None:
    assert isinstance(Leaky(1, frozenset()), Source)
