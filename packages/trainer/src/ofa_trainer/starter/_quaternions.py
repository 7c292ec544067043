"""Rotations as unit quaternions (w, x, y, z) in the last axis, as much as motions of the pack need."""

from __future__ import annotations

import numpy as np

from ofa_trainer.starter._extension_pack import Float32


def multiply(first: Float32, second: Float32) -> Float32:
    """The rotation that turns by ``second``, then by ``first``; ``[..., 4]``."""
    w, x, y, z = (first[..., axis] for axis in range(4))
    W, X, Y, Z = (second[..., axis] for axis in range(4))
    parts = (
        w * W - x * X - y * Y - z * Z,
        w * X + x * W + y * Z - z * Y,
        w * Y - x * Z + y * W + z * X,
        w * Z + x * Y - y * X + z * W,
    )
    return np.stack(parts, -1)


def about_y(angle_rad: Float32) -> Float32:
    """Turns about the vertical, to the left where positive: angles ``[...]`` → ``[..., 4]``."""
    zero = np.zeros_like(angle_rad)
    return np.stack((np.cos(angle_rad / 2), zero, np.sin(angle_rad / 2), zero), -1)


def turn(rotation: Float32, vectors: Float32) -> Float32:
    """Vectors ``[..., 3]`` turned by rotations ``[..., 4]``."""
    axis = rotation[..., 1:]
    twice = 2 * np.cross(axis, vectors)
    turned: Float32 = vectors + rotation[..., :1] * twice + np.cross(axis, twice)
    return turned


def between(first: Float32, second: Float32, share: Float32) -> Float32:
    """Normalised mixture, ``share`` of the second (0 .. 1); near enough to the arc for neighbouring frames."""
    sign = np.where((first * second).sum(-1, keepdims=True) < 0, np.float32(-1), np.float32(1))
    mixed = first * (1 - share) + sign * second * share
    found: Float32 = mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)
    return found
