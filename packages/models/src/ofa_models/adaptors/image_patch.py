"""The adaptor of image patches: one linear map, and the place of each patch said in absolute terms.

    # I items, U patches, F floats of a flattened patch, E place features, D model width

Rotary coordinates tell patches apart but only relative to each other. Fourier features of a patch's centre in [0, 1]²
give it an absolute place, at the encoder's input and once more on the memory that cross-attention reads; without
the second, small models do not learn to ground.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ofa_models.adaptors.base import Adaptor
from ofa_models.specs import ImagePatchOptions


class ImagePatchAdaptor(Adaptor):
    """Flattened patches ``[U, F]``, row-major in each picture, to one token each."""

    def __init__(self, options: ImagePatchOptions, unit_features: int | None, width: int) -> None:
        super().__init__(options, unit_features, width)
        if unit_features is None:
            raise ValueError("the adaptor `image_patch` needs the width of its units (height · width · channels of a patch)")
        self.octaves = options.octaves
        num_features = 3 + 4 * options.octaves
        self.patch = nn.Linear(unit_features, width)
        self.place = nn.Linear(num_features, width, bias=False)
        self.place_on_memory = nn.Linear(num_features, width, bias=False) if options.memory_place else None

    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        """``[U, D]``."""
        features = place_features(shapes, self.octaves, self.patch.weight.dtype)
        tokens: Tensor = self.patch(units) + self.place(features)
        return tokens

    def memory_place(self, shapes: Tensor) -> Tensor | None:
        """``[U, D]``, or None where the option is off."""
        if self.place_on_memory is None:
            return None
        place: Tensor = self.place_on_memory(place_features(shapes, self.octaves, self.patch.weight.dtype))
        return place


def place_features(shapes: Tensor, octaves: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """int64 ``[I, 2]`` rows and columns of each picture → ``[U, 3 + 4 · octaves]``, patches in row-major order.

    Centre (y, x) in [0, 1]² moved to [-1, 1]², log(columns / rows), then sine and cosine of π · 2^k · (y, x).

    >>> place_features(torch.tensor([[1, 2]]), 1)[:, :3]
    tensor([[ 0.0000, -0.5000,  0.6931],
            [ 0.0000,  0.5000,  0.6931]])
    """
    counts = shapes.prod(1)
    item = torch.arange(shapes.shape[0], device=shapes.device).repeat_interleave(counts)
    place = torch.arange(item.shape[0], device=shapes.device) - (counts.cumsum(0) - counts)[item]
    rows, columns = shapes[item, 0], shapes[item, 1]
    # In float64 up to the angles: a patch keeps its features to the last bit whatever else is in the batch.
    y = (place // columns + 0.5).double() / rows
    x = (place % columns + 0.5).double() / columns
    centre = torch.stack([y, x], 1)
    angles = (centre[:, :, None] * (torch.pi * 2.0 ** torch.arange(octaves, device=shapes.device))).flatten(1)
    aspect = (columns.double() / rows).log()[:, None]
    return torch.cat([centre * 2 - 1, aspect, angles.sin(), angles.cos()], 1).to(dtype)
