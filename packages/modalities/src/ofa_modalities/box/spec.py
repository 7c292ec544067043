"""BOX, said without importing what does the work."""

from __future__ import annotations

from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec
from pydantic import Field

from ofa_modalities.box.forms import BoxFormat, BoxUnit


class BoxOptions(Options):
    """How a rectangle becomes tokens."""

    bins: int = Field(default=64, ge=2, le=65_536)
    """Cells that the width, and the height, of the picture are divided into; one number for all boxes of a run."""
    format: BoxFormat = "xyxy"
    """What the four numbers of a value are: two corners (``xyxy``: left, top, right, bottom; ``yxyx``: top, left, bottom, right;
    ``corners``: any two opposite ones), the upper left corner with width and height (``xywh``), or the middle with them
    (``cxcywh``). Answers are left, top, right, bottom."""
    unit: BoxUnit = "px"
    """What they count: pixels of the original picture, or its ``share``, ``percent`` or ``permille``. Answers are in pixels."""
    clip: bool = False
    """Cut boxes that reach beyond their picture at its edges; otherwise they are bad rows."""


BOX = ModalitySpec(
    name="BOX",
    summary="A rectangle in pixels of its picture.",
    aliases=("BOUNDING_BOX",),
    processor="box",
    adaptor="text",
    criteria=("soft_bins", "patch_cover"),
    generator="tokens",
    refers_to=("IMAGE",),
    never_closed=True,
)

BOX_PROCESSOR = ProcessorSpec(
    name="box",
    summary="Four bins of the picture's width and height: left, top, right, bottom.",
    modalities=("BOX",),
    options=BoxOptions,
    implementation="ofa_modalities.box.processor:BoxProcessor",
)
