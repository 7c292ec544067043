"""The skeleton: joints, what they hang on, and where everything is once they turn.

# J joints, E ends of bones that carry no joint, T frames
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.motion.rotations import Float64

Int64 = NDArray[np.int64]

MAX_JOINTS = 512
"""More than any body with fingers and a face has."""


def _no_parents() -> Int64:
    return np.zeros(0, np.int64)


def _no_offsets() -> Float64:
    return np.zeros((0, 3))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skeleton:
    """Joints in an order that puts every parent before its children; joint 0 is the root.

    names: ``J``, all different. parents: int64 ``[J]``, -1 for the root. offsets: float64 ``[J, 3]`` from the parent, in its
    frame, in whatever unit of length the motion has. end_parents int64 ``[E]``, end_offsets float64 ``[E, 3]``: tips of bones.
    size: diagonal of the box around the skeleton at rest; 1 where all joints lie in one point.
    Raises ValueError for what is no such skeleton.

    >>> Skeleton(names=("hip", "knee"), parents=np.array([-1, 0]), offsets=np.array([[0, 0, 0], [0, -4.0, 0]])).size
    4.0
    """

    names: tuple[str, ...]
    parents: Int64
    offsets: Float64
    end_parents: Int64 = field(default_factory=_no_parents)
    end_offsets: Float64 = field(default_factory=_no_offsets)
    size: float = field(init=False)

    def __post_init__(self) -> None:
        number = len(self.names)
        if not 1 <= number <= MAX_JOINTS:
            raise ValueError(f"a skeleton has 1 to {MAX_JOINTS} joints, not {number}")
        for name, shape, dtype in (
            ("parents", (number,), np.int64),
            ("offsets", (number, 3), np.float64),
            ("end_parents", (len(self.end_parents),), np.int64),
            ("end_offsets", (len(self.end_parents), 3), np.float64),
        ):
            array = np.array(getattr(self, name), dtype)
            if array.shape != shape:
                raise ValueError(f"`{name}` of a skeleton of {number} joints is {list(shape)}, not {list(array.shape)}")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        for name in self.names:
            if not name.strip() or len(name) > 200 or not name.isprintable() or any(mark in name for mark in "{}"):
                raise ValueError(f"{name[:40]!r} is no name of a joint")
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise ValueError(f"two joints are named `{repeated[0]}`; names tell joints apart")
        if self.parents[0] != -1 or bool((self.parents[1:] < 0).any()):
            raise ValueError("joint 0 is the one root (its parent is -1), and every other joint has a parent")
        if bool((self.parents >= np.arange(number)).any()):
            child = int(np.flatnonzero(self.parents >= np.arange(number))[0])
            raise ValueError(f"joint `{self.names[child]}` comes before its parent, or hangs on itself in a circle")
        if len(self.end_parents) and not bool(((self.end_parents >= 0) & (self.end_parents < number)).all()):
            raise ValueError("the end of a bone hangs on no joint")
        if not (np.isfinite(self.offsets).all() and np.isfinite(self.end_offsets).all()):
            raise ValueError("an offset of the skeleton is not a finite number")
        object.__setattr__(self, "size", self._size())

    @property
    def num_joints(self) -> int:
        """J."""
        return len(self.names)

    def _size(self) -> float:
        points = np.zeros((self.num_joints + len(self.end_parents), 3))
        parents = [*self.parents.tolist(), *self.end_parents.tolist()]
        with np.errstate(over="ignore", invalid="ignore"):
            for point, offset in enumerate(np.concatenate([self.offsets, self.end_offsets])):
                if parents[point] >= 0:
                    points[point] = points[parents[point]] + offset
            return float(np.linalg.norm(points.max(0) - points.min(0))) or 1.0

    def turn_globally(self, rotations: Float64) -> Float64:
        """Rotations relative to the parents ``[T, J, 3, 3]`` → relative to the world."""
        found = np.empty_like(rotations)
        for joint, parent in enumerate(self.parents.tolist()):
            found[:, joint] = rotations[:, joint] if parent < 0 else found[:, parent] @ rotations[:, joint]
        return found

    def place(self, rotations: Float64, root_position: Float64, *, with_ends: bool = False) -> Float64:
        """Forward kinematics: rotations ``[T, J, 3, 3]``, root ``[T, 3]`` → places ``[T, J, 3]``; with ends ``[T, J + E, 3]``."""
        world = self.turn_globally(rotations)
        places = np.empty((len(rotations), self.num_joints + (len(self.end_parents) if with_ends else 0), 3))
        for joint, parent in enumerate(self.parents.tolist()):
            moved = root_position if parent < 0 else places[:, parent] + world[:, parent] @ self.offsets[joint]
            places[:, joint] = moved
        if with_ends:
            for number, parent in enumerate(self.end_parents.tolist()):
                places[:, self.num_joints + number] = places[:, parent] + world[:, parent] @ self.end_offsets[number]
        return places

    def partners(self) -> Int64:
        """Of each joint the one on the other side, by name (``LeftArm`` and ``RightArm``, ``l_hip``, ``hip.R``); else itself."""
        numbers = {name: number for number, name in enumerate(self.names)}
        found = np.arange(self.num_joints)
        for number, name in enumerate(self.names):
            for other in _other_sides(name):
                if other in numbers:
                    found[number] = numbers[other]
                    break
        mutual = found[found] == np.arange(self.num_joints)
        return np.where(mutual, found, np.arange(self.num_joints))

    def sides(self) -> list[int]:
        """Of each joint 1 for left, 2 for right, 0 for the middle or unknown."""
        found = []
        for joint, partner in enumerate(self.partners().tolist()):
            pairs = zip(self.names[joint], self.names[partner], strict=False)
            letter = next((mine.lower() for mine, other in pairs if mine != other), "")
            found.append({"l": 1, "r": 2}.get(letter, 0))
        return found

    def mirror_axis(self, up: int) -> int:
        """The axis across which its sides are mirror images. Raises ValueError where they are not, or have no names."""
        partners = self.partners()
        if bool((partners == np.arange(self.num_joints)).all()):
            raise ValueError(f"the joints have no sides by name (left, right, L, R), and cannot be mirrored: {_list(self.names)}")
        errors = {}
        for axis in (axis for axis in range(3) if axis != up):
            flipped = self.offsets[partners] * np.where(np.arange(3) == axis, -1, 1)
            errors[axis] = np.linalg.norm(flipped[1:] - self.offsets[1:], axis=-1)
        best = min(errors, key=lambda axis: float(errors[axis].sum()))
        worst = int(errors[best].argmax())
        if float(errors[best][worst]) > 0.1 * self.size:
            raise ValueError(
                f"the sides of the skeleton are no mirror images at `{self.names[1 + worst]}`, so it cannot be mirrored"
            )
        return best

    # As arrays

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The skeleton as arrays without objects: names are UTF-8 bytes with a line feed between them."""
        return {
            "names": np.frombuffer("\n".join(self.names).encode(), np.uint8).copy(),
            "parents": self.parents.copy(),
            "offsets": self.offsets.copy(),
            "end_parents": self.end_parents.copy(),
            "end_offsets": self.end_offsets.copy(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Skeleton:
        """The way back."""
        names = tuple(arrays["names"].astype(np.uint8).tobytes().decode().split("\n"))
        return cls(names=names, **{key: arrays[key] for key in ("parents", "offsets", "end_parents", "end_offsets")})


_SIDES = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))
_LETTER = re.compile(r"(?:(?<=[^A-Za-z])|^)([LRlr])(?=[^A-Za-z]|$)|^([LRlr])(?=[A-Za-z])|(?<=[a-z0-9])([LR])$")
_SWAPPED = {"L": "R", "R": "L", "l": "r", "r": "l"}


def _other_sides(name: str) -> list[str]:
    """Names that the joint on the other side may have."""
    found = []
    for left, right in _SIDES:
        if left in name:
            found.append(name.replace(left, right, 1))
        if right in name:
            found.append(name.replace(right, left, 1))
    for match in _LETTER.finditer(name):
        found.append(name[: match.start()] + _SWAPPED[match.group()] + name[match.end() :])
    return found


def _list(names: tuple[str, ...]) -> str:
    return " ".join(names[:8]) + (" …" if len(names) > 8 else "")
