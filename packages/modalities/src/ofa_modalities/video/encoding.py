"""Frames → three-dimensional patches, and back.

# F frames, T frames of a patch (tubelet), P side of a patch in pixels; f = F/T, r rows, c columns of patches
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.image.encoding import patch_grid
from ofa_modalities.video.clip import Frames, Size

Float32 = NDArray[np.float32]


def clip_grid(width: int, height: int, *, count: int, size: int, patch: int, max_patches: int) -> tuple[int, int]:
    """``(rows, columns)`` of each of ``count`` frames or groups of frames: the longer side at most ``size`` pixels, all patches
    of the clip at most ``max_patches`` (but one a frame), near the aspect ratio of the original.

    >>> clip_grid(640, 480, count=4, size=64, patch=8, max_patches=256)
    (6, 8)
    """
    scale = min(1.0, size / max(width, height))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    rows, columns = patch_grid(*small, patch, max(1, max_patches // count))
    longest = max(1, size // patch)
    return min(rows, longest), min(columns, longest)


def fill_tubelets(frames: Frames, tubelet: int) -> Frames:
    """The frames, the last one again until they are a multiple of ``tubelet``."""
    missing = -len(frames) % tubelet
    return np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)]) if missing else frames


def frames_to_patches(frames: Frames, patch: int, tubelet: int) -> Float32:
    """Cut uint8 ``[F, r·P, c·P, 3]``, F a multiple of T, into float32 ``[f·r·c, T·P·P·3]`` in -1 .. 1, row-major."""
    count, height, width, _ = frames.shape
    parts = frames.reshape(count // tubelet, tubelet, height // patch, patch, width // patch, patch, 3)
    patches = parts.transpose(0, 2, 4, 1, 3, 5, 6).reshape(-1, tubelet * patch * patch * 3).astype(np.float32)
    patches *= np.float32(2 / 255)
    patches -= np.float32(1)
    return patches


def patches_to_frames(units: NDArray[np.floating], shape: tuple[int, int, int], tubelet: int) -> Frames:
    """The frames that patches ``[f·r·c, T·P·P·3]`` in -1 .. 1 show; ``shape`` is (f, r, c). Equal to what was cut."""
    count, rows, columns = shape
    patch = math.isqrt(units.shape[1] // (3 * tubelet))
    pixels = np.clip(np.rint((units.astype(np.float64) + 1) * 127.5), 0, 255).astype(np.uint8)
    pixels = pixels.reshape(count, rows, columns, tubelet, patch, patch, 3).transpose(0, 3, 1, 4, 2, 5, 6)
    return np.ascontiguousarray(pixels.reshape(count * tubelet, rows * patch, columns * patch, 3))


def grid_size(grid: tuple[int, int], patch: int) -> Size:
    """``(width, height)`` of a grid of patches in pixels."""
    return grid[1] * patch, grid[0] * patch
