"""IMAGE: a picture → float patches. What is answered are codes (codes.py)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan

from ofa_modalities.image.encoding import augment_mildly, image_to_patches, patch_grid, patches_to_image, resize_to_grid
from ofa_modalities.image.masking import masked
from ofa_modalities.image.reading import read_image
from ofa_modalities.image.spec import ImageOptions
from ofa_modalities.processor import BaseProcessor, DecodeContext, EncodeContext, Item, Resources


class ImageProcessor(BaseProcessor):
    """Encodes a picture as float32 ``[R·C, 3·patch·patch]`` patches in -1 .. 1, shape ``(R, C)``, ``R·C ≤ max_patches``."""

    def __init__(self, slot: SlotPlan, options: ImageOptions, resources: Resources) -> None:
        super().__init__(slot, options, resources)
        self.options = options
        self.unit_features = self.stream_features(slot, options)
        self._draft = 2 * options.patch * math.isqrt(options.max_patches)

    @classmethod
    def stream_features(cls, slot: SlotPlan, options: ImageOptions) -> int:
        """Three channels of a patch's pixels."""
        return 3 * options.patch * options.patch

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Read, turn, flatten, shrink and cut one picture; see :func:`read_image` for what it may be. Raises SampleError."""
        options = self.options
        image, size_px = read_image(
            value,
            self.slot.column,
            root=context.root,
            max_pixels=options.max_pixels,
            draft=self._draft,
            hosts=context.hosts,
        )
        grid = patch_grid(*size_px, options.patch, options.max_patches)
        image = resize_to_grid(image, grid, options.patch)
        view = None
        if options.augment == "mild" and context.split == "train":
            image, shown = augment_mildly(image, context.rng)
            ratio_x, ratio_y = size_px[0] / image.width, size_px[1] / image.height
            view = (shown[0] * ratio_x, shown[1] * ratio_y, shown[2] * ratio_x, shown[3] * ratio_y)
        units = image_to_patches(image, options.patch)
        if options.mask_ratio and (context.split == "train" or self.resources.also_target):
            units = masked(units, grid, context.rng, ratio=options.mask_ratio, mask=options.mask)
        return Item(units=units, shape=grid, size_px=size_px, view_px=view)

    def show(self, units: NDArray[Any], shape: tuple[int, ...]) -> object:
        """The picture, rebuilt from its patches."""
        rows, columns = shape
        return patches_to_image(units, (rows, columns))

    def decode(self, units: NDArray[Any], context: DecodeContext) -> object:
        """The picture that patches ``[n, F]`` show; without a shape they are taken as the squarest grid they fill."""
        rows = next(row for row in range(math.isqrt(len(units)), 0, -1) if len(units) % row == 0)
        return patches_to_image(np.asarray(units), (rows, len(units) // rows))
