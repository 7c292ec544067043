"""What reading gives: a few frames of a clip, and when they are shown; and what reading may cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""``(width, height)`` in pixels."""

Shrink = Callable[[int, int], Size]
"""Width and height of the original → the size that its frames are brought to as they are read."""

Frames = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """The frames of a clip that were asked for.

    frames: uint8 ``[F, H, W, 3]``, RGB and upright, shrunk. asked_s: float64 ``[F]`` the moments, in seconds from the first
    frame that the clip presents. times_s: float64 ``[F]`` when the frames are presented. size_px: of the original.
    duration_s: from the first frame to the end of the last. num_decoded: frames that were decoded to get these.
    """

    frames: Frames
    asked_s: NDArray[np.float64]
    times_s: NDArray[np.float64]
    size_px: Size
    duration_s: float
    num_decoded: int


@dataclass(frozen=True, slots=True)
class MirroredVideo:
    """A raw value of a clip whose frames are mirrored when they are read, left and right exchanged."""

    video: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is refused before it is decoded.

    max_pixels: of one frame. max_duration_s: of a clip. max_bytes: of frames given as an array, or all together as a list of
    arrays, pictures and bytes, of an animated picture, and of what is fetched from a URL.
    """

    max_pixels: int = 50_000_000
    max_duration_s: float = 4 * 3600.0
    max_bytes: int = 1_000_000_000
