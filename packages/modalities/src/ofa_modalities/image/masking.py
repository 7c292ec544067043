"""Patches that are replaced by grey, the mean value, so that they can be asked for.

# U patches, R rows, C columns, P side of a patch in pixels, T frames of a patch
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def masked(
    units: Float32,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    *,
    ratio: float,
    mask: Literal["random", "tube", "centre"],
    tubelet: int = 1,
) -> Float32:
    """The patches ``[U, F]`` of a grid ``shape`` with a share of them set to 0, chosen as ``mask`` says.

    tubelet: frames of a patch. The options of pictures and clips say what the masks are.
    """
    if mask == "centre":
        return mask_centre(units, shape, ratio, tubelet=tubelet)
    return mask_patches(units, random_mask(shape, ratio, rng, tube=mask == "tube"))


def random_mask(shape: tuple[int, ...], ratio: float, rng: np.random.Generator, *, tube: bool = False) -> NDArray[np.bool_]:
    """bool ``[U]`` with ``ceil(ratio · U)`` True places of a grid ``shape``, in row-major order.

    tube: of ``(frames, rows, columns)``, the same places in all frames; the share is of the places of a frame.
    """
    count = math.prod(shape[1:]) if tube else math.prod(shape)
    wanted = min(count, math.ceil(ratio * count - 1e-9))
    mask = np.zeros(count, bool)
    mask[rng.permutation(count)[:wanted]] = True
    return np.tile(mask, shape[0]) if tube else mask


def mask_patches(units: Float32, mask: NDArray[np.bool_]) -> Float32:
    """The patches ``[U, F]`` with those of ``mask [U]`` set to 0, the middle of -1 .. 1."""
    return np.where(mask[:, None], np.float32(0), units)


def mask_centre(units: Float32, shape: tuple[int, ...], ratio: float, *, tubelet: int = 1) -> Float32:
    """The patches ``[U, T·P·P·3]`` of a grid ``(…, R, C)`` with a rectangle in the middle set to 0, to the pixel.

    Its sides are ``ratio`` of the picture's, as in OFASys, whose ratio of 1 is read as what it says: everything.

    >>> mask_centre(np.ones((4, 12), np.float32), (2, 2), 0.5)[:, ::3].tolist()  # 2 × 2 patches of 2 × 2 pixels
    [[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]]
    """
    rows, columns = shape[-2:]
    patch = math.isqrt(units.shape[1] // (3 * tubelet))
    down, across = (_middle(side * patch, ratio).reshape(side, patch) for side in (rows, columns))
    inside = down[:, None, None, :, None] & across[None, :, None, None, :]
    pixels = units.reshape(-1, rows, columns, tubelet, patch, patch, 3)
    return np.where(inside[None, ..., None], np.float32(0), pixels).reshape(units.shape)


def _middle(length: int, ratio: float) -> NDArray[np.bool_]:
    start = int(length * (1 - ratio) / 2)
    inside = np.zeros(length, bool)
    inside[start : length - start] = ratio > 0
    return inside
