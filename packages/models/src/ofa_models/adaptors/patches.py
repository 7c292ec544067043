"""Adaptors of patches of pictures and clips: one linear map, and the place of each patch said in absolute terms.

    # I items, U patches, F floats of a flattened patch, A axes, E place features, D model width

Rotary coordinates tell patches apart but only relative to each other. Fourier features of a patch's centre in [0, 1]^A
give it an absolute place, at the encoder's input and once more on the memory that cross-attention reads; without
the second, small models do not learn to ground.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from ofa_models.adaptors.base import Adaptor
from ofa_models.specs import PatchOptions


class PlacedAdaptor(Adaptor, ABC):
    """Base: what a patch holds, which a subclass says, and where it is."""

    axes: ClassVar[int]
    """Dimensions of an item: 2 of a picture, 3 of a clip."""

    def __init__(self, options: PatchOptions, unit_features: int | None, width: int) -> None:
        super().__init__(options, unit_features, width)
        if unit_features is None:
            raise ValueError(f"{type(self).__name__} needs the width of its units (all numbers of a patch)")
        self.octaves = options.octaves
        num_features = self.axes + 1 + 2 * self.axes * options.octaves
        self.place = nn.Linear(num_features, width, bias=False)
        self.place_on_memory = nn.Linear(num_features, width, bias=False) if options.memory_place else None

    @abstractmethod
    def content(self, units: Tensor, shapes: Tensor) -> Tensor:
        """units ``[U, F]``, row-major in the grid of each item (int64 ``[I, A]``) → ``[U, D]``, without their places."""

    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        """``[U, D]``."""
        tokens: Tensor = self.content(units, shapes) + self.place(self._features(shapes))
        return tokens

    def memory_place(self, shapes: Tensor) -> Tensor | None:
        """``[U, D]``, or None where the option is off."""
        if self.place_on_memory is None:
            return None
        place: Tensor = self.place_on_memory(self._features(shapes))
        return place

    def _features(self, shapes: Tensor) -> Tensor:
        return place_features(shapes, self.octaves, self.place.weight.dtype)


class PatchAdaptor(PlacedAdaptor):
    """Flattened patches ``[U, F]`` through one linear map."""

    def __init__(self, options: PatchOptions, unit_features: int | None, width: int) -> None:
        super().__init__(options, unit_features, width)
        assert unit_features is not None
        self.patch = nn.Linear(unit_features, width)

    def content(self, units: Tensor, shapes: Tensor) -> Tensor:
        """``[U, D]``."""
        tokens: Tensor = self.patch(units)
        return tokens


def place_features(shapes: Tensor, octaves: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """int64 ``[I, A]`` sides of the grid of each item, rows and columns last → ``[U, A + 1 + 2 · A · octaves]``, row-major.

    Centre (…, y, x) in [0, 1]^A moved to [-1, 1]^A, log(columns / rows), then sine and cosine of π · 2^k · (…, y, x).

    >>> place_features(torch.tensor([[1, 2]]), 1)[:, :3]
    tensor([[ 0.0000, -0.5000,  0.6931],
            [ 0.0000,  0.5000,  0.6931]])
    """
    counts = shapes.prod(1)
    item = torch.arange(shapes.shape[0], device=shapes.device).repeat_interleave(counts)
    rest = torch.arange(item.shape[0], device=shapes.device) - (counts.cumsum(0) - counts)[item]
    sides = shapes[item]
    # In float64 up to the angles: a patch keeps its features to the last bit whatever else is in the batch.
    places: list[Tensor] = []
    for axis in range(shapes.shape[1] - 1, -1, -1):
        side = sides[:, axis]
        places.insert(0, (rest % side + 0.5).double() / side)
        rest = rest // side
    centre = torch.stack(places, 1)
    angles = (centre[:, :, None] * (torch.pi * 2.0 ** torch.arange(octaves, device=shapes.device))).flatten(1)
    aspect = (sides[:, -1].double() / sides[:, -2]).log()[:, None]
    return torch.cat([centre * 2 - 1, aspect, angles.sin(), angles.cos()], 1).to(dtype)
