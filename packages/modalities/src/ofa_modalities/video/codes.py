"""VIDEO answered: a clip ⇄ the codes of its frames, one grid after the other.

# F frames, S side of a frame in pixels, G = S / downsample side of a frame's grid of codes
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan
from PIL import Image

from ofa_modalities.image.codes import CodeProcessor, square
from ofa_modalities.image.spec import CodeBookOptions
from ofa_modalities.processor import DecodeContext, EncodeContext, Item, Resources, SampleError, TokenRule
from ofa_modalities.video.clip import Size
from ofa_modalities.video.output import Video
from ofa_modalities.video.processor import read_clip
from ofa_modalities.video.reading import read_video
from ofa_modalities.video.sampling import uniform_times
from ofa_modalities.video.spec import VideoCodeOptions

_PLAYED_FPS = 8.0


class VideoCodeProcessor(CodeProcessor):
    """Encodes a clip as ``[F · G · G]`` ids, shape ``(F, G, G)``; the answer is a :class:`Video` of F frames of S × S pixels.

    A window that the clip does not fill ends with its last frame, again and again.
    """

    def __init__(self, slot: SlotPlan, options: VideoCodeOptions, resources: Resources) -> None:
        super().__init__(slot, options, resources)
        self.options = options

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Ids of the nearest codes. Raises SampleError for what is no clip; see :func:`read_video`."""
        frames, size_px = self._frames(value, context)
        return Item(units=self.ids(frames), shape=(len(frames), self.side, self.side), size_px=size_px)

    def reference(self, value: object, context: EncodeContext) -> Video:
        """The frames that are learnt, in the size of an answer, before they become codes."""
        return Video(frames=self._frames(value, context)[0], fps=self._fps())

    def _frames(self, value: object, context: EncodeContext) -> tuple[NDArray[np.uint8], tuple[int, int] | None]:
        options = self.options
        clip = read_clip(value, self.slot.column, options, context, partial(_square_size, options))
        missing = options.num_frames - len(clip.frames)
        frames = np.concatenate([clip.frames, np.repeat(clip.frames[-1:], missing, axis=0)])
        return _squares(frames, options), clip.size_px

    def _fps(self) -> float:
        return self.options.play_fps or self.options.fps or _PLAYED_FPS

    def decode(self, units: NDArray[Any], context: DecodeContext) -> Video:
        """The clip of ``[F · G · G]`` ids."""
        return Video(frames=self.squares(units, self.options.num_frames), fps=self._fps())

    def token_rule(self) -> TokenRule:
        """Exactly a grid of codes a frame."""
        shape = (self.options.num_frames, self.side, self.side)
        return TokenRule(blocks=(self.block,), length=int(np.prod(shape)), shape=shape)


def clip_squares(
    value: object, options: CodeBookOptions, *, count: int, root: Path | None, hosts: frozenset[str]
) -> NDArray[np.uint8]:
    """``count`` frames of a clip, spread evenly, as uint8 ``[count, S, S, 3]``. Raises SampleError."""
    try:
        clip = read_video(
            value,
            times=partial(uniform_times, count=count),
            shrink=partial(_square_size, options),
            root=root,
            hosts=hosts,
        )
    except ImportError as error:
        raise SampleError("video", str(error)) from error
    return _squares(clip.frames, options)


def _square_size(options: CodeBookOptions, width: int, height: int) -> Size:
    """The square, or what covers it where its middle is cut out."""
    if not options.crop:
        return options.size, options.size
    scale = options.size / min(width, height)
    return max(options.size, round(width * scale)), max(options.size, round(height * scale))


def _squares(frames: NDArray[np.uint8], options: CodeBookOptions) -> NDArray[np.uint8]:
    return np.stack([square(Image.fromarray(frame), options) for frame in frames])
