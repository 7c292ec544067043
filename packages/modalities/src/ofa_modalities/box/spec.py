"""BOX, said without importing what does the work."""

from __future__ import annotations

from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec
from pydantic import Field


class BoxOptions(Options):
    """How a rectangle becomes tokens."""

    bins: int = Field(default=64, ge=2, le=65_536)
    """Cells that the width, and the height, of the picture are divided into; one number for all boxes of a run."""


BOX = ModalitySpec(
    name="BOX",
    summary="A rectangle in pixels of its picture.",
    aliases=("BOUNDING_BOX",),
    processor="box",
    adaptor="text",
    criteria=("soft_bins", "patch_cover"),
    generator="tokens",
    refers_to=("IMAGE",),
)

BOX_PROCESSOR = ProcessorSpec(
    name="box",
    summary="Four bins of the picture's width and height: left, top, right, bottom.",
    modalities=("BOX",),
    options=BoxOptions,
    implementation="ofa_modalities.box.processor:BoxProcessor",
)
