"""IMAGE, said without importing what does the work."""

from __future__ import annotations

import hashlib
import json
from typing import Literal, Self

from ofa_instruction.plans import LONGEST_ANSWER
from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec
from pydantic import Field, model_validator


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
    mask_ratio: float = Field(default=0.0, ge=0, le=1)
    """Replace this share of the patches, rounded up, by grey: in training, and in every split where the column is also a
    target."""
    mask: Literal["random", "centre"] = "random"
    """``random``: any patches. ``centre``: a rectangle in the middle whose sides are ``mask_ratio`` of the picture's."""


class CodeBookOptions(Options):
    """A code book of square pictures: which one, and how it is fitted to a run's own pictures."""

    size: int = Field(default=32, ge=4, le=1024)
    """Side of the square that a picture is brought to, in pixels."""
    downsample: int = Field(default=4, ge=1, le=64)
    """Pixels of a code's side: a picture is ``(size / downsample)²`` codes."""
    codes: int = Field(default=256, ge=2, le=65_536)
    """Codes of the book."""
    crop: bool = False
    """Cut the middle square out of a picture; otherwise the whole picture is squeezed into the square."""
    model: str | None = None
    """Directory of a VQ model that transformers wrote (Emu3, Janus); ``codes`` and ``downsample`` must be its own. Its
    weights become part of the checkpoint. None: a small model is fitted."""
    fit_steps: int = Field(default=600, ge=1, le=10_000_000)
    """Steps of fitting, each on 32 pictures."""
    fit_pictures: int = Field(default=4096, ge=1, le=10_000_000)
    """Most pictures and clips to fit to, drawn from those of the run."""
    width: int = Field(default=64, ge=8, le=4096, multiple_of=8)
    """Channels of the fitted model."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.size % self.downsample:
            raise ValueError(f"size {self.size} is not a multiple of downsample {self.downsample}")
        if self.side**2 > LONGEST_ANSWER:
            raise ValueError(f"a picture of {self.side}² codes is longer than {LONGEST_ANSWER:,}, the longest answer there is")
        return self

    @property
    def side(self) -> int:
        """Rows, and columns, of the codes of a picture."""
        return self.size // self.downsample

    @property
    def key(self) -> str:
        """What tells code books apart: the name of the asset, and of the block of ids. Slots that agree share both."""
        main = f"{self.size}px:{self.side}x{self.side}:{self.codes}"
        names = ("crop", "model", "fit_steps", "fit_pictures", "width")
        others = {name: value for name in names if (value := getattr(self, name)) != CodeBookOptions.model_fields[name].default}
        if not others:
            return f"image_code:{main}"
        return f"image_code:{main}:{hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()[:8]}"


class ImageCodeOptions(CodeBookOptions):
    """How a picture becomes codes, and codes a picture."""

    max_pixels: int = Field(default=50_000_000, ge=1)
    """Most pixels of a file before it is decoded; more is an error."""


IMAGE = ModalitySpec(
    name="IMAGE",
    summary="Pictures, as patches at their own aspect ratio.",
    processor="image",
    adaptor="image_patch",
    target_processor="image_code",
    target_adaptor="text",
    criteria=("cross_entropy",),
    generator="tokens",
    never_closed=True,
)

IMAGE_PROCESSOR = ProcessorSpec(
    name="image",
    summary="Any picture PIL reads, turned by EXIF, flattened on white, shrunk to a number of patches.",
    aliases=("imagenet", "imagepretrain"),
    modalities=("IMAGE",),
    options=ImageOptions,
    implementation="ofa_modalities.image.processor:ImageProcessor",
)

IMAGE_CODE_PROCESSOR = ProcessorSpec(
    name="image_code",
    summary="A picture as codes of a book that is fitted to the run's own pictures, or of a VQ model of transformers; and back.",
    aliases=("image_vqgan",),
    modalities=("IMAGE",),
    options=ImageCodeOptions,
    implementation="ofa_modalities.image.codes:ImageCodeProcessor",
)
