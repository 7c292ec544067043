"""MOTION, said without importing what does the work."""

from __future__ import annotations

from typing import Literal

from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec
from pydantic import AliasChoices, Field


class MotionOptions(Options):
    """How a motion becomes frames of features."""

    fps: float = Field(default=20.0, ge=1, le=240, validation_alias=AliasChoices("fps", "sample_rate"))
    """Frames a second that motions are resampled to, and that answers have."""
    min_length: int = Field(default=1, ge=1)
    """Fewest frames, at this rate; a shorter motion is an error."""
    max_frames: int = Field(default=512, ge=1, le=16_384, validation_alias=AliasChoices("max_frames", "max_length"))
    """Most frames, at this rate; a longer motion is an error, unless ``window`` cuts it."""
    window: int | None = Field(default=None, ge=1)
    """Keep so many frames of a longer motion: in training from anywhere, else the first."""
    soft_trim: float = Field(default=0.0, ge=0, lt=0.5)
    """In training, each end loses so large a share of the frames on average, drawn from a Poisson distribution."""
    turn: bool = True
    """In training, turn the motion about the vertical by any angle."""
    anchor_frame: int | None = Field(default=None)
    """Turn every motion so that this frame (negative: from the end) has the heading 0; takes the place of ``turn``."""
    mirror: bool = False
    """In training, every other motion is its mirror image: only for a task whose texts do not tell left from right."""
    known: str | None = Field(default=None, pattern=r"^((ends|start|end|every):[1-9]\d{0,4}|0?\.\d{1,6})$")
    """Show these frames alone: the first and last N (``ends:N``), the first (``start:N``), the last (``end:N``), each N-th
    (``every:N``), or so large a share drawn at random (``0.2``). An answer of the same column keeps them as they are."""
    up: Literal["y", "z"] = "y"
    """The axis that points up in files that do not say it, and in answers."""
    max_numbers: int = Field(default=4_000_000, ge=1)
    """Most angles of a file before it is resampled (frames times channels); more is an error."""
    max_bytes: int = Field(default=64_000_000, ge=1)
    """Largest file; a larger one is an error."""


MOTION = ModalitySpec(
    name="MOTION",
    summary="How a skeleton moves: root velocity and 6-D rotations, frame by frame.",
    processor="motion",
    adaptor="motion",
    target_adaptor="motion_diffusion",
    criteria=("diffusion",),
    generator="diffusion",
    refers_to=("MOTION",),
    refers_optionally=True,
)

MOTION_PROCESSOR = ProcessorSpec(
    name="motion",
    summary="BVH files of any skeleton, npz files or arrays of joint rotations, resampled to one rate.",
    aliases=("motion_6d",),
    modalities=("MOTION",),
    options=MotionOptions,
    implementation="ofa_modalities.motion.processor:MotionProcessor",
)
