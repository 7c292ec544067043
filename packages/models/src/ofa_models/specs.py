"""Specs of the built-in adaptors and backends: what the entry points of this package hand out. Pydantic only."""

from __future__ import annotations

from ofa_instruction.specs import AdaptorSpec, BackendSpec, Options, TokenLayout
from pydantic import Field


class TextAdaptorOptions(Options):
    """The text adaptor has nothing to choose: ids are looked up in the shared, tied embedding."""


class ImagePatchOptions(Options):
    """How flattened image patches become tokens."""

    octaves: int = Field(default=6, ge=1, le=16)
    """Octaves of the Fourier features of a patch's centre in [0, 1]²."""
    memory_place: bool = True
    """Add the place once more to the encoder's output, so that cross-attention reads an absolute place."""


class ImageConvOptions(ImagePatchOptions):
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


TEXT = AdaptorSpec(
    name="text",
    summary="Vocabulary ids through the shared embedding, tied to the output.",
    units="ids",
    options=TextAdaptorOptions,
    implementation="ofa_models.adaptors.text:TextAdaptor",
)

IMAGE_PATCH = ImagePatchSpec(
    name="image_patch",
    summary="Flattened patches through one linear map, with Fourier features of their place.",
    aliases=("image_patch_embed",),
    units="floats",
    options=ImagePatchOptions,
    implementation="ofa_models.adaptors.image_patch:ImagePatchAdaptor",
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
