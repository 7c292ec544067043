"""A training run over rows of which one in twenty is broken, in every kind of media, finishes and names them by address."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from ofa_trainer import Task, Trainer
from ofa_trainer.reporting import Event, RowSkipped, RunEnded, StepDone
from PIL import Image

ROWS = 20
BVH = "HIERARCHY\nROOT hip\n{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n"
BVH += "JOINT knee\n{\nOFFSET 0 -1 0\nCHANNELS 3 Zrotation Xrotation Yrotation\nEnd Site\n{\nOFFSET 0 -1 0\n}\n}\n}\n"


def motion(number: int) -> bytes:
    lines = [f"0 {1 + number / 10:.1f} 0 {number} 0 0 0 {frame} 0" for frame in range(8)]
    return f"{BVH}MOTION\nFrames: 8\nFrame Time: 0.05\n{chr(10).join(lines)}\n".encode()


def sound(number: int) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, (0.3 * np.sin(np.arange(2000) * (0.1 + number / 100))).astype(np.float32), 8000, format="WAV")
    return content.getvalue()


def picture(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (16, 16), (number * 10, 0, 0)).save(content, "PNG")
    return content.getvalue()


def clip(number: int) -> bytes:
    frames = [Image.new("RGB", (16, 16), (0, number * 10, shade)) for shade in (0, 80, 160)]
    content = io.BytesIO()
    frames[0].save(content, "WEBP", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    return content.getvalue()


KINDS: dict[str, tuple[str, Any, Any]] = {
    "hear": ("[AUDIO:value,sample_rate=8000,num_mels=16]", sound, sound(1)[:60]),
    "look": ("[IMAGE:value]", picture, picture(1)[:40]),
    "watch": ("[VIDEO:value,num_frames=2]", clip, clip(1)[:50]),
    "move": ("[MOTION:value]", motion, motion(1)[:120]),
    "read": ("[STRUCT:value]", lambda number: [["a", "b"], [str(number), "x"]], [["a", "b"], ["1"], ["1", "2", "3"]]),
    "say": ("[PHONE:value]", lambda number: f"word{number}", "…"),
}
"""By task: its source slot, what makes a good value, a broken one."""
BROKEN_ROW = 7


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def report(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(scope="module")
def events() -> list[Event]:
    tasks = []
    for name, (slot, good, broken) in KINDS.items():
        rows = [{"value": broken if row == BROKEN_ROW else good(row), "answer": f"{row % 3}"} for row in range(ROWS)]
        tasks.append(Task(name, f"{slot} which? -> [TEXT:answer]", train=rows, valid=False))
    recorder = Recorder()
    options = {"steps": 4, "batch_tokens": 2500, "tokenizer_size": 300, "max_bad_share": 0.2, "log_every": 1}
    Trainer(reporters=[recorder], **options).fit("nano", tasks)
    return recorder.events


def test_the_run_finishes_on_the_good_rows_of_every_task(events: list[Event]) -> None:
    steps = [event for event in events if isinstance(event, StepDone)]
    assert len(steps) == 4
    assert set().union(*(step.losses for step in steps)) == set(KINDS)
    assert all(np.isfinite(step.loss) for step in steps)


@pytest.mark.parametrize("task", KINDS)
def test_the_broken_row_of_each_task_is_named_by_its_address_and_column(events: list[Event], task: str) -> None:
    skipped = {(event.address, event.column) for event in events if isinstance(event, RowSkipped) and event.task == task}
    assert len(skipped) == 1, "one row, however often it came"
    ((address, column),) = skipped
    assert address.startswith(f"{task}/train")
    assert address.endswith(f":row {BROKEN_ROW + 1}"), "rows count from 1"
    assert column == "value"


def test_the_end_tells_how_many_were_skipped(events: list[Event]) -> None:
    (ended,) = (event for event in events if isinstance(event, RunEnded))
    assert ended.reason == "done"
    assert ended.bad_rows >= len(KINDS)


def test_files_are_read_from_inside_the_data_root_only(tmp_path: Path) -> None:
    inside = tmp_path / "data"
    inside.mkdir()
    (tmp_path / "secret.wav").write_bytes(sound(3))
    (inside / "good.wav").write_bytes(sound(2))
    lines = ["value,answer", *["good.wav,1", "good.wav,2"] * 10, "../secret.wav,1", f"{tmp_path / 'secret.wav'},1"]
    (inside / "rows.csv").write_text("\n".join(lines) + "\n")
    recorder = Recorder()
    task = Task("hear", f"{KINDS['hear'][0]} which? -> [TEXT:answer]", train=str(inside / "rows.csv"), valid=False)
    Trainer(steps=2, batch_tokens=1500, tokenizer_size=300, max_bad_share=0.5, reporters=[recorder]).fit("nano", [task])
    messages = {event.message for event in recorder.events if isinstance(event, RowSkipped)}
    assert len(messages) == 2
    assert all("outside the data root" in message for message in messages)
