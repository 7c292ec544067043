"""What a person gets: files, a moving picture, numbers."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ofa_modalities.motion.encoding import cut, upright
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.skeleton import Skeleton
from PIL import Image


def pictures(content: bytes) -> tuple[list[np.ndarray], float]:
    """RGB frames of an animated picture, and how many seconds they last."""
    with Image.open(io.BytesIO(content)) as image:
        frames, seconds = [], 0.0
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")))
            seconds += image.info["duration"] / 1000
    return frames, seconds


def test_a_gif_shows_the_skeleton_moving_for_as_long(walk: Motion, jump: Motion, tmp_path: Path) -> None:
    for motion, count in ((walk, 30), (jump, 64), (jump.resampled(60), 70), (upright(walk, "z"), 30)):
        frames, seconds = pictures(motion.save(tmp_path / "x.GIF").read_bytes())
        assert len(frames) == pytest.approx(count, abs=1)
        assert seconds == pytest.approx(motion.duration_s, abs=0.05)
        assert not np.array_equal(frames[0], frames[-1])
        red, blue = frames[0][..., 0].astype(int), frames[0][..., 2].astype(int)
        assert (red > blue + 80).sum() > 20  # the right side
        assert (blue > red + 80).sum() > 20  # the left side


def test_a_skeleton_lying_in_one_point_is_drawn(tmp_path: Path) -> None:
    dot = Skeleton(names=("a",), parents=np.array([-1]), offsets=np.zeros((1, 3)))
    motion = Motion(rotations=np.eye(3)[None, None], root_position=np.zeros((1, 3)), skeleton=dot, fps=20)
    frames, _ = pictures(motion.save(tmp_path / "dot.gif").read_bytes())
    assert len(frames) == 1


def test_it_can_be_said_in_json(walk: Motion) -> None:
    said = json.loads(json.dumps(walk.to_plain()))
    assert said["num_frames"] == 30
    assert said["fps"] == 20
    assert said["joints"][0] == "hips"
    assert said["bvh"].startswith("data:")


def test_other_files_are_refused(walk: Motion, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`\.mp4`; known: \.bvh \.npz \.gif"):
        walk.save(tmp_path / "x.mp4")


def test_it_does_not_change(walk: Motion) -> None:
    with pytest.raises(ValueError, match="read-only"):
        walk.rotations[0] = 0
    assert repr(cut(walk, 0, 3)) == "Motion(3 frames at 20 a second, 6 joints)"
    assert walk.duration_s == 1.5


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"fps": float("nan")}, "frames a second"),
        ({"up": "x"}, "y or z"),
        ({"rotations": -np.tile(np.eye(3), (30, 6, 1, 1))}, "no rotations"),
        ({"root_position": np.zeros((3, 3))}, "root's position"),
    ],
)
def test_what_is_no_motion_is_refused(walk: Motion, changes: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        replace(walk, **changes)
