"""VIDEO: a clip → float patches of space and time. What is answered are codes (codes.py)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan

from ofa_modalities.image.masking import masked
from ofa_modalities.processor import BaseProcessor, DecodeContext, EncodeContext, Item, Resources, SampleError
from ofa_modalities.video.clip import Clip, Limits, Shrink, Size
from ofa_modalities.video.encoding import clip_grid, fill_tubelets, frames_to_patches, grid_size, patches_to_frames
from ofa_modalities.video.output import Video
from ofa_modalities.video.reading import read_video
from ofa_modalities.video.sampling import Float64, uniform_times, window_times
from ofa_modalities.video.spec import ClipOptions, VideoOptions

_SHOWN_FPS = 8.0
"""Rate at which patches are shown to a person where the options give none."""


def read_clip(value: object, column: str, options: ClipOptions, context: EncodeContext, shrink: Shrink) -> Clip:
    """The frames of a raw value that the options ask for; chance comes from the context in training alone."""
    rng = context.rng if context.split == "train" else None
    return read_video(
        value,
        column,
        times=partial(_times, column=column, options=options, rng=rng),
        shrink=shrink,
        limits=limits_of(options),
        frame_rate=options.frame_rate,
        root=context.root,
        hosts=context.hosts,
    )


def _times(duration_s: float, *, column: str, options: ClipOptions, rng: np.random.Generator | None) -> Float64:
    if options.fps is None:
        return uniform_times(duration_s, options.num_frames)
    if options.start and options.start >= duration_s:
        raise SampleError(column, f"the clip ends at {duration_s:.2f} s, before the start at {options.start:g} s")
    return window_times(duration_s, options.num_frames, options.fps, start_s=options.start, rng=rng)


def limits_of(options: ClipOptions) -> Limits:
    """What the options refuse."""
    return Limits(max_pixels=options.max_pixels, max_duration_s=options.max_duration_s, max_bytes=options.max_bytes)


class VideoProcessor(BaseProcessor):
    """Encodes a clip as float32 ``[f·r·c, 3·tubelet·patch²]`` patches in -1 .. 1, shape ``(f, r, c)``, at most ``max_patches``.

    A clip of fewer frames than are asked for shows some twice; a window that the clip does not fill has fewer.
    """

    def __init__(self, slot: SlotPlan, options: VideoOptions, resources: Resources) -> None:
        super().__init__(slot, options, resources)
        self.options = options
        self.unit_features = self.stream_features(slot, options)

    @classmethod
    def stream_features(cls, slot: SlotPlan, options: VideoOptions) -> int:
        """Three channels of a patch's pixels in each of its frames."""
        return 3 * options.tubelet * options.patch * options.patch

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Read, shrink and cut the frames of one clip; see :func:`read_video` for what it may be. Raises SampleError."""
        options = self.options
        clip = read_clip(value, self.slot.column, options, context, self._shrink)
        frames = fill_tubelets(clip.frames, options.tubelet)
        units = frames_to_patches(frames, options.patch, options.tubelet)
        height, width = frames.shape[1:3]
        shape = (len(frames) // options.tubelet, height // options.patch, width // options.patch)
        if options.mask_ratio and (context.split == "train" or self.resources.also_target):
            ratio, tubelet = options.mask_ratio, options.tubelet
            units = masked(units, shape, context.rng, ratio=ratio, mask=options.mask, tubelet=tubelet)
        return Item(units=units, shape=shape, size_px=clip.size_px)

    def _shrink(self, width: int, height: int) -> Size:
        options = self.options
        count = -(-options.num_frames // options.tubelet)
        grid = clip_grid(width, height, count=count, size=options.size, patch=options.patch, max_patches=options.max_patches)
        return grid_size(grid, options.patch)

    def show(self, units: NDArray[Any], shape: tuple[int, ...]) -> object:
        """The clip, rebuilt from its patches, at ``fps`` or else 8 frames a second."""
        count, rows, columns = shape
        frames = patches_to_frames(units, (count, rows, columns), self.options.tubelet)
        return Video(frames=frames, fps=self.options.fps or _SHOWN_FPS)

    def decode(self, units: NDArray[Any], context: DecodeContext) -> object:
        """The units: their grid cannot be told from them. See :meth:`show`."""
        return units
