"""Skeletons, motions drawn at random, and real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.rotations import axis_angles_to_matrices
from ofa_modalities.motion.skeleton import Skeleton

FOLDER = Path(__file__).parent.parent / "fixtures" / "motion"


@pytest.fixture(scope="session")
def folder() -> Path:
    return FOLDER


@pytest.fixture(scope="session")
def jump() -> Motion:
    return Motion.load(FOLDER / "cmu_01_01.bvh")


@pytest.fixture(scope="session")
def climb() -> Motion:
    return Motion.load(FOLDER / "cmu_01_03.bvh")


@pytest.fixture(scope="session")
def body() -> Skeleton:
    """Hips with a chest, two arms and two legs, its sides mirror images across x."""
    return Skeleton(
        names=("hips", "chest", "arm_l", "arm_r", "leg_l", "leg_r"),
        parents=np.array([-1, 0, 1, 1, 0, 0]),
        offsets=np.array([[0, 0, 0], [0, 0.5, 0], [0.2, 0, 0], [-0.2, 0, 0], [0.1, 0, 0], [-0.1, 0, 0]]),
        end_parents=np.array([2, 3, 4, 5]),
        end_offsets=np.array([[0.6, 0, 0], [-0.6, 0, 0], [0, -0.9, 0], [0, -0.9, 0]]),
    )


@pytest.fixture(scope="session")
def walk(body: Skeleton) -> Motion:
    return wander(body, 30, seed=1)


def wander(skeleton: Skeleton, frames: int, *, seed: int, fps: float = 20.0) -> Motion:
    """Smooth turns of every joint while the root walks along a curve."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None, None] / fps
    axes: NDArray[np.float64] = rng.standard_normal((1, skeleton.num_joints, 3)) * 0.6
    turns = axes * np.sin(3 * time + rng.uniform(0, 6, (1, skeleton.num_joints, 1)))
    path = np.stack([time[:, 0, 0], 1 + 0.1 * np.sin(5 * time[:, 0, 0]), np.sin(time[:, 0, 0])], 1) + rng.standard_normal(3)
    return Motion(rotations=axis_angles_to_matrices(turns), root_position=path, skeleton=skeleton, fps=fps)
