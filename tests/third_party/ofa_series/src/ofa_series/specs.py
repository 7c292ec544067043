"""What the entry points hand out. Pydantic only."""

from ofa_instruction.specs import AdaptorSpec, ModalitySpec, Options, ProcessorSpec
from pydantic import Field


class SeriesOptions(Options):
    """How a series becomes frames."""

    features: int = Field(default=1, ge=1)
    """Numbers of a frame."""


SERIES = ModalitySpec(
    name="SERIES",
    summary="A series of numbers.",
    processor="series",
    adaptor="series",
    criteria=("frames",),
    generator="frames",
)
SERIES_PROCESSOR = ProcessorSpec(
    name="series",
    summary="A list of numbers, or of lists of numbers, as float frames.",
    modalities=("SERIES",),
    options=SeriesOptions,
    implementation="ofa_series.processor:SeriesProcessor",
)
SERIES_ADAPTOR = AdaptorSpec(
    name="series",
    summary="One linear map a frame; on the target side, heads for the next frame and for the stop.",
    units="floats",
    implementation="ofa_series.adaptor:SeriesAdaptor",
)
