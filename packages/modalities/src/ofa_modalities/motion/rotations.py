"""Rotations in numpy: matrices, 6-D rows, quaternions, axis-angles, Euler angles.

All functions work on float64 arrays of any leading shape and turn column vectors: ``v_world = R @ v_local``. Quaternions are
(w, x, y, z).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

_TINY = 1e-8


def matrices_to_six(rotations: ArrayLike) -> Float64:
    """``[..., 3, 3]`` → ``[..., 6]``: the first two columns, one after the other (Zhou et al. 2019, arXiv 1812.07035).

    >>> matrices_to_six(np.eye(3))
    array([1., 0., 0., 0., 1., 0.])
    """
    matrices = np.asarray(rotations, np.float64)
    return np.concatenate([matrices[..., 0], matrices[..., 1]], -1)


def six_to_matrices(six: ArrayLike) -> Float64:
    """``[..., 6]`` → ``[..., 3, 3]`` by Gram-Schmidt: always rotations, whatever finite numbers come in."""
    rows = np.asarray(six, np.float64)
    first = _unit(rows[..., :3], np.array([1.0, 0.0, 0.0]))
    second = rows[..., 3:] - _dot(first, rows[..., 3:]) * first
    second = _unit(second, _perpendicular(first))
    second = _unit(second - _dot(first, second) * first, _perpendicular(first))  # once more: the first pass may cancel badly
    return np.stack([first, second, np.cross(first, second)], -1)


def quaternions_to_matrices(quaternions: ArrayLike) -> Float64:
    """``[..., 4]`` (w, x, y, z) of any length but zero → ``[..., 3, 3]``."""
    w, x, y, z = np.moveaxis(_unit(np.asarray(quaternions, np.float64), np.array([1.0, 0, 0, 0])), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def matrices_to_quaternions(rotations: ArrayLike) -> Float64:
    """``[..., 3, 3]`` → unit quaternions ``[..., 4]`` (w, x, y, z) with w ≥ 0, through the largest of the four parts."""
    m = np.asarray(rotations, np.float64)
    diagonal = [m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]]
    x, y, z = diagonal
    squares = np.stack([1 + x + y + z, 1 + x - y - z, 1 - x + y - z, 1 - x - y + z], -1)
    wx, wy, wz = (m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1])
    xy, xz, yz = (m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2])
    products = np.stack(
        [
            np.stack([squares[..., 0], wx, wy, wz], -1),
            np.stack([wx, squares[..., 1], xy, xz], -1),
            np.stack([wy, xy, squares[..., 2], yz], -1),
            np.stack([wz, xz, yz, squares[..., 3]], -1),
        ],
        -2,
    )
    largest = squares.argmax(-1)[..., None, None]
    found = np.take_along_axis(products, largest, -2)[..., 0, :]
    unit = _unit(found, np.array([1.0, 0, 0, 0]))
    return np.where(unit[..., :1] < 0, -unit, unit)


def axis_angles_to_matrices(axis_angles: ArrayLike) -> Float64:
    """``[..., 3]``, an axis times an angle in radians → ``[..., 3, 3]``."""
    vectors = np.asarray(axis_angles, np.float64)
    half = np.linalg.norm(vectors, axis=-1, keepdims=True) / 2
    scaled = 0.5 * np.sinc(half / np.pi) * vectors
    return quaternions_to_matrices(np.concatenate([np.cos(half), scaled], -1))


def turn(axis: int, angles_rad: ArrayLike) -> Float64:
    """Rotations about one axis of the frame (0, 1, 2) by angles ``[...]`` → ``[..., 3, 3]``."""
    angles = np.asarray(angles_rad, np.float64)
    cos, sin = np.cos(angles), np.sin(angles)
    made = np.zeros((*angles.shape, 3, 3))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    made[..., axis, axis] = 1
    made[..., first, first], made[..., first, second] = cos, -sin
    made[..., second, first], made[..., second, second] = sin, cos
    return made


def euler_to_matrices(axes: tuple[int, ...], angles_rad: ArrayLike) -> Float64:
    """Intrinsic turns about ``axes`` in that order, by angles ``[..., len(axes)]`` → ``[..., 3, 3]``."""
    angles = np.asarray(angles_rad, np.float64)
    made = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3)).copy()
    for number, axis in enumerate(axes):
        made = made @ turn(axis, angles[..., number])
    return made


def matrices_to_euler_zxy(rotations: ArrayLike) -> Float64:
    """``[..., 3, 3]`` → angles ``[..., 3]`` in radians with ``R = Rz Rx Ry``, the gimbal lock included.

    The first angle is taken out before the others are read, so that all three together give the rotation back even where
    the first is ill-determined.
    """
    matrices = np.asarray(rotations, np.float64)
    z = np.arctan2(-matrices[..., 0, 1], matrices[..., 1, 1])
    rest = turn(2, -z) @ matrices  # Rx Ry
    x = np.arctan2(rest[..., 2, 1], rest[..., 1, 1])
    y = np.arctan2(rest[..., 0, 2], rest[..., 0, 0])
    return np.stack([z, x, y], -1)


def slerp(start: ArrayLike, stop: ArrayLike, share: ArrayLike) -> Float64:
    """Unit quaternions ``[..., 4]`` the share (``[...]`` in 0 .. 1) of the shorter way from ``start`` to ``stop``."""
    first, second = np.asarray(start, np.float64), np.asarray(stop, np.float64)
    share = np.asarray(share, np.float64)[..., None]
    dot = _dot(first, second)
    second = np.where(dot < 0, -second, second)
    angle = np.arctan2(
        np.linalg.norm(second - first, axis=-1, keepdims=True), np.linalg.norm(second + first, axis=-1, keepdims=True)
    )
    angle = 2 * angle
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    before = np.where(near, 1 - share, np.sin((1 - share) * angle) / safe)
    after = np.where(near, share, np.sin(share * angle) / safe)
    return _unit(before * first + after * second, np.array([1.0, 0, 0, 0]))


def angles_between(first: ArrayLike, second: ArrayLike) -> Float64:
    """Angles in radians of ``R1ᵀ R2``, ``[...]``, by atan2, which is exact near 0 and near π."""
    between = np.swapaxes(np.asarray(first, np.float64), -1, -2) @ np.asarray(second, np.float64)
    skew = np.stack(
        [
            between[..., 2, 1] - between[..., 1, 2],
            between[..., 0, 2] - between[..., 2, 0],
            between[..., 1, 0] - between[..., 0, 1],
        ],
        -1,
    )
    return np.asarray(np.arctan2(np.linalg.norm(skew, axis=-1), np.trace(between, axis1=-2, axis2=-1) - 1))


def headings(rotations: ArrayLike, up: int) -> Float64:
    """Angle in radians of each ``[..., 3, 3]`` about the axis ``up``: the twist of its swing-twist decomposition.

    Turning by α about the vertical adds α, whatever the pose.
    """
    quaternions = matrices_to_quaternions(rotations)
    return np.asarray(2 * np.arctan2(quaternions[..., 1 + up], quaternions[..., 0]))


def _dot(first: Float64, second: Float64) -> Float64:
    return np.asarray(np.sum(first * second, axis=-1, keepdims=True))


def _unit(vectors: Float64, fallback: Float64) -> Float64:
    """Vectors of length 1; the fallback where there is next to nothing."""
    scale = np.abs(vectors).max(-1, keepdims=True)
    scaled = vectors / np.where(scale > 0, scale, 1)
    length = np.linalg.norm(scaled, axis=-1, keepdims=True)
    usable = scale * length > _TINY
    return np.where(usable, scaled / np.where(usable, length, 1), fallback)


def _perpendicular(vectors: Float64) -> Float64:
    """Unit vectors at right angles to unit vectors."""
    smallest = np.eye(3)[np.abs(vectors).argmin(-1)]
    return _unit(np.cross(vectors, smallest), np.array([0.0, 1.0, 0.0]))
