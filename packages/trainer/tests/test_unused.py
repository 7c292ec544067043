"""Options that change nothing are told: of the trainer, of generation, of a task."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from ofa_instruction import OFAWarning
from ofa_models import GenerationOptions
from ofa_trainer import Task, Trainer, TrainerOptions
from ofa_trainer.unused import unused_generation_options, unused_trainer_options

ROWS = [{"q": f"q {number}", "a": "yes" if number % 2 else "no"} for number in range(12)]
LINE = "[TEXT:q] -> [TEXT:a,closed_set]"


def told(options: dict[str, Any], *, weighted: bool = False, validates: bool = True) -> list[str]:
    found = unused_trainer_options(TrainerOptions(**options), weighted=weighted, validates=validates)
    return [message.partition(":")[0].removeprefix("`trainer.") for message in found]


@pytest.mark.parametrize(
    ("options", "flags", "names"),
    [
        ({"temperature": 2.0}, {}, ["temperature"]),
        ({"temperature": 2.0, "mixture": "temperature"}, {}, []),
        ({"temperature": 2.0, "mixture": "temperature"}, {"weighted": True}, ["mixture", "temperature"]),
        ({"decay_share": 0.2, "schedule": "cosine"}, {}, ["decay_share"]),
        ({"final_lr": 0.1, "schedule": "constant"}, {}, ["final_lr"]),
        ({"muon_lr": 0.1, "optimizer": "adamw"}, {}, ["muon_lr"]),
        ({"tokenizer": "folder", "tokenizer_size": 999}, {}, ["tokenizer_size"]),
        ({"valid_rows": 9, "validate_every": 3}, {"validates": False}, ["valid_rows", "validate_every"]),
        ({"valid_rows": 9, "validate_every": 3, "decay_share": 0.2, "muon_lr": 0.1, "final_lr": 0.1}, {}, []),
    ],
)
def test_options_of_the_trainer(options: dict[str, Any], flags: dict[str, bool], names: list[str]) -> None:
    assert told(options, **flags) == names


def test_options_of_generation_whatever_is_answered() -> None:
    assert not unused_generation_options(GenerationOptions(strategy="beam", num_beams=8, max_length=4))
    (message,) = unused_generation_options(GenerationOptions(top_p=0.5))
    assert message == "`generation.top_p: 0.5` has no effect: it is for strategy=`sample`"


def test_a_run_tells_of_both_and_an_evaluation_too(caplog: pytest.LogCaptureFixture) -> None:
    generation = GenerationOptions(max_length=4)
    trainer = Trainer(steps=1, batch_tokens=128, tokenizer_size=300, temperature=2.0, generation=generation)
    with caplog.at_level(logging.WARNING):
        trained = trainer.fit("nano", [Task("t", LINE, train=ROWS, test=ROWS, valid=False)])
    messages = " | ".join(record.getMessage() for record in caplog.records)
    assert "`trainer.temperature: 2.0` has no effect" in messages
    assert "generation: `max_length=4` has no effect: a closed set or a fixed length decides in any task" in messages
    with pytest.warns(OFAWarning, match="`num_beams=9` has no effect"):
        trained.evaluate("test", generation=GenerationOptions(num_beams=9))


def test_columns_that_nothing_reads_are_refused_and_those_of_metrics_are_not() -> None:
    trainer = Trainer(steps=1, tokenizer_size=300)
    rows = [{"x": "a", "y": "b"}] * 4
    with pytest.raises(ValueError, match=r"`columns` maps `qq` to `x`, and nothing reads `qq`; did you mean `q`"):
        trainer.prepare("nano", [Task("t", "[TEXT:q] -> [TEXT:a]", train=rows, columns={"qq": "x", "a": "y"}, valid=False)])
    query = [{"x": "a", "y": "SELECT 1", "z": "CREATE TABLE t (a)"}] * 4
    columns = {"q": "x", "a": "y", "database": "z"}
    task = Task("t", "[TEXT:q] -> [STRUCT:a,as=sql]", train=query, columns=columns, metrics=["execution_accuracy"], valid=False)
    trainer.prepare("nano", [task])


def test_candidates_are_given_by_the_name_of_a_set_or_its_column() -> None:
    line = "[TEXT:q] -> [TEXT:a,closed_set=answers]"
    for name in ("a", "answers"):
        task = Task("t", line, train=ROWS, closed_sets={name: ["no", "yes", "maybe"]}, valid=False)
        prepared = Trainer(steps=1, tokenizer_size=300).prepare("nano", [task])
        assert prepared.closed_sets["t"]["answers"] == ("no", "yes", "maybe")


def test_a_slot_without_candidates_takes_no_closed_set() -> None:
    with pytest.raises(ValueError, match="STRUCT takes no closed set"):
        Trainer(steps=1).prepare("nano", [Task("t", "[TEXT:q] -> [STRUCT:a,closed_set]", train=ROWS, valid=False)])
