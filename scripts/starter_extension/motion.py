"""motion.parquet: the named human clips that come with pybullet, as rotations of a skeleton of 15 joints.

A clip's file has 44 numbers a frame: the frame's duration, the root's position and rotation, then the joints' rotations, those
of knees and elbows as one angle about z. x points forward, y up, z to the right of the person. Rows carry no split: windows,
speeds, turns and repetitions are drawn from the clips as they are read, and it is their combinations that are held out
(``ofa_trainer.starter._motion``).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from starter_pack.fetching import fetch_wheel

PYBULLET = "pybullet==3.2.7"
SKIPPED = ("spin",)
"""Several actions one after the other, which no short text tells."""
SCALE = 32767
"""Rotations are stored as little-endian int16 of this scale, positions in tenths of a millimetre."""

JOINTS = {
    "root": (None, (0, 0, 0)),
    "chest": ("root", (0, 0.944604, 0)),
    "neck": ("chest", (0, 0.895576, 0)),
    "right_hip": ("root", (0, 0, 0.339548)),
    "right_knee": ("right_hip", (0, -1.686184, 0)),
    "right_ankle": ("right_knee", (0, -1.63948, 0)),
    "right_shoulder": ("chest", (-0.0962, 0.974, 0.73244)),
    "right_elbow": ("right_shoulder", (0, -1.099152, 0)),
    "right_wrist": ("right_elbow", (0, -1.035788, 0)),
    "left_hip": ("root", (0, 0, -0.339548)),
    "left_knee": ("left_hip", (0, -1.686184, 0)),
    "left_ankle": ("left_knee", (0, -1.63948, 0)),
    "left_shoulder": ("chest", (-0.0962, 0.974, -0.73244)),
    "left_elbow": ("left_shoulder", (0, -1.099152, 0)),
    "left_wrist": ("left_elbow", (0, -1.035788, 0)),
}
"""Parent and offset from it, in the units of humanoid.urdf, of which four make a metre."""
METRES = 0.25
HINGES = ("right_knee", "right_elbow", "left_knee", "left_elbow")
FIXED = ("root", "right_wrist", "left_wrist")

Float64 = NDArray[np.float64]


def rotations_of(frames: Float64) -> Float64:
    """Numbers ``[T, 44]`` → rotations relative to the parent, quaternions (w, x, y, z) without jumps of sign ``[T, J, 4]``."""
    found = np.zeros((len(frames), len(JOINTS), 4))
    found[..., 0] = 1
    found[:, 0] = frames[:, 4:8]
    column = 8
    for joint, name in enumerate(JOINTS):
        if name in HINGES:
            found[:, joint, 0] = np.cos(frames[:, column] / 2)
            found[:, joint, 3] = np.sin(frames[:, column] / 2)
            column += 1
        elif name not in FIXED:
            found[:, joint] = frames[:, column : column + 4]
            column += 4
    assert column == frames.shape[1]
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    flips = np.where((found[1:] * found[:-1]).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    found[1:] *= np.cumprod(flips, axis=0)
    return found


def build_motion(cache: Path) -> pa.Table:
    """One row a clip, in the order of their names; the skeleton stands in the file's metadata."""
    folder = fetch_wheel(PYBULLET, cache) / "pybullet_data/data/motions"
    rows = []
    for path in sorted(folder.glob("humanoid3d_*.txt")):
        name = path.stem.removeprefix("humanoid3d_")
        if name in SKIPPED:
            continue
        clip = json.loads(path.read_text())
        frames = np.array(clip["Frames"], np.float64)
        rotations, positions = np.rint(rotations_of(frames) * SCALE), np.rint(frames[:, 1:4] * 1e4)
        rows.append(
            {
                "clip": name,
                "num_frames": len(frames),
                "fps": round(1 / frames[0, 0], 3),
                "rotations": rotations.astype("<i2").tobytes(),
                "root_position": positions.astype("<i2").tobytes(),
            }
        )
    names = list(JOINTS)
    skeleton = {
        "names": names,
        "parents": [names.index(parent) if parent is not None else -1 for parent, _ in JOINTS.values()],
        "offsets": [[round(METRES * number, 6) for number in offset] for _, offset in JOINTS.values()],
    }
    return pa.Table.from_pylist(rows).replace_schema_metadata({"skeleton": json.dumps(skeleton)})
