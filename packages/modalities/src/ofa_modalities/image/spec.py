"""IMAGE, said without importing what does the work."""

from __future__ import annotations

from typing import Literal

from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec
from pydantic import Field


class ImageOptions(Options):
    """How a picture becomes patches."""

    patch: int = Field(default=8, ge=1, le=64)
    """Side of a square patch in pixels."""
    max_patches: int = Field(default=64, ge=1, le=16_384)
    """Most patches of a picture; a larger picture is shrunk at its own aspect ratio."""
    augment: Literal["none", "mild"] = "none"
    """In training, ``mild`` shifts by up to 6 %, scales by up to 10 % on a white ground and changes colours by up to 10 %.
    Boxes of the picture move along. There are no mirror images: texts have sides."""
    max_pixels: int = Field(default=50_000_000, ge=1)
    """Most pixels of a file before it is decoded; more is an error."""


IMAGE = ModalitySpec(
    name="IMAGE",
    summary="Pictures, as patches at their own aspect ratio.",
    processor="image",
    adaptor="image_patch",
    generator="tokens",
)

IMAGE_PROCESSOR = ProcessorSpec(
    name="image",
    summary="Any picture PIL reads, turned by EXIF, flattened on white, shrunk to a number of patches.",
    aliases=("imagenet", "imagepretrain"),
    modalities=("IMAGE",),
    options=ImageOptions,
    implementation="ofa_modalities.image.processor:ImageProcessor",
)
