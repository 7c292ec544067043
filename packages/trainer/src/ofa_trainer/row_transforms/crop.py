"""A part of a picture, and its boxes.

# W, H width and height of the picture in pixels; boxes are (left, top, right, bottom) in them
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from ofa_modalities.box.forms import Box

from ofa_trainer.row_transforms.plans import Crop

Window = tuple[int, int, int, int]
_TRIES = 20


def choose_window(size_px: tuple[int, int], boxes: Sequence[Box], plan: Crop, rng: np.random.Generator) -> Window:
    """The part ``(left, top, right, bottom)`` that is shown, in whole pixels.

    Each side is drawn from ``min_side`` of the picture's to all of it, wide enough for the middle of every box, and then its
    place. Where ``keep`` asks for a share, windows are drawn until all boxes have theirs; after 20 of them all is shown.
    """
    share = plan.min_share if plan.keep == "share" else 0.0
    for _ in range(_TRIES):
        (left, right), (top, bottom) = (
            _stretch(side, [(box[axis] + box[axis + 2]) / 2 for box in boxes], plan.min_side, rng)
            for axis, side in enumerate(size_px)
        )
        window = (left, top, right, bottom)
        if all(_area(clip(box, window)) >= share * _area(box) for box in boxes):
            return window
    return 0, 0, *size_px


def _stretch(side: int, middles: Sequence[float], min_side: float, rng: np.random.Generator) -> tuple[int, int]:
    """First and last pixel edge of a stretch of ``0 .. side`` that holds all ``middles``."""
    first, last = min(middles, default=side), max(middles, default=0.0)
    length = rng.uniform(max(min_side * side, last - first), side)
    start = rng.uniform(max(0.0, last - length), max(0.0, min(first, side - length)))
    low = min(side - 1, math.floor(start))
    return low, max(low + 1, min(side, math.ceil(start + length)))


def clip(box: Box, window: Window) -> Box:
    """What of a box lies in a window, in pixels of the window."""
    left, top, right, bottom = window
    width, height = right - left, bottom - top
    x0, x1 = (min(max(edge - left, 0.0), float(width)) for edge in (box[0], box[2]))
    y0, y1 = (min(max(edge - top, 0.0), float(height)) for edge in (box[1], box[3]))
    return x0, y0, x1, y1


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
