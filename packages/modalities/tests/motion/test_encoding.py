"""A motion comes back from its features; turned, mirrored, resampled and put on another skeleton it stays what it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities.motion.encoding import (
    Scale,
    cut,
    from_features,
    mirrored,
    put_on,
    to_features,
    turned,
    upright,
)
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.rotations import angles_between, turn
from ofa_modalities.motion.skeleton import Skeleton

from .conftest import wander


def apart(one: Motion, other: Motion) -> float:
    """Largest distance of a joint, over the size, with both motions starting over one point of the ground."""
    places = []
    for motion in (one, other):
        start = motion.root_position[0].copy()
        start[motion.up_axis] = 0
        places.append(motion.positions(with_ends=True) - start)
    return float(np.linalg.norm(places[0] - places[1], axis=-1).max() / one.skeleton.size)


def test_features_give_the_motion_back(jump: Motion, climb: Motion, walk: Motion) -> None:
    for motion in (jump, climb, walk, upright(walk, "z"), cut(walk, 0, 1)):
        again = from_features(to_features(motion), motion.skeleton, motion.fps, motion.up)
        assert apart(motion, again) < 1e-9
        assert again.root_position[0, [0, 3 - motion.up_axis]].tolist() == [0, 0]


@given(st.integers(0, 1000), st.floats(-3, 3))
def test_only_the_roots_turn_knows_where_a_motion_faces(seed: int, angle: float) -> None:
    skeleton = Skeleton(names=("a", "b"), parents=np.array([-1, 0]), offsets=np.array([[0, 0, 0], [0, 1.0, 0]]))
    motion = wander(skeleton, 8, seed=seed)
    changed = turned(motion, angle)
    assert apart(changed, from_features(to_features(changed), skeleton, 20, "y")) < 1e-9
    before, after = to_features(motion), to_features(changed)
    assert np.allclose(before[:, :3], after[:, :3], atol=1e-9)
    assert np.allclose(before[:, 9:], after[:, 9:], atol=1e-12)


def test_a_mirror_image_is_one(walk: Motion, jump: Motion) -> None:
    flip = np.array([-1, 1, 1])
    for motion, tolerance in ((walk, 1e-9), (jump, 0.02)):
        there = mirrored(motion)
        places = there.positions()[:, motion.skeleton.partners()] * flip
        assert np.abs(places - motion.positions()).max() < tolerance * motion.skeleton.size
        assert np.degrees(angles_between(mirrored(there).rotations, motion.rotations)).max() < 1e-5
    one_sided = replace(walk, skeleton=replace(walk.skeleton, names=tuple("abcdef")))
    with pytest.raises(ValueError, match="no sides by name"):
        mirrored(one_sided)
    crooked = replace(walk, skeleton=replace(walk.skeleton, offsets=walk.skeleton.offsets + np.array([[0.9, 0, 0]] * 6)))
    with pytest.raises(ValueError, match="no mirror images"):
        mirrored(crooked)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        *(("LeftArm", "RightArm"), ("l_hip", "r_hip"), ("hip.L", "hip.R"), ("lfemur", "rfemur"), ("LHipJoint", "RHipJoint")),
        *(("Bip01 L Thigh", "Bip01 R Thigh"), ("armL", "armR"), ("hand_left", "hand_right")),
    ],
)
def test_sides_are_told_by_name(left: str, right: str) -> None:
    skeleton = Skeleton(names=("Leg", left, right, "lower"), parents=np.array([-1, 0, 0, 0]), offsets=np.zeros((4, 3)))
    assert skeleton.partners().tolist() == [0, 2, 1, 3]
    assert skeleton.sides() == [0, 1, 2, 0]


# Another rate


def test_an_even_turn_and_an_even_path_are_resampled_exactly(body: Skeleton) -> None:
    def at(times: np.ndarray, fps: float) -> Motion:
        turns = np.tile(np.eye(3), (len(times), 6, 1, 1))
        turns[:, 1] = turn(1, 2.5 * times)
        return Motion(rotations=turns, root_position=np.outer(times, [1.0, 2, 3]), skeleton=body, fps=fps)

    long = at(np.arange(121) / 120, 120)
    for fps in (20, 30, 25.7, 240):
        found = long.resampled(fps)
        true = at(np.arange(found.num_frames) / fps, fps)
        assert found.num_frames == int(fps + 1e-6) + 1
        assert np.degrees(angles_between(found.rotations, true.rotations)).max() < 1e-6
        assert np.allclose(found.root_position, true.root_position)


def test_frames_that_are_there_are_kept(jump: Motion) -> None:
    third = jump.resampled(10)
    assert np.degrees(angles_between(third.rotations, jump.rotations[::3])).max() < 1e-6
    assert jump.resampled(30) is jump
    assert cut(jump, 0, 1).resampled(20).num_frames == 1


# Another skeleton


def test_the_size_is_that_of_the_box_around_the_rest_pose(jump: Motion, body: Skeleton) -> None:
    for skeleton in (jump.skeleton, body):
        still = np.broadcast_to(np.eye(3), (1, skeleton.num_joints, 3, 3))
        places = skeleton.place(still, np.zeros((1, 3)), with_ends=True)[0]
        assert skeleton.size == pytest.approx(np.linalg.norm(places.max(0) - places.min(0)))
    assert Skeleton(names=("point",), parents=np.array([-1]), offsets=np.ones((1, 3))).size == 1


def test_joints_are_placed_once_for_a_whole_skeleton(jump: Motion, monkeypatch: pytest.MonkeyPatch) -> None:
    have, placed = jump.skeleton, []
    other = replace(have, offsets=2 * have.offsets, end_offsets=2 * have.end_offsets)
    place = Skeleton.place
    monkeypatch.setattr(Skeleton, "place", lambda *given, **options: placed.append(1) or place(*given, **options))
    put_on(jump, other)
    assert len(placed) == 1


def test_a_skeleton_of_other_proportions_and_more_joints_is_matched_by_name(walk: Motion, body: Skeleton) -> None:
    more = Skeleton(
        names=("hips", "spine", "leg_r", "leg_l", "chest", "arm_r", "arm_l", "hat"),
        parents=np.array([-1, 0, 0, 0, 1, 4, 4, 4]),
        offsets=np.array([[0, 0, 0], [0, 0.5, 0], [-0.2, 0, 0], [0.2, 0, 0], [0, 0.5, 0], [-0.4, 0, 0], [0.4, 0, 0], [0, 1, 0]]),
    )
    rng = np.random.default_rng(0)
    turns = turn(1, rng.uniform(-1, 1, (4, 8)))
    motion = Motion(rotations=turns, root_position=rng.standard_normal((4, 3)), skeleton=more, fps=20)
    found = put_on(motion, body)
    assert found.skeleton is body
    assert np.allclose(found.root_position, motion.root_position / 2)
    world, wanted = body.turn_globally(found.rotations), more.turn_globally(motion.rotations)
    assert np.allclose(world, wanted[:, [more.names.index(name) for name in body.names]])
    assert put_on(walk, body).rotations is not None


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"names": ("hips", "chest", "arm_l", "arm_r", "leg_l", "foot")}, "it has no `leg_r`"),
        ({"parents": np.array([-1, 0, 0, 1, 0, 0])}, "`arm_l` does not hang on `chest`"),
        ({"offsets": np.array([[0, 0, 0], [0, 0, 0.5], [0.2, 0, 0], [-0.2, 0, 0], [0.1, 0, 0], [-0.1, 0, 0]])}, "90° elsewhere"),
    ],
)
def test_another_skeleton_is_told(walk: Motion, body: Skeleton, changes: dict, match: str) -> None:
    other = replace(body, **changes)
    with pytest.raises(ValueError, match=match):
        put_on(replace(walk, skeleton=other), body)


# The scale of a run


def test_units_have_the_spread_of_the_run_and_come_back(jump: Motion) -> None:
    scale = Scale.fitted([jump, mirrored(jump)])
    units = scale.to_units(jump)
    assert units.dtype == np.float32
    assert units.shape == (64, 3 + 6 * 31)
    assert np.abs(units).mean() < 2
    assert apart(jump, scale.to_motion(units, 30, "y")) < 1e-4
    for angle in (1.0, 3.0):
        assert np.abs(scale.to_units(turned(jump, angle))).max() < 12


def test_arrays_of_a_scale_come_back(walk: Motion) -> None:
    scale = Scale.fitted([walk])
    again = Scale.from_arrays(scale.to_arrays())
    assert again.skeleton.names == walk.skeleton.names
    assert np.array_equal(again.mean, scale.mean)
    assert np.array_equal(again.spread, scale.spread)
    assert again.length == 30


def test_any_numbers_are_a_motion(walk: Motion) -> None:
    scale = Scale.fitted([walk])
    units = np.random.default_rng(0).standard_normal((9, 39)).astype(np.float32) * 50
    units[3] = np.nan
    units[4, 3:] = 0
    motion = scale.to_motion(units, 20, "y")
    assert motion.num_frames == 9
