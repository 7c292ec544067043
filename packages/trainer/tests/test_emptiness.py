"""Rows with empty cells: inputs are read as nothing, rows without an answer are left out; both counted, and told once."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from ofa_trainer import Task, Trainer
from ofa_trainer.reporting.events import Event, RowSkipped, RunEnded, ValueEmpty
from ofa_trainer.stream import TooManyBadRows
from PIL import Image

LINE = "[IMAGE:img] [TEXT:note] what is it? -> [TEXT:label,closed_set]"


class Events:
    def __init__(self) -> None:
        self.seen: list[Event] = []

    def report(self, event: Event) -> None:
        self.seen.append(event)

    def close(self) -> None:
        pass


def rows(count: int = 40) -> list[dict[str, object]]:
    picture = Image.new("RGB", (16, 16))
    return [{"img": picture, "note": f"note {n}", "label": "yes" if n % 2 else "no"} for n in range(count)]


def fit(made: list[dict[str, object]], line: str = LINE, **options: object) -> list[Event]:
    events = Events()
    task = Task("t", line, train=made, valid=False)
    settings = {"steps": 4, "batch_tokens": 256, "tokenizer_size": 300, "valid_metrics": False, **options}
    Trainer(reporters=(events,), **settings).fit("nano", [task])
    return events.seen


def test_empty_inputs_are_read_counted_and_told_once_a_column(caplog: pytest.LogCaptureFixture) -> None:
    made = rows()
    for number in range(0, 40, 2):
        made[number]["img"] = None if number % 4 else ""
    for number in range(0, 40, 4):
        del made[number]["note"]
    events = fit(made)
    assert not [event for event in events if isinstance(event, RowSkipped)]
    told = [event for event in events if isinstance(event, ValueEmpty)]
    assert sorted(event.column for event in told) == ["t/img", "t/note"]
    assert all("read as nothing; `required`" in event.message for event in told)
    ended = events[-1]
    assert isinstance(ended, RunEnded)
    assert ended.bad_rows == 0
    assert ended.empty["t/img"] > ended.empty["t/note"] > 0
    assert f"`t/img`: empty in {ended.empty['t/img']} of" in caplog.text


def test_required_makes_them_bad_rows() -> None:
    made = rows()
    made[3]["img"] = ""
    made[5]["note"] = None
    events = fit(made, LINE.replace("[IMAGE:img]", "[IMAGE:img,required]"))
    skipped = [event for event in events if isinstance(event, RowSkipped)]
    assert {event.address for event in skipped} == {"t/train:row 4"}
    assert "its slot is `required`" in skipped[0].message


@pytest.mark.parametrize("empty", [None, "", float("nan")])
def test_rows_without_an_answer_are_no_training_rows_however_many(empty: object, caplog: pytest.LogCaptureFixture) -> None:
    made = rows()
    for number, row in enumerate(made):
        if number % 8:
            row["label"] = empty
    made[0]["label"], made[8]["label"] = "no", "yes"
    events = fit(made, max_bad_in_a_row=2, max_bad_share=0.01)
    assert not [event for event in events if isinstance(event, RowSkipped)]
    (told,) = [event for event in events if isinstance(event, ValueEmpty)]
    assert told.column == "t/label"
    assert "is no training row" in told.message
    ended = events[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.bad_rows, set(ended.empty)) == (0, {"t/label"})
    assert "`t/label`: empty in" in caplog.text


def test_data_without_any_answer_ends_the_run() -> None:
    made: list[dict[str, object]] = [{"note": f"note {n}", "label": None} for n in range(10)]
    with pytest.raises(TooManyBadRows, match="task `t`: no row has an answer"):
        fit(made, "[TEXT:note] -> [TEXT:label]")


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_count_the_same(workers: int, tmp_path: Path) -> None:
    made = rows()
    for number in range(0, 40, 3):
        made[number]["note"] = " "
    for number in range(0, 40, 5):
        made[number]["label"] = ""
    task = Task("t", LINE, train=made, valid=False)
    trainer = Trainer(steps=3, batch_tokens=256, tokenizer_size=300, workers=workers, valid_metrics=False)
    trained = trainer.fit("nano", [task], output=tmp_path / "run")
    assert trained.state.empty == {"t/note": trained.state.empty["t/note"], "t/label": trained.state.empty["t/label"]}
    ended = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert ended["empty"] == trained.state.empty


def test_validation_and_evaluation_leave_out_rows_without_an_answer_in_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    held_out = rows(20)
    for row in held_out[5:]:
        row["label"] = ""
    held_out[0]["img"] = None
    task = Task("t", LINE, train=rows(), valid=held_out, test=held_out)
    with caplog.at_level(logging.WARNING):
        trained = Trainer(steps=2, batch_tokens=256, tokenizer_size=300, valid_metrics=False).fit("nano", [task])
        evaluation = trained.evaluate("test")
    assert evaluation.tasks["t"].rows == 5
    assert caplog.text.count("15 validation rows have an empty `label` and are left out, the first t/valid:row 6") == 1
    assert caplog.text.count("15 evaluation rows have an empty `label` and are left out, the first t/test:row 6") == 1
    assert "row skipped" not in caplog.text


@pytest.mark.parametrize("transform", ["crop", {"mirror": {"sides": "none"}}])
def test_transforms_pass_over_empty_cells(transform: object) -> None:
    line = "[IMAGE:img] [TEXT:note] where? -> ([BOX:boxes])* ||| [TEXT:note] [IMAGE:img] where? -> ([BOX:boxes])*"
    made: list[dict[str, object]] = [
        {"img": Image.new("RGB", (16, 16)), "note": "", "boxes": [[1, 2, 9, 9]]},
        {"img": Image.new("RGB", (16, 16)), "note": None, "boxes": []},
        {"img": "", "note": "none", "boxes": []},
    ] * 4
    task = Task("t", line, train=made, valid=False, transforms=[transform])  # type: ignore[list-item]
    trained = Trainer(steps=2, batch_tokens=256, tokenizer_size=300, max_bad_in_a_row=1).fit("nano", [task])
    assert trained.state.stream.bad == 0


def test_a_model_learns_what_nothing_means() -> None:
    noise = np.random.default_rng(0)
    made: list[dict[str, object]] = [
        {"img": noise.integers(0, 256, (8, 8, 3), np.uint8) if n % 2 else None, "label": "seen" if n % 2 else "unseen"}
        for n in range(24)
    ]
    line = "[IMAGE:img] is there a picture? -> [TEXT:label,closed_set]"
    task = Task("t", line, train=made, valid=False, test=made)
    trained = Trainer(steps=40, batch_tokens=256, tokenizer_size=300).fit("nano", [task])
    assert trained.evaluate("test").figures()["t"]["label/accuracy"].value == 1.0
    assert trained.session()("t", img=None).text == "unseen"
