"""Answers of validation rows end where more would say nothing, and answering ends with its time."""

from __future__ import annotations

import pytest
from ofa_models.plans import GenerationOptions
from ofa_trainer import Task, Trained, Trainer
from trainer_rows import text_rows


@pytest.fixture(scope="module")
def trained() -> Trained:
    rows: list[dict[str, object]] = [row | {"words": str(row["text"]).split()} for row in text_rows(60)]
    tasks = [
        Task("first", "say [TEXT:text] -> [TEXT:first,max_length=60]", train=rows, valid=rows),
        Task("all", "list [TEXT:text] -> ([TEXT:words,max_length=60])*", train=rows, valid=rows),
        Task("has", "a cat in [TEXT:text] ? -> [TEXT:has,closed_set]", train=rows, valid=rows),
    ]
    return Trainer(steps=1, batch_tokens=256, tokenizer_size=300, valid_metrics=False).fit("nano", tasks)


def test_answers_end_at_so_many_times_the_longest_reference(trained: Trained) -> None:
    from ofa_trainer.limits import limited

    session, given = trained.session(), GenerationOptions(max_items=32)
    references = [{"first": "cat", "words": ["red", "cat"], "has": "no"}]
    assert limited(given, session.resolve("has"), references, 2.0) == given
    first = limited(given, session.resolve("first"), references, 2.0)
    assert first.max_length is not None
    assert 8 < first.max_length < 20
    assert first.max_items == 32
    listed = limited(given, session.resolve("all"), references, 2.0)
    assert listed.max_items == 5
    long = [{"first": "house " * 60}]
    assert limited(given, session.resolve("first"), long, 2.0) == given  # its own limit is nearer


def test_an_evaluation_without_time_answers_a_spread_batch_of_each_task(trained: Trained) -> None:
    found = trained.evaluate("valid", seconds=0.0, slack=2.0)
    assert {name: task.rows for name, task in found.tasks.items()} == {"first": 16, "all": 16, "has": 16}
    assert found.tasks["has"].indices != tuple(range(16))
    again = trained.evaluate("valid", seconds=0.0, slack=2.0)
    assert again.tasks["has"].indices == found.tasks["has"].indices
    assert trained.evaluate("valid", seconds=1000.0, slack=2.0).tasks["has"].rows == 60
