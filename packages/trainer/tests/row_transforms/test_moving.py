"""Clips and motions are mirrored with the words of their row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofa_instruction import TaskPlan, compile, default_catalog
from ofa_modalities.motion.reading import read_motion
from ofa_modalities.processor import SampleError
from ofa_modalities.video.clip import MirroredVideo
from ofa_modalities.video.reading import read_video
from ofa_trainer import Mirror, Task, Trainer
from ofa_trainer.row_transforms.applying import RowChanges
from ofa_trainer.row_transforms.columns import reach_of
from ofa_trainer.trainer import row_stream

LEG = """
    JOINT {side}Leg {{
        OFFSET {x} -1 0
        CHANNELS 3 Zrotation Xrotation Yrotation
        End Site {{
            OFFSET 0 -2 0
        }}
    }}"""
BVH = (
    "HIERARCHY\nROOT Hips {\n    OFFSET 0 0 0\n    CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    + LEG.format(side="Left", x=1)
    + LEG.format(side="Right", x=-1)
    + "\n}\nMOTION\nFrames: 3\nFrame Time: 0.05\n"
    + "".join(f"{place} 3 0 0 0 10 {30 * place} 5 0 0 0 0\n" for place in range(3))
)
MIRROR = Mirror(swap={"left": "right"}, probability=1)


@pytest.fixture
def motion_file(tmp_path: Path) -> Path:
    """Hips that walk to the side and lift the left leg."""
    path = tmp_path / "lift.bvh"
    path.write_text(BVH, encoding="utf-8")
    return path


def compiled(instruction: str) -> TaskPlan:
    catalog = default_catalog()
    return compile(instruction, catalog, catalog.backend("generalist").spec, name="task")


def changes(instruction: str) -> RowChanges:
    return RowChanges(reaches=(reach_of(MIRROR, compiled(instruction)),))


def frames_of(value: Any) -> Any:
    return read_video(
        value, times=lambda duration_s: np.array([0.0, duration_s / 2]), shrink=lambda width, height: (width, height)
    ).frames


def test_a_clip_is_mirrored_when_it_is_read() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (4, 8, 12, 3), dtype=np.uint8)
    row = changes("[VIDEO:clip] -> [TEXT:cap]")({"clip": clip, "cap": "it goes LEFT"}, np.random.default_rng(0))
    assert row["cap"] == "it goes RIGHT"
    assert isinstance(row["clip"], MirroredVideo)
    assert np.array_equal(frames_of(row["clip"]), frames_of(clip)[:, :, ::-1])
    objects = np.empty(2, object)
    objects[:] = ["a.mp4", "b.mp4"]
    for clips in ([clip, clip], (clip, clip), objects, np.stack([clip, clip])):
        nested: Any = changes("([VIDEO:clip])* -> [TEXT:cap]")({"clip": clips, "cap": ""}, np.random.default_rng(0))
        assert [type(one) for one in nested["clip"]] == [MirroredVideo] * 2


def test_a_motion_is_mirrored_with_its_words(motion_file: Path) -> None:
    motion = read_motion(motion_file)
    change = changes("[TEXT:cap] -> [MOTION:move]")
    row: Any = change({"move": str(motion_file), "cap": "he lifts the left foot"}, np.random.default_rng(0))
    assert row["cap"] == "he lifts the right foot"
    assert not np.allclose(row["move"].rotations, motion.rotations)
    again: Any = change(row, np.random.default_rng(0))
    assert np.allclose(again["move"].rotations, motion.rotations)
    with pytest.raises(SampleError, match="column `move`"):
        change({"move": b"no motion", "cap": ""}, np.random.default_rng(0))


def test_a_motion_may_be_as_large_as_its_slot_says(motion_file: Path) -> None:
    row = {"move": str(motion_file), "cap": "left"}
    for option in ("max_bytes", "max_numbers"):
        with pytest.raises(SampleError, match="at most 20"):
            changes(f"[TEXT:cap] -> [MOTION:move,{option}=20]")(row, np.random.default_rng(0))
    columns = reach_of(MIRROR, compiled("[MOTION:move,max_bytes=90_000_000] [TEXT:cap] -> [TEXT:more]")).moving
    assert [(one.max_bytes, one.max_numbers) for one in columns] == [(90_000_000, 4_000_000)]


def test_a_run_reads_mirrored_clips() -> None:
    clip = np.zeros((4, 16, 16, 3), np.uint8)
    clip[:, :, :8] = 255
    rows = [{"clip": clip, "side": "left"}] * 4
    trainer = Trainer(steps=1, batch_tokens=128, tokenizer_size=300)
    task = Task("side", "[VIDEO:clip] where? -> [TEXT:side]", train=rows, valid=False, transforms=[MIRROR])
    prepared = trainer.prepare("nano", [task])
    stream = row_stream(prepared, trainer.options)
    example = next(stream.steps(stream.start())).examples[0]
    patches = example.source[0].units.reshape(-1, example.source[0].units.shape[-1])
    columns = patches.mean(axis=1).reshape(*example.source[0].shape)
    assert (columns[..., 0] < columns[..., -1]).all()
    assert prepared.vocabulary.tokenizer.decode(example.target[0].labels[:-1].tolist()) == "right"
