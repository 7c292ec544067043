"""Specs of the built-in adaptors and backends: what the entry points of this package hand out. Pydantic only."""

from __future__ import annotations

import math
from typing import Literal

from ofa_instruction.specs import AdaptorSpec, BackendSpec, Options, TokenLayout
from pydantic import Field, field_validator


class TextAdaptorOptions(Options):
    """The text adaptor has nothing to choose: ids are looked up in the shared, tied embedding."""


class PatchOptions(Options):
    """How flattened patches of pictures and clips become tokens."""

    octaves: int = Field(default=6, ge=1, le=16)
    """Octaves of the Fourier features of a patch's centre, along each axis in [0, 1]."""
    memory_place: bool = True
    """Add the place once more to the encoder's output, so that cross-attention reads an absolute place."""


class ImageConvOptions(PatchOptions):
    """How pictures are convolved to tokens."""

    cells: int = Field(default=4, ge=1, le=64)
    """Side of a patch in cells, where halving ends and a patch becomes a token."""
    channels: int = Field(default=32, ge=1, le=1024)
    """Of the first convolution; each further halving doubles them."""


class ImagePatchSpec(AdaptorSpec):
    """One token a patch: an item of (rows, columns) patches is a picture of as many tokens."""

    def layout(self, options: Options, item_shape: tuple[int, ...]) -> TokenLayout:
        """The grid of patches itself. Raises ValueError where the item is not (rows, columns)."""
        if len(item_shape) != 2:
            raise ValueError(f"an item of the adaptor `{self.name}` is (rows, columns) of patches, not {item_shape}")
        return TokenLayout(item_shape)


class VideoPatchSpec(AdaptorSpec):
    """One token a patch: an item of (frames, rows, columns) patches is a clip of as many tokens."""

    def layout(self, options: Options, item_shape: tuple[int, ...]) -> TokenLayout:
        """The grid of patches itself. Raises ValueError where the item is not (frames, rows, columns)."""
        if len(item_shape) != 3:
            raise ValueError(f"an item of the adaptor `{self.name}` is (frames, rows, columns) of patches, not {item_shape}")
        return TokenLayout(item_shape)


class AudioConvOptions(Options):
    """How log-mel units become tokens."""

    kernel: int = Field(default=5, ge=1, le=31)
    """Units that each of the two convolutions looks at; odd."""
    first_stride: int = Field(default=2, ge=1, le=16)
    """Units of a step of the first convolution."""
    second_stride: int = Field(default=2, ge=1, le=16)
    """The same of the second: a token stands for ``first_stride · second_stride`` units."""

    @field_validator("kernel")
    @classmethod
    def _has_a_middle(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("an odd number, so that a window has a middle")
        return kernel


class AudioConvSpec(AdaptorSpec):
    """Two strided convolutions within an item: fewer tokens than units."""

    def layout(self, options: Options, item_shape: tuple[int, ...]) -> TokenLayout:
        """``ceil(ceil(n / first_stride) / second_stride)`` tokens on a line. Raises ValueError where the item is no line."""
        if len(item_shape) != 1:
            raise ValueError(f"an item of the adaptor `{self.name}` is a line of units, not {item_shape}")
        assert isinstance(options, AudioConvOptions)
        halfway = math.ceil(item_shape[0] / options.first_stride)
        return TokenLayout((math.ceil(halfway / options.second_stride),))


class AudioFramesOptions(Options):
    """How log-mel units are answered, one after the other."""

    frames_per_step: int | None = Field(default=None, ge=1, le=64, validation_alias="n_frames_per_step")
    """Frames that are stacked into one unit, as the processor stacks them. None: 4."""
    prenet_width: int = Field(default=256, ge=1, le=4096)
    """Channels of the two layers that read the unit before."""
    prenet_dropout: float = Field(default=0.5, ge=0, lt=1)
    """Share of these channels that is dropped, in training and while an answer is made."""
    postnet_layers: int = Field(default=5, ge=0, le=12)
    """Convolutions that refine the frames of a finished answer; 0: none."""
    postnet_width: int = Field(default=128, ge=1, le=4096)
    """Channels between these convolutions."""
    postnet_kernel: Literal[3, 5, 7, 9] = 5
    """Frames that each of them looks at."""
    postnet_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of their channels that is dropped in training."""


class MotionAdaptorOptions(Options):
    """How frames of a motion become tokens."""

    octaves: int = Field(default=6, ge=1, le=16)
    """Octaves of the Fourier features of a frame's time in its motion, in [0, 1]."""


class NoiseOptions(Options):
    """The noise of a diffusion; options of every adaptor that answers by it derive from these."""

    beta_schedule: Literal["squaredcos_cap_v2", "linear", "scaled_linear"] = "squaredcos_cap_v2"
    """How fast noise covers the units (Nichol and Dhariwal 2021, arXiv 2102.09672, figure 5)."""
    noise_levels: int = Field(default=1000, ge=2, le=10_000)
    """Levels of noise that are told apart."""


class MotionDiffusionOptions(NoiseOptions, MotionAdaptorOptions):
    """How noisy frames of a motion become tokens."""


TEXT = AdaptorSpec(
    name="text",
    summary="Vocabulary ids through the shared embedding, tied to the output.",
    aliases=("image_vqgan",),
    units="ids",
    options=TextAdaptorOptions,
    implementation="ofa_models.adaptors.text:TextAdaptor",
)

IMAGE_PATCH = ImagePatchSpec(
    name="image_patch",
    summary="Flattened patches through one linear map, with Fourier features of their place.",
    aliases=("image_patch_embed",),
    units="floats",
    options=PatchOptions,
    implementation="ofa_models.adaptors.image_patch:ImagePatchAdaptor",
)

VIDEO_PATCH = VideoPatchSpec(
    name="video_patch",
    summary="Flattened patches of space and time through one linear map, with Fourier features of their place.",
    aliases=("video_image_sequence",),
    units="floats",
    options=PatchOptions,
    implementation="ofa_models.adaptors.video_patch:VideoPatchAdaptor",
)

AUDIO_CONV = AudioConvSpec(
    name="audio_conv",
    summary="Log-mel units through two strided convolutions within each item.",
    aliases=("audio_fbank",),
    units="floats",
    options=AudioConvOptions,
    implementation="ofa_models.adaptors.audio:AudioConvAdaptor",
)

AUDIO_FRAMES = AdaptorSpec(
    name="audio_frames",
    summary="Log-mel units answered one after the other: pre-net, heads for the next unit and the stop, post-net.",
    aliases=("audio_tgt_fbank",),
    units="floats",
    options=AudioFramesOptions,
    implementation="ofa_models.adaptors.audio:AudioFramesAdaptor",
)

MOTION = AdaptorSpec(
    name="motion",
    summary="Frames of a motion through one linear map, with Fourier features of their time; one token a frame.",
    units="floats",
    options=MotionAdaptorOptions,
    implementation="ofa_models.adaptors.motion:MotionAdaptor",
)

MOTION_DIFFUSION = AdaptorSpec(
    name="motion_diffusion",
    summary="Noisy frames of a motion and how noisy they are, denoised together; one token a frame.",
    aliases=("motion_6d",),
    units="floats",
    options=MotionDiffusionOptions,
    implementation="ofa_models.adaptors.motion:MotionDiffusionAdaptor",
)

IMAGE_CONV = ImagePatchSpec(
    name="image_conv",
    summary="Pictures put together from their patches and convolved to one token a patch; patches may be large.",
    units="floats",
    options=ImageConvOptions,
    implementation="ofa_models.adaptors.image_conv:ImageConvAdaptor",
)

GENERALIST = BackendSpec(
    name="generalist",
    summary="Pre-norm encoder-decoder on packed tokens with rotary coordinates; the default.",
    implementation="ofa_models.generalist.model:Generalist",
    segment_layout="per_slot",
)
