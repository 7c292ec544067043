"""VIDEO, said without importing what does the work."""

from __future__ import annotations

from typing import Literal, Self

from ofa_instruction.plans import LONGEST_ANSWER
from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec
from pydantic import Field, model_validator

from ofa_modalities.image.spec import CodeBookOptions


class ClipOptions(Options):
    """Which frames of a clip are looked at, and what reading it may cost."""

    num_frames: int = Field(default=8, ge=1, le=1024)
    """Frames that are looked at."""
    fps: float | None = Field(default=None, gt=0, le=1000)
    """Frames a second. None: they are spread evenly over the whole clip."""
    start: float | None = Field(default=None, ge=0)
    """Second of the first frame, with ``fps``. None: anywhere in the clip in training, in its middle otherwise."""
    frame_rate: float = Field(default=25.0, gt=0, le=1000)
    """Frames a second of a folder, an array or a list of pictures, which do not say."""
    max_pixels: int = Field(default=50_000_000, ge=1)
    """Most pixels of a frame before it is decoded; more is an error."""
    max_duration_s: float = Field(default=14_400.0, gt=0)
    """Longest clip in seconds; a longer one is an error, found before it is decoded."""
    max_bytes: int = Field(default=1_000_000_000, ge=1)
    """Most bytes of frames in an array or a list, of an animated picture (256 MB at most) and of a file from a URL; more is an
    error."""


class VideoOptions(ClipOptions):
    """How a clip becomes patches."""

    size: int = Field(default=64, ge=1, le=4096)
    """Longest side of a frame in pixels; a larger frame is shrunk at its own aspect ratio."""
    patch: int = Field(default=8, ge=1, le=64)
    """Side of a square patch in pixels."""
    tubelet: int = Field(default=2, ge=1, le=64)
    """Frames of a patch."""
    max_patches: int = Field(default=256, ge=1, le=65_536)
    """Most patches of a clip; frames are shrunk for it."""
    mask_ratio: float = Field(default=0.0, ge=0, le=1)
    """Replace this share of the patches, rounded up, by grey: in training, and in every split where the column is also a
    target."""
    mask: Literal["random", "tube", "centre"] = "random"
    """``random``: any patches. ``tube``: the same places in all frames. ``centre``: a rectangle in the middle of all frames
    whose sides are this share of the frame's."""


class VideoCodeOptions(ClipOptions, CodeBookOptions):
    """How a clip becomes codes, and codes a clip."""

    num_frames: int = Field(default=4, ge=1, le=256)
    """Frames of a clip, exactly."""
    play_fps: float | None = Field(default=None, gt=0, le=1000)
    """Frames a second of an answer; None: ``fps``, else 8."""

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if self.num_frames * self.side**2 > LONGEST_ANSWER:
            raise ValueError(
                f"a clip of {self.num_frames} frames of {self.side}² codes is longer than {LONGEST_ANSWER:,}, the longest answer"
                " there is"
            )
        return self


VIDEO = ModalitySpec(
    name="VIDEO",
    summary="Clips, as three-dimensional patches of a few frames.",
    processor="video",
    adaptor="video_patch",
    target_processor="video_code",
    target_adaptor="text",
    criteria=("cross_entropy",),
    generator="tokens",
    never_closed=True,
)

VIDEO_PROCESSOR = ProcessorSpec(
    name="video",
    summary="Anything PyAV or PIL opens, a folder or an array: frames chosen by time, cut into patches of space and time.",
    modalities=("VIDEO",),
    options=VideoOptions,
    implementation="ofa_modalities.video.processor:VideoProcessor",
)

VIDEO_CODE_PROCESSOR = ProcessorSpec(
    name="video_code",
    summary="Frames as codes of the run's own code book, shared with pictures of the same size, and back to a clip.",
    modalities=("VIDEO",),
    options=VideoCodeOptions,
    implementation="ofa_modalities.video.codes:VideoCodeProcessor",
)
