"""The motion value: what is read from a file, and what a person gets.

# T frames, J joints
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ofa_modalities.motion.rotations import Float64, matrices_to_quaternions, quaternions_to_matrices, six_to_matrices, slerp
from ofa_modalities.motion.skeleton import Skeleton

Up = Literal["y", "z"]

_SUFFIXES = (".bvh", ".npz", ".gif")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Motion:
    """How a skeleton moves.

    rotations: float64 ``[T, J, 3, 3]``, of each joint relative to its parent (of the root: to the world).
    root_position: float64 ``[T, 3]`` in the unit of the skeleton. fps: frames a second. up: the axis that points up.
    Raises ValueError for shapes that do not fit, numbers that are not finite, and matrices that are no rotations.
    """

    rotations: Float64
    root_position: Float64
    skeleton: Skeleton
    fps: float
    up: Up = "y"

    def __post_init__(self) -> None:
        rotations = np.array(self.rotations, np.float64)
        root = np.array(self.root_position, np.float64)
        joints = self.skeleton.num_joints
        if rotations.ndim != 4 or rotations.shape[1:] != (joints, 3, 3) or not len(rotations):
            raise ValueError(f"rotations of {joints} joints are [T, {joints}, 3, 3], not {list(rotations.shape)}")
        if root.shape != (len(rotations), 3):
            raise ValueError(f"the root's position over {len(rotations)} frames is [{len(rotations)}, 3], not {list(root.shape)}")
        if not (np.isfinite(rotations).all() and np.isfinite(root).all()):
            raise ValueError("the motion holds numbers that are not finite")
        if not (np.isfinite(self.fps) and 0 < self.fps <= 100_000):
            raise ValueError(f"a motion has a number of frames a second above 0, not {self.fps}")
        if self.up not in ("y", "z"):
            raise ValueError(f"`up` is y or z, not {self.up!r}")
        skew = np.abs(rotations @ np.swapaxes(rotations, -1, -2) - np.eye(3)).max()
        if skew > 1e-2 or bool((np.linalg.det(rotations) < 0).any()):
            raise ValueError("the motion holds matrices that are no rotations")
        if skew > 1e-12:
            rotations = six_to_matrices(np.concatenate([rotations[..., 0], rotations[..., 1]], -1))
        for name, array in (("rotations", rotations), ("root_position", root)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "fps", float(self.fps))

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.rotations)

    @property
    def duration_s(self) -> float:
        """``T / fps``."""
        return self.num_frames / self.fps

    @property
    def up_axis(self) -> int:
        """1 for y, 2 for z."""
        return 1 if self.up == "y" else 2

    def __repr__(self) -> str:
        return f"Motion({self.num_frames} frames at {self.fps:g} a second, {self.skeleton.num_joints} joints)"

    def positions(self, *, with_ends: bool = False) -> Float64:
        """Where every joint is in the world, ``[T, J, 3]``; with the tips of bones behind them if asked."""
        return self.skeleton.place(self.rotations, self.root_position, with_ends=with_ends)

    def resampled(self, fps: float) -> Motion:
        """The same motion at another rate, from its first frame on: rotations on great arcs, the root on lines."""
        if abs(fps - self.fps) <= 1e-6 * fps:
            return self
        last = (self.num_frames - 1) / self.fps
        places = np.arange(int(np.floor(last * fps + 1e-6)) + 1) * (self.fps / fps)
        before = np.minimum(np.floor(places + 1e-9).astype(np.int64), self.num_frames - 1)
        after = np.minimum(before + 1, self.num_frames - 1)
        share = np.clip(places - before, 0, 1)
        first, second = matrices_to_quaternions(self.rotations[before]), matrices_to_quaternions(self.rotations[after])
        return Motion(
            rotations=quaternions_to_matrices(slerp(first, second, np.broadcast_to(share[:, None], first.shape[:-1]))),
            root_position=(1 - share[:, None]) * self.root_position[before] + share[:, None] * self.root_position[after],
            skeleton=self.skeleton,
            fps=fps,
            up=self.up,
        )

    # Files

    @classmethod
    def load(cls, path: str | Path, *, up: Up = "y") -> Motion:
        """Read a ``.bvh`` or ``.npz`` file. Raises SampleError.

        up: the axis that points up, in files that do not say it: every BVH file, also one that :meth:`save` wrote.
        """
        from ofa_modalities.motion.reading import read_motion

        return read_motion(Path(path), "motion", up=up)

    def save(self, path: str | Path) -> Path:
        """Write as the suffix says: ``.bvh`` and ``.npz`` can be read again, ``.gif`` shows the skeleton moving.

        BVH has no place for ``up``, and npz keeps it: a BVH file of a motion whose ``up`` is z is read again with
        ``Motion.load(path, up="z")``.

        Raises ValueError for another suffix.
        """
        path = Path(path)
        match path.suffix.lower():
            case ".bvh":
                from ofa_modalities.motion.bvh import write_bvh

                path.write_text(write_bvh(self), encoding="utf-8")
            case ".npz":
                from ofa_modalities.motion.arrays import write_npz

                path.write_bytes(write_npz(self))
            case ".gif":
                from ofa_modalities.motion.drawing import draw_gif

                path.write_bytes(draw_gif(self))
            case suffix:
                raise ValueError(f"a motion cannot be saved as `{suffix or path.name}`; known: {' '.join(_SUFFIXES)}")
        return path

    def to_plain(self) -> dict[str, object]:
        """What JSON can say: rate, length, joints, and the whole motion as a ``data:`` URI of a BVH file."""
        from ofa_modalities.motion.bvh import write_bvh

        content = base64.b64encode(write_bvh(self).encode()).decode("ascii")
        return {
            "fps": self.fps,
            "num_frames": self.num_frames,
            "joints": list(self.skeleton.names),
            "bvh": f"data:text/plain;base64,{content}",
        }
