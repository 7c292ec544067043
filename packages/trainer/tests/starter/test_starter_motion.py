"""Motions of the pack: what is held out, and that the text says what the body does."""

from __future__ import annotations

import numpy as np
import pytest
from ofa_trainer.starter import starter_source
from ofa_trainer.starter._motion import MAX_FRAMES, Combination, combinations, describe, mirror, perform
from ofa_trainer.starter._pack import SPLITS
from ofa_trainer.starter._quaternions import multiply, turn

FORWARD = np.array((1, 0, 0), np.float32)


def places(motion: dict[str, np.ndarray]) -> np.ndarray:
    """Where each joint is, ``[T, J, 3]``."""
    rotations, offsets = motion["rotations"], motion["offsets"]
    turned = np.empty_like(rotations)
    found = np.empty((*rotations.shape[:2], 3), np.float32)
    for joint, parent in enumerate(motion["parents"]):
        if parent < 0:
            turned[:, joint], found[:, joint] = rotations[:, joint], motion["root_position"]
        else:
            turned[:, joint] = multiply(turned[:, parent], rotations[:, joint])
            found[:, joint] = found[:, parent] + turn(turned[:, parent], np.broadcast_to(offsets[joint], found[:, 0].shape))
    return found


def some(clip: str, speed: str = "", variant: str = "", seed: int = 0) -> tuple[dict[str, np.ndarray], str]:
    return perform(np.random.default_rng(seed), Combination(clip=clip, speed=speed, variant=variant))


def test_no_combination_is_in_two_splits_and_no_clip_in_held_out_ones_alone() -> None:
    train, valid, test = (set(combinations(split)) for split in SPLITS)
    assert not train & valid
    assert not train & test
    assert not valid & test
    assert (len(valid), len(test)) == (6, 12)
    for item in valid | test:
        assert any(item.clip == other.clip for other in train)
        assert any((item.speed, item.variant) == (other.speed, other.variant) for other in train)


@pytest.mark.parametrize("split", SPLITS)
def test_motions_are_short_unit_rotations_from_the_origin_above_the_ground(split: str) -> None:
    source = starter_source("motion_caption", split)
    for index in range(60):
        motion = source.read(index, epoch=0)["motion"]
        rotations, root = motion["rotations"], motion["root_position"]
        assert 9 <= len(rotations) == len(root) <= MAX_FRAMES
        assert rotations.shape[1:] == (len(motion["names"]), 4)
        assert rotations.dtype == root.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rotations, axis=-1), 1, atol=1e-3)
        np.testing.assert_allclose(root[0, [0, 2]], 0, atol=1e-6)
        assert places(motion)[..., 1].min() > -0.15


def test_captions_are_those_of_the_same_words_in_every_split() -> None:
    trained = {word for index in range(1000) for word in str(starter_source("move", "train").read(index)["cap"]).split()}
    source = starter_source("move", "test")
    assert {word for index in range(len(source)) for word in str(source.read(index)["cap"]).split()} <= trained


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("clip", ["walk", "run"])
def test_a_curve_goes_to_the_side_that_the_text_says(clip: str, seed: int) -> None:
    motion, cap = some(clip, variant="curve", seed=seed)
    steps = np.diff(motion["root_position"][:, [0, 2]], axis=0)
    headings = np.unwrap(np.arctan2(-steps[:, 1], steps[:, 0]))  # to the left is positive: z points to the right
    turned = headings[-8:].mean() - headings[:8].mean()
    assert abs(turned) > 0.6
    assert cap.endswith("left" if turned > 0 else "right")


@pytest.mark.parametrize("seed", range(6))
def test_the_leg_that_the_text_says_kicks(seed: int) -> None:
    motion, cap = some("kick", seed=seed)
    names = motion["names"]
    heights = {side: places(motion)[:, names.index(f"{side}_ankle"), 1].max() for side in ("left", "right")}
    assert cap == f"a person kicks with the {max(heights, key=heights.get)} leg"


@pytest.mark.parametrize("seed", range(6))
def test_the_hand_that_the_text_says_punches(seed: int) -> None:
    motion, cap = some("punch", seed=seed)
    joints, names = places(motion), motion["names"]
    reach = {
        side: np.linalg.norm(joints[:, names.index(f"{side}_wrist")] - joints[:, names.index(f"{side}_shoulder")], axis=-1).max()
        for side in ("left", "right")
    }
    assert cap == f"a person punches with the {max(reach, key=reach.get)} hand"


@pytest.mark.parametrize("seed", range(6))
def test_a_cartwheel_goes_to_the_side_that_the_text_says(seed: int) -> None:
    motion, cap = some("cartwheel", seed=seed)
    ahead = turn(motion["rotations"][0, 0], FORWARD)
    moved = motion["root_position"][-1] - motion["root_position"][0]
    to_the_left = ahead[2] * moved[0] - ahead[0] * moved[2]
    assert cap == f"a person does a cartwheel to the {'left' if to_the_left > 0 else 'right'}"


def test_faster_is_shorter_and_twice_is_longer() -> None:
    lengths = {speed: len(some("jump", speed)[0]["rotations"]) for speed in ("slowly", "", "quickly")}
    assert lengths["slowly"] > lengths[""] > lengths["quickly"]
    assert len(some("jump", variant="twice")[0]["rotations"]) > 1.8 * lengths[""] * 0.9


def test_the_mirror_image_of_a_mirror_image_is_the_motion() -> None:
    motion, _ = some("cartwheel")
    rotations, positions = mirror(*mirror(motion["rotations"], motion["root_position"]))
    np.testing.assert_array_equal(rotations, motion["rotations"])
    np.testing.assert_array_equal(positions, motion["root_position"])


def test_a_mirrored_curve_is_told_by_its_own_side() -> None:
    item = Combination(clip="walk", speed="slowly", variant="curve")
    assert describe(item, -1, mirrored=True) == "a person walks slowly in a curve to the right"
