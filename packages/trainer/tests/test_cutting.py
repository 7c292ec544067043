"""Answers that are cut are told before the first step, counted on the way, and judged as far as they were read."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from ofa_models import GenerationOptions
from ofa_trainer import Task, Trainer
from ofa_trainer.cutting import look_for_cuts
from ofa_trainer.metrics.infilling import masked_words

LONG = " ".join(f"word{number}" for number in range(40))
ROWS = [{"q": f"q {number}", "a": LONG if number % 2 else "short", "tags": ["x"] * (number % 4)} for number in range(24)]
LINE = "[TEXT:q] -> [TEXT:a,max_length=8]"


def _trainer(**options: Any) -> Trainer:
    return Trainer(steps=3, batch_tokens=256, tokenizer_size=300, valid_metrics=False, **options)


def test_they_are_told_at_the_start_counted_in_the_log_and_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tasks = [Task("long", LINE, train=ROWS, valid=False), Task("short", LINE, train=ROWS[::2], valid=False)]
    with caplog.at_level(logging.WARNING):
        trained = _trainer().fit("nano", tasks, output=tmp_path)
    start, end = (record.getMessage() for record in caplog.records)
    assert start.startswith("`long/a`: 12 of 24 rows looked at")
    assert "no end behind them" in start
    counted = trained.state.cuts["long/a"]
    assert end == f"`long/a`: {counted} of {trained.state.stream.counts[0]} rows drawn were longer than the limit"
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [event["column"] for event in events if event["event"] == "cut"] == ["long/a"]
    assert events[-1]["cuts"] == {"long/a": counted}


def test_what_is_only_seen_on_the_way_is_told_with_its_row() -> None:
    seen: list[Any] = []

    class Listener:
        def report(self, event: Any) -> None:
            seen.append(event)

        def close(self) -> None: ...

    task = Task("tags", "[TEXT:q] -> ([TEXT:tags])*", train=ROWS, valid=False)
    trainer = _trainer(reporters=[Listener()], generation=GenerationOptions(max_items=2))
    trained = trainer.fit("nano", [task])
    (event,) = (event for event in seen if event.event == "cut")
    assert event.step == 1
    assert "row" in event.address
    assert event.message == "[TEXT:tags] holds 3 items, all of them learnt, and answers stop at generation.max_items=2"
    assert trained.state.cuts["tags/tags"] > 0


def test_looking_for_them_opens_no_file_and_reads_lists() -> None:
    line = "[IMAGE:img] [TEXT:q,max_length=2] -> ([TEXT:a,max_length=4])*"
    rows = [{"img": None, "q": "a b c d e", "a": [LONG, "x"]} for _ in range(4)]
    rows[0]["img"] = __import__("PIL.Image").Image.new("RGB", (16, 16))
    prepared = _trainer().prepare("nano", [Task("t", line, train=rows, valid=False)])
    assert [(found.column, found.rows, found.total) for found in look_for_cuts(prepared)] == [("t/q (read)", 4, 4), ("t/a", 4, 4)]


def test_answers_that_stop_at_a_limit_are_counted() -> None:
    task = Task("t", "[TEXT:q] -> [TEXT:a,max_length=2]", train=[{"q": "x", "a": LONG}] * 8, test=ROWS[:4], valid=False)
    found = _trainer().fit("nano", [task]).evaluate("test").tasks["t"]
    assert found.unfinished == {"a": 4}


def test_words_behind_the_end_of_what_was_read_were_not_masked() -> None:
    reference = "the black cat sat on the mat and slept"
    assert masked_words("the <mask> cat", reference, is_cut=True) == [1]
    assert masked_words("the black <mask>", reference, is_cut=True) == [2]
    assert masked_words("the black <mask>", reference) == [2, 3, 4, 5, 6, 7, 8]
