"""BVH files: what is read equals what is written, odd files are read, broken ones are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import SampleError
from ofa_modalities.motion import bvh
from ofa_modalities.motion.bvh import read_bvh, write_bvh
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.reading import read_motion
from ofa_modalities.motion.rotations import angles_between, euler_to_matrices
from ofa_modalities.motion.skeleton import Skeleton

SMALL = """HIERARCHY
ROOT hip
{
  OFFSET 0 1 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT knee
  {
    OFFSET 0 -4 0
    CHANNELS 3 Xrotation Zrotation Yrotation
    End Site
    {
      OFFSET 0 -4 1
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.05
1 2 3 10 20 30 40 50 60
2 2 3 10 20 30 40 50 60
"""


def same(one: Motion, other: Motion) -> None:
    """Rotations to 1e-4 degrees, joints to 1e-3 of the size, and the same skeleton."""
    assert one.skeleton.names == other.skeleton.names
    assert np.array_equal(one.skeleton.parents, other.skeleton.parents)
    assert np.degrees(angles_between(one.rotations, other.rotations)).max() < 1e-4
    apart = np.linalg.norm(one.positions(with_ends=True) - other.positions(with_ends=True), axis=-1)
    assert apart.max() < 1e-3 * one.skeleton.size
    assert one.fps == pytest.approx(other.fps, rel=1e-9)


def refused(text: str | bytes, match: str, **options: int) -> None:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(SampleError, match=match) as caught:
        read_motion(content, "moves", **options)
    assert caught.value.column == "moves"


@pytest.mark.parametrize("name", ["cmu_01_01.bvh", "cmu_01_03.bvh"])
def test_recordings_are_read_written_and_read_again(folder: Path, tmp_path: Path, name: str) -> None:
    motion = Motion.load(folder / name)
    assert motion.skeleton.num_joints == 31
    assert motion.fps == 30
    assert 30 < motion.skeleton.size < 45
    same(motion, Motion.load(motion.save(tmp_path / "again.bvh")))


def test_the_figures_of_a_file_are_those_written_in_it() -> None:
    motion = read_bvh(SMALL.encode())
    assert motion.skeleton.names == ("hip", "knee")
    assert motion.fps == 20
    assert motion.root_position.tolist() == [[1, 2, 3], [2, 2, 3]]
    assert np.allclose(motion.rotations[0, 0], euler_to_matrices((2, 1, 0), np.radians([10, 20, 30])))
    assert np.allclose(motion.rotations[0, 1], euler_to_matrices((0, 2, 1), np.radians([40, 50, 60])))
    knee = motion.root_position[0] + motion.rotations[0, 0] @ [0, -4, 0]
    tip = knee + motion.rotations[0, 0] @ motion.rotations[0, 1] @ [0, -4, 1]
    assert np.allclose(motion.positions(with_ends=True)[0], [motion.root_position[0], knee, tip])


LOCK = st.sampled_from([90.0, -90.0, 89.9999999, 0.0, 180.0])
DEGREES = st.one_of(st.floats(-720, 720), LOCK)


@st.composite
def files(draw: st.DrawFn) -> str:
    """Files of random skeletons, each joint with channels of its own."""
    number = draw(st.integers(1, 6))
    parents = [-1, *(draw(st.integers(0, joint - 1)) for joint in range(1, number))]
    lines, order = ["HIERARCHY"], []
    turns = [draw(st.permutations("XYZ")) for _ in range(number)]

    def write(joint: int) -> None:
        order.append(joint)
        offset = " ".join(str(draw(st.integers(-50, 50)) / 10) for _ in range(3))
        channels = [f"{axis}rotation" for axis in turns[joint]]
        places = [f"{axis}position" for axis in draw(st.permutations("XYZ"))] if joint == 0 else []
        channels = places + channels if draw(st.booleans()) else channels + places
        lines.extend([f"{'JOINT' if joint else 'ROOT'} j{joint}", "{", f"OFFSET {offset}"])
        lines.append(f"CHANNELS {len(channels)} {' '.join(channels)}")
        below = [child for child in range(number) if parents[child] == joint]
        for child in below:
            write(child)
        if not below:
            lines.extend(["End Site", "{", "OFFSET 0 1.5 0", "}"])
        lines.append("}")

    write(0)
    frames = draw(st.integers(1, 3))
    lines.extend(["MOTION", f"Frames: {frames}", f"Frame Time: {draw(st.sampled_from([0.05, 0.0083333, 0.033333]))}"])
    for _ in range(frames):
        lines.append(" ".join(f"{draw(DEGREES):.7f}" for _ in range(3 * number + 3)))
    return "\n".join(lines)


@given(files())
def test_any_file_is_read_written_and_read_again(text: str) -> None:
    motion = read_bvh(text.encode())
    same(motion, read_bvh(write_bvh(motion).encode()))


@pytest.mark.parametrize("far", [1e7, 123_456_789.123, 1e12 / 3])
def test_positions_are_exact_far_from_the_origin(far: float) -> None:
    motion = read_bvh(SMALL.encode())
    motion = replace(
        motion,
        root_position=motion.root_position / 3 + far,
        skeleton=replace(motion.skeleton, offsets=np.array([[far] * 3, [0, -4 / 3, 0]])),
    )
    again = read_bvh(write_bvh(motion).encode())
    same(motion, again)
    assert np.array_equal(again.root_position, motion.root_position)
    assert np.array_equal(again.skeleton.offsets, motion.skeleton.offsets)


def test_needless_digits_are_not_written() -> None:
    text = write_bvh(read_bvh(SMALL.encode()))
    assert "OFFSET 0 -4 1\n" in text
    assert "\n2 2 3 " in text


def test_a_file_does_not_say_which_axis_is_up(tmp_path: Path) -> None:
    motion = replace(read_bvh(SMALL.encode()), up="z")
    path = motion.save(tmp_path / "z.bvh")
    assert [Motion.load(path).up, Motion.load(path, up="z").up] == ["y", "z"]
    assert Motion.load(motion.save(tmp_path / "z.npz")).up == "z"


def test_joints_come_back_by_name_from_a_skeleton_in_another_order() -> None:
    skeleton = Skeleton(
        names=("hip", "left", "right", "left_foot"),
        parents=np.array([-1, 0, 0, 1]),
        offsets=np.array([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, -1.0, 0]]),
    )
    turns = euler_to_matrices((2, 0, 1), np.random.default_rng(0).uniform(-3, 3, (2, 4, 3)))
    motion = Motion(rotations=turns, root_position=np.zeros((2, 3)), skeleton=skeleton, fps=24)
    again = read_bvh(write_bvh(motion).encode())
    order = [skeleton.names.index(name) for name in again.skeleton.names]
    assert again.skeleton.names == ("hip", "left", "left_foot", "right")
    assert np.degrees(angles_between(motion.rotations[:, order], again.rotations)).max() < 1e-4


# Odd, and read all the same


@pytest.mark.parametrize("said", [1, 3])
def test_a_header_may_miscount_its_frames_by_one(said: int) -> None:
    assert read_bvh(SMALL.replace("Frames: 2", f"Frames: {said}").encode()).num_frames == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n{", " {").replace("OFFSET", "offset"),
        lambda text: text.replace("Frames:", "Frames :").replace("Frame Time", "frame time"),
        lambda text: text.replace(" 30 40", "\n30 40"),
        lambda text: text.replace("knee", "left knee"),
    ],
)
def test_spellings_of_other_writers_are_read(change) -> None:
    assert np.array_equal(read_bvh(change(SMALL).encode()).rotations, read_bvh(SMALL.encode()).rotations)


def test_a_joint_may_turn_about_one_axis_and_have_a_place_that_stays() -> None:
    text = SMALL.replace("3 Xrotation Zrotation Yrotation", "4 Xposition Yposition Zposition Xrotation")
    text = text.replace("40 50 60", "0 -5 0 40")
    motion = read_bvh(text.encode())
    assert motion.skeleton.offsets[1].tolist() == [0, -5, 0]
    assert np.allclose(motion.rotations[0, 1], euler_to_matrices((0,), np.radians([40])))


# Broken


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("HIERARCHY", "HIERARCH"), "neither BVH nor npz"),
        (("MOTION", "MOTIONS"), "no MOTION part"),
        (("    CHANNELS 3 Xrotation Zrotation Yrotation\n", ""), "`knee` has no CHANNELS"),
        (("    CHANNELS 3 Xrotation Zrotation Yrotation\n", "    CHANNELS 0\n"), "no channel that turns"),
        (("CHANNELS 3 Xrotation Zrotation", "CHANNELS 3 Xrotation Wrotation"), "CHANNELS 3 Xrotation Wrotation"),
        (("CHANNELS 3 Xrotation Zrotation", "CHANNELS 3 Xrotation Xrotation"), "channel twice"),
        (("    OFFSET 0 -4 0\n", ""), "`knee` has no OFFSET"),
        (("OFFSET 0 -4 0", "OFFSET 0 -4"), "not three numbers"),
        (("OFFSET 0 -4 0", "OFFSET 0 nan 0"), "not a finite number"),
        (("JOINT knee", "JOINT hip"), "two joints are named `hip`"),
        (("JOINT knee", "ROOT knee"), "second root"),
        (("JOINT knee", "JOINT"), "no name of a joint"),
        (("JOINT knee", "BONE knee"), "out of place"),
        (("  }\n}\nMOTION", "  }\nMOTION"), "not closed"),
        (("Frames: 2", "Frames: 4"), "says 4 frames of 9 channels and holds 2"),
        (("Frames: 2", "Frames: 0"), "more numbers than its header says"),
        (("Frames: 2", "Frames: two"), "not both numbers"),
        (("Frames: 2", "Frames: 10000000"), "10,000,000 frames of 9 channels; at most 4,000,000"),
        (("Frame Time: 0.05", "Frame Time: 0"), "no motion"),
        (("2 2 3 10 20 30 40 50 60\n", "2 2 3 10 20"), "and 5 numbers: it is cut off"),
        (("2 2 3 10 20 30 40 50 60", "2 2 3 10 nan 30 40 50 60"), "frame 1 holds a number that is not finite"),
        (("2 2 3 10 20 30 40 50 60", "2 2 3 10 2,0 30 40 50 60"), "other than numbers"),
    ],
)
def test_a_broken_file_says_what_is_wrong(change: tuple[str, str], match: str) -> None:
    assert change[0] in SMALL
    refused(SMALL.replace(*change), match)


def test_nothing_and_half_a_file_are_refused(folder: Path) -> None:
    refused(b"", "zero bytes")
    content = (folder / "cmu_01_01.bvh").read_bytes()
    refused(content[: len(content) // 2], "cut off")
    refused(content[:700], "no MOTION part")


def test_many_frames_are_refused_before_they_are_kept() -> None:
    line = "1 2 3 10 20 30 40 50 60\n"
    text = SMALL + line * 100_000
    refused(text, "more numbers than its header says")
    refused(text.replace("Frames: 2", "Frames: 100002"), "at most 100,000 numbers", max_numbers=100_000)
    refused(text, "at most 1,000 are read", max_bytes=1000)


def test_a_run_without_blanks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bvh, "_CHUNK", 64)
    head = SMALL[: SMALL.index("2 2 3 10 20")]
    refused(head + "2" * 5000, "over 1,000 bytes without a blank")
    refused(head + "2" * 500, "cut off or broken")
    assert read_bvh((head + "2.000000000 2 3 10 20 30 40 50 " + "6" + "0" * 300).encode()).num_frames == 2


def test_a_run_of_blanks_is_read_once() -> None:
    """Split in every way, it would take minutes."""
    blanks = " " * 500_000
    refused(SMALL.replace("Frames: 2", f"Frames{blanks}x y"), "no MOTION part")
    refused(SMALL[: SMALL.index("0.05")] + blanks, "no MOTION part")


def test_bones_must_keep_their_length() -> None:
    text = SMALL.replace("3 Xrotation Zrotation Yrotation", "4 Xposition Yposition Zposition Xrotation")
    text = text.replace("1 2 3 10 20 30 40 50 60", "1 2 3 10 20 30 0 -5 0 40").replace("40 50 60", "0 -9 0 40")
    refused(text, "`knee` moves against its parent")


def test_a_deep_hierarchy_is_refused_without_recursion() -> None:
    joints = "".join(f"JOINT j{number}\n{{\nOFFSET 0 1 0\nCHANNELS 1 Xrotation\n" for number in range(3000))
    refused(
        f"HIERARCHY\nROOT r\n{{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n{joints}" + SMALL[SMALL.index("MOTION") :], "more than 512"
    )
