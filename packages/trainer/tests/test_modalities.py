"""Tasks over pictures and boxes from files: they train, and what is broken is named."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from ofa_trainer import Task, Trainer
from ofa_trainer.reporting import Event, RowSkipped, StepDone
from PIL import Image, ImageDraw

COLOURS = ("red", "green", "blue")
CLASSIFY = "[IMAGE:img] what colour is it? -> [TEXT:label,closed_set]"
GROUND = '[IMAGE:img] which region does the text " [TEXT:label] " describe? -> [BOX:region]'
DETECT = "[IMAGE:img] what is there? -> ([BOX:regions] [TEXT:labels])*"


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def report(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass


def write_pictures(folder: Path, count: int) -> list[dict[str, object]]:
    """Pictures of one coloured rectangle on black."""
    rng = random.Random(0)
    rows: list[dict[str, object]] = []
    (folder / "pictures").mkdir()
    for number in range(count):
        colour = rng.choice(COLOURS)
        left, top = rng.randrange(20), rng.randrange(20)
        box = [left, top, left + 12, top + 10]
        picture = Image.new("RGB", (32, 32))
        ImageDraw.Draw(picture).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=colour)
        name = f"pictures/{number}.png"
        picture.save(folder / name)
        rows.append({"img": name, "label": colour, "region": box, "regions": [box], "labels": [colour]})
    return rows


def write_csv(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["img", "label"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def fit(tasks: Sequence[Task], **options: object) -> list[Event]:
    recorder = Recorder()
    trainer = Trainer(  # type: ignore[arg-type]
        **({"steps": 6, "batch_tokens": 1024, "tokenizer_size": 300, "log_every": 1, "valid_metrics": False} | options),
        reporters=[recorder],
    )
    trainer.fit("nano", tasks)
    return recorder.events


def test_broken_pictures_are_skipped_and_named(tmp_path: Path) -> None:
    rows = write_pictures(tmp_path, 60)
    (tmp_path / "pictures/3.png").write_bytes((tmp_path / "pictures/3.png").read_bytes()[:40])
    (tmp_path / "pictures/5.png").write_bytes(b"")
    rows[7]["img"] = "pictures/none.png"
    rows[9]["img"] = "../outside.png"
    Image.new("RGB", (8, 8)).save(tmp_path.parent / "outside.png")
    task = Task("colour", CLASSIFY, train=write_csv(tmp_path / "my.csv", rows), valid=False)
    events = fit([task], max_bad_share=0.5, steps=12)
    skipped = {event.address: event for event in events if isinstance(event, RowSkipped)}
    assert set(skipped) == {"my.csv:row 4", "my.csv:row 6", "my.csv:row 8", "my.csv:row 10"}
    assert {event.column for event in skipped.values()} == {"img"}
    last = [event for event in events if isinstance(event, StepDone)][-1]
    assert last.bad_rows >= 4


def test_pictures_boxes_and_repeats_train_together(tmp_path: Path) -> None:
    rows = write_pictures(tmp_path, 60)
    (tmp_path / "my.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    path = tmp_path / "my.jsonl"
    events = fit(
        [Task("colour", CLASSIFY, train=path), Task("ground", GROUND, train=path), Task("detect", DETECT, train=path)],
        batch_tokens=2048,
    )
    step = [event for event in events if isinstance(event, StepDone)][-1]
    assert set(step.losses) == {"colour", "ground", "detect"}
    assert {"ground/region/soft_bins", "ground/region/patch_cover", "detect/labels/cross_entropy"} <= set(step.terms)
    assert not [event for event in events if isinstance(event, RowSkipped)]


def test_criteria_of_a_task_replace_those_of_the_modality(tmp_path: Path) -> None:
    rows = write_pictures(tmp_path, 30)
    (tmp_path / "my.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    task = Task("ground", GROUND, train=tmp_path / "my.jsonl", criteria={"region": [("soft_bins", {"sigma_bins": 0.5})]})
    step = [event for event in fit([task], steps=1) if isinstance(event, StepDone)][-1]
    assert set(step.terms) == {"ground/region/soft_bins"}


@pytest.mark.parametrize("box", [[5, 5, 2, 2], [0, 0, 99, 99], [1, 2, 3], "x"])
def test_boxes_that_are_none_are_bad_rows(tmp_path: Path, box: object) -> None:
    rows = write_pictures(tmp_path, 30)
    rows[4]["region"] = box
    (tmp_path / "my.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    task = Task("ground", GROUND, train=tmp_path / "my.jsonl", valid=False)
    skipped = [event for event in fit([task], max_bad_share=0.5) if isinstance(event, RowSkipped)]
    assert {(event.address, event.column) for event in skipped} == {("my.jsonl:line 5", "region")}
