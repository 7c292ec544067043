"""A motion ⇄ features of its frames.

    # T frames, J joints, F = 3 + 6 J features: 2 velocity on the ground, 1 height, 6 numbers a joint

The root moves as its velocity on the ground, seen in its own heading of the frame before, in lengths a second, and its height;
joints turn as 6-D rows (Zhou et al. 2019, arXiv 1812.07035), the root's with its heading in it. So features do not know
where on the ground a motion stands: it comes back with its first frame over the origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.motion.output import Motion, Up
from ofa_modalities.motion.rotations import Float64, headings, matrices_to_six, six_to_matrices, turn
from ofa_modalities.motion.skeleton import Skeleton

_MIN_ROTATION_SPREAD = 0.05
_MIN_ROOT_SPREAD = 0.01
"""Of the skeleton's size, and of that a second: what hardly moves is not blown up to the size of what does."""
_MAX_BEND_DEG = 30.0
"""Bones at rest that differ more mean that a turn of one skeleton says something else on the other."""


def num_features(skeleton: Skeleton) -> int:
    """F."""
    return 3 + 6 * skeleton.num_joints


def to_features(motion: Motion) -> Float64:
    """``[T, F]``; the first frame's velocity is that of the second."""
    up = motion.up_axis
    ground = _ground(up)
    steps = np.zeros((motion.num_frames, 3))
    steps[1:] = np.diff(motion.root_position, axis=0) * motion.fps
    before = np.concatenate([motion.rotations[:1, 0], motion.rotations[:-1, 0]])
    seen = np.einsum("tij,ti->tj", turn(up, headings(before, up)), steps)
    if motion.num_frames > 1:
        seen[0] = seen[1]
    height = motion.root_position[:, up : up + 1]
    return np.concatenate([seen[:, ground], height, matrices_to_six(motion.rotations).reshape(motion.num_frames, -1)], 1)


def from_features(features: Float64, skeleton: Skeleton, fps: float, up: Up) -> Motion:
    """The motion that features ``[T, F]`` say, its first frame over the origin. Any finite numbers make one."""
    axis = 1 if up == "y" else 2
    rotations = six_to_matrices(features[:, 3:].reshape(len(features), skeleton.num_joints, 6))
    seen = np.zeros((len(features), 3))
    seen[:, _ground(axis)] = features[:, :2]
    steps = np.einsum("tij,tj->ti", turn(axis, headings(rotations[:-1, 0], axis)), seen[1:]) / fps
    root = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, 0)])
    root[:, axis] = features[:, 2]
    return Motion(rotations=rotations, root_position=root, skeleton=skeleton, fps=fps, up=up)


def _ground(up: int) -> list[int]:
    return [axis for axis in range(3) if axis != up]


# Changes of a whole motion


def turned(motion: Motion, angle_rad: float) -> Motion:
    """Turned about the vertical through the origin."""
    by = turn(motion.up_axis, angle_rad)
    rotations = motion.rotations.copy()
    rotations[:, 0] = by @ rotations[:, 0]
    return replace(motion, rotations=rotations, root_position=motion.root_position @ by.T)


def upright(motion: Motion, up: Up) -> Motion:
    """The same motion with another axis pointing up."""
    if motion.up == up:
        return motion
    by = turn(0, -np.pi / 2 if up == "y" else np.pi / 2)
    rotations = motion.rotations.copy()
    rotations[:, 0] = by @ rotations[:, 0]
    return replace(motion, rotations=rotations, root_position=motion.root_position @ by.T, up=up)


def mirrored(motion: Motion) -> Motion:
    """Its mirror image, left and right exchanged. Raises ValueError for a skeleton without sides."""
    axis = motion.skeleton.mirror_axis(motion.up_axis)
    flip = np.where(np.arange(3) == axis, -1.0, 1.0)
    rotations = motion.rotations[:, motion.skeleton.partners()] * flip[:, None] * flip[None, :]
    return replace(motion, rotations=rotations, root_position=motion.root_position * flip)


def cut(motion: Motion, start: int, stop: int) -> Motion:
    """Frames ``start`` to ``stop``, the last not included."""
    return replace(motion, rotations=motion.rotations[start:stop], root_position=motion.root_position[start:stop])


def put_on(motion: Motion, skeleton: Skeleton) -> Motion:
    """The motion on another skeleton whose joints it has, told by name; joints beyond those are folded into their children.

    The root's path is scaled by the lengths of the bones. Raises ValueError, saying how they differ.
    """
    have = motion.skeleton
    if (
        have.names == skeleton.names
        and bool((have.parents == skeleton.parents).all())
        and np.allclose(have.offsets, skeleton.offsets, rtol=0, atol=1e-3 * skeleton.size)
    ):
        return replace(motion, skeleton=skeleton)
    numbers = {name: number for number, name in enumerate(have.names)}
    missing = [name for name in skeleton.names if name not in numbers]
    if missing:
        raise ValueError(
            f"its skeleton of {have.num_joints} joints is not that of the run: it has no `{missing[0]}`"
            + (f" and {len(missing) - 1} others of its {skeleton.num_joints}" if missing[1:] else "")
        )
    chosen = [numbers[name] for name in skeleton.names]
    lengths = np.zeros(2)
    rest = have.place(np.broadcast_to(np.eye(3), (1, have.num_joints, 3, 3)), np.zeros((1, 3)))[0]
    for joint, parent in enumerate(skeleton.parents.tolist()):
        if parent < 0:
            continue
        if not _hangs_below(have, chosen[joint], chosen[parent]):
            raise ValueError(
                f"its skeleton is not that of the run: `{skeleton.names[joint]}` does not hang on `{skeleton.names[parent]}`"
            )
        bone, other = skeleton.offsets[joint], rest[chosen[joint]] - rest[chosen[parent]]
        lengths += np.linalg.norm(bone), np.linalg.norm(other)
        bend = np.degrees(np.arctan2(np.linalg.norm(np.cross(bone, other)), bone @ other))
        if min(np.linalg.norm(bone) / skeleton.size, np.linalg.norm(other) / have.size) > 0.01 and bend > _MAX_BEND_DEG:
            raise ValueError(
                f"its skeleton is not that of the run: at rest the bone to `{skeleton.names[joint]}` points {bend:.0f}° elsewhere"
            )
    world = have.turn_globally(motion.rotations)[:, chosen]
    rotations = world.copy()
    rotations[:, 1:] = np.swapaxes(world[:, skeleton.parents[1:]], -1, -2) @ world[:, 1:]
    root = motion.root_position if chosen[0] == 0 else motion.positions()[:, chosen[0]]
    scale = lengths[0] / lengths[1] if lengths.all() else 1.0
    return replace(motion, rotations=rotations, root_position=root * scale, skeleton=skeleton)


def _hangs_below(skeleton: Skeleton, joint: int, ancestor: int) -> bool:
    while joint > ancestor:
        joint = int(skeleton.parents[joint])
    return joint == ancestor


# What is fitted to a run


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale:
    """The skeleton of a run and the mean and spread (``[F]``) of its frames, and how many frames (``length``) are usual."""

    skeleton: Skeleton
    mean: Float64
    spread: Float64
    length: int

    @classmethod
    def fitted(cls, motions: Iterable[Motion]) -> Self:
        """Fitted to motions at one rate. The first one's skeleton is the run's; those that cannot be put on it are passed over.

        A motion may face anywhere, so the root's turns count as if each stood in every direction. Two joints that are each
        other's mirror image share the larger spread. Raises ValueError where there is no motion.
        """
        skeleton: Skeleton | None = None
        up, count, total, squares = 1, 0, np.zeros(0), np.zeros(0)
        lengths = []
        for motion in motions:
            if skeleton is None:
                skeleton, up = motion.skeleton, motion.up_axis
                total, squares = np.zeros(num_features(skeleton)), np.zeros(num_features(skeleton))
            try:
                features = to_features(put_on(motion, skeleton))
            except ValueError:
                continue
            count += len(features)
            total += features.sum(0)
            squares += np.square(features).sum(0)
            lengths.append(len(features))
        if skeleton is None:
            raise ValueError("there is no motion to take the skeleton and the spread of its movements from")
        mean, square = total / count, squares / count
        ground = [3 + 3 * column + axis for column in range(2) for axis in _ground(up)]
        for first, second in (ground[:2], ground[2:]):
            mean[[first, second]] = 0
            square[[first, second]] = (square[first] + square[second]) / 2
        spread = np.sqrt(np.maximum(square - mean * mean, 0))
        turns = spread[3:].reshape(-1, 6)
        turns[:] = np.maximum(turns, turns[skeleton.partners()])
        floor = np.full_like(spread, _MIN_ROTATION_SPREAD)
        floor[:3] = _MIN_ROOT_SPREAD * skeleton.size
        spread[:2] = np.sqrt(np.mean(np.square(spread[:2])))
        return cls(skeleton=skeleton, mean=mean, spread=np.maximum(spread, floor), length=int(np.median(lengths)))

    def to_units(self, motion: Motion) -> NDArray[np.float32]:
        """float32 ``[T, F]``."""
        return ((to_features(motion) - self.mean) / self.spread).astype(np.float32)

    def to_motion(self, units: NDArray[np.floating], fps: float, up: Up) -> Motion:
        """The way back. Numbers that are not finite count as usual ones."""
        features = np.nan_to_num(units.astype(np.float64), posinf=0, neginf=0) * self.spread + self.mean
        return from_features(features, self.skeleton, fps, up)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """As a checkpoint keeps it."""
        own = {"mean": self.mean, "spread": self.spread, "length": np.array([self.length], np.int64)}
        return own | {f"skeleton.{name}": array for name, array in self.skeleton.to_arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """The way back."""
        parts = {name.removeprefix("skeleton."): array for name, array in arrays.items() if name.startswith("skeleton.")}
        return cls(
            skeleton=Skeleton.from_arrays(parts),
            mean=arrays["mean"].astype(np.float64),
            spread=arrays["spread"].astype(np.float64),
            length=int(arrays["length"][0]),
        )
