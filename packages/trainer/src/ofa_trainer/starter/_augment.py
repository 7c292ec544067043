"""Mild augmentation of drawings.

How much was measured: none and strong both learn less than this (a small model does not learn the training set under strong
augmentation in minutes).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

_SHIFT = 0.06  # of the side, each way
_SCALE = 0.10
_COLOUR = 0.10  # gain of each channel


def on_white(drawing: Image.Image) -> Image.Image:
    """An RGBA picture on a white ground, RGB."""
    ground = Image.new("RGB", drawing.size, "white")
    ground.paste(drawing, mask=drawing)
    return ground


def augment(rng: np.random.Generator, drawing: Image.Image) -> Image.Image:
    """Shift, scale and tint a square RGBA drawing and set it on white: RGB of the same size."""
    side = drawing.width
    scale = 1 + rng.uniform(-_SCALE, _SCALE)
    shift_x, shift_y = rng.uniform(-_SHIFT, _SHIFT, 2) * side
    # maps an output pixel to the input pixel that it shows
    offset = side / 2 * (1 - 1 / scale)
    matrix = (1 / scale, 0.0, offset - shift_x / scale, 0.0, 1 / scale, offset - shift_y / scale)
    moved = on_white(drawing).transform(
        drawing.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor="white"
    )
    gains = 1 + rng.uniform(-_COLOUR, _COLOUR, 3)
    pixels = np.asarray(moved, np.float32)
    coloured = 255 - (255 - pixels) * gains.astype(np.float32)  # gains act on the ink, so that white stays white
    return Image.fromarray(np.clip(np.rint(coloured), 0, 255).astype(np.uint8))
