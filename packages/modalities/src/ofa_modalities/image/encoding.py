"""An RGB picture → patches at its own aspect ratio, and back.

# P side of a patch in pixels, R rows and C columns of patches
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

Float32 = NDArray[np.float32]
View = tuple[float, float, float, float]


def patch_grid(width: int, height: int, patch: int, max_patches: int) -> tuple[int, int]:
    """``(rows, columns)``: at most ``max_patches``, near the picture's aspect ratio, enlarged by less than a patch.

    >>> patch_grid(640, 480, patch=8, max_patches=64), patch_grid(20, 20, 8, 64), patch_grid(10_000, 1, 8, 64)
    ((7, 9), (3, 3), (1, 64))
    """
    scale = min(1.0, math.sqrt(max_patches * patch * patch / (width * height)))
    exact_columns, exact_rows = width * scale / patch, height * scale / patch
    if exact_rows < 1 or exact_columns < 1:
        long_side = max(width, height) / patch
        count = max(1, min(max_patches, math.ceil(long_side)))
        return (1, count) if width >= height else (count, 1)
    choices = [
        (rows, columns) for rows, columns in product(_near(exact_rows), _near(exact_columns)) if rows * columns <= max_patches
    ]
    aspect = math.log(width / height)
    return min(choices, key=lambda grid: (round(abs(math.log(grid[1] / grid[0]) - aspect), 3), -grid[0] * grid[1]))


def _near(exact: float) -> tuple[int, ...]:
    nearest = round(exact)
    if abs(exact - nearest) < 1e-6:
        return (max(1, nearest),)
    return max(1, math.floor(exact)), math.ceil(exact)


def resize_to_grid(image: Image.Image, grid: tuple[int, int], patch: int) -> Image.Image:
    """Resize a picture to whole patches."""
    size = (grid[1] * patch, grid[0] * patch)
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def image_to_patches(image: Image.Image, patch: int) -> Float32:
    """Cut an RGB picture of whole patches; float32 ``[R·C, P·P·3]`` in -1 .. 1, row-major."""
    rows, columns = image.height // patch, image.width // patch
    pixels = np.asarray(image, np.uint8).reshape(rows, patch, columns, patch, 3).swapaxes(1, 2)
    patches = pixels.reshape(rows * columns, patch * patch * 3).astype(np.float32)
    patches *= np.float32(2 / 255)
    patches -= np.float32(1)
    return patches


def patches_to_image(units: NDArray[np.floating], shape: tuple[int, int]) -> Image.Image:
    """The picture that patches ``[R·C, P·P·3]`` in -1 .. 1 show; ``shape`` is (R, C). Equal to what was cut, pixel by pixel."""
    rows, columns = shape
    patch = math.isqrt(units.shape[1] // 3)
    pixels = np.clip(np.rint((units.astype(np.float64) + 1) * 127.5), 0, 255).astype(np.uint8)
    pixels = pixels.reshape(rows, columns, patch, patch, 3).swapaxes(1, 2)
    return Image.fromarray(np.ascontiguousarray(pixels.reshape(rows * patch, columns * patch, 3)))


def augment_mildly(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, View]:
    """Shift by up to 6 %, scale by up to 10 % on white, and change brightness, contrast and colour by up to 10 %.

    Returns the changed picture, of the same size, and the view of the original that it shows, in its pixels.
    """
    width, height = image.size
    scale = 1 / rng.uniform(0.9, 1.1)
    left, top = (side * (0.5 * (1 - scale) + rng.uniform(-0.06, 0.06)) for side in (width, height))
    factors = rng.uniform(0.9, 1.1, 3).tolist()
    view = (left, top, left + width * scale, top + height * scale)
    coefficients = (scale, 0, left, 0, scale, top)
    image = image.transform(
        image.size, Image.Transform.AFFINE, coefficients, resample=Image.Resampling.BICUBIC, fillcolor=(255, 255, 255)
    )
    for enhance, factor in zip((ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), factors, strict=True):
        image = enhance(image).enhance(factor)
    return image, view
