"""The adaptor of pictures that convolves: the patches of an item are put together again before they become tokens.

    # I items, U patches, R rows and C columns of patches, P side of a patch in pixels, F = P · P · 3
    # G side of a patch in cells, K channels of a cell, D model width

Convolutions of stride 2 and residual ones of stride 1 shrink the picture until a patch is G × G cells; the cells of a patch,
joined in their order, are mapped to one token. So a token knows the surroundings of its patch and the layout within it: a
drawing that is one large patch becomes one token that holds the whole of it. Nothing looks beyond its own picture, and norms
are taken over the channels of one cell, so an item has the same tokens whatever else is in the batch. Places are said as in
``image_patch``.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofa_models.adaptors.patches import PlacedAdaptor
from ofa_models.functional import rms_norm
from ofa_models.specs import ImageConvOptions


class Halving(nn.Module):
    """Half the rows and columns: a strided convolution, then a residual one, each behind its norm and SiLU."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels_in, channels, 3, stride=2, padding=1)
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``[n, K_in, H, W]`` → ``[n, K, H/2, W/2]``."""
        x = F.silu(_norm(self.down(x)))
        mixed: Tensor = self.mix(x)
        return x + F.silu(_norm(mixed))


class ImageConvAdaptor(PlacedAdaptor):
    """Items are ``(rows, columns)`` of patches; a place is (y, x)."""

    axes = 2

    def __init__(self, options: ImageConvOptions, unit_features: int | None, width: int) -> None:
        super().__init__(options, unit_features, width)
        self.patch = math.isqrt((unit_features or 0) // 3)
        depth = (self.patch // options.cells).bit_length() - 1
        if self.patch == 0 or self.patch != options.cells << max(depth, 0) or unit_features != 3 * self.patch**2:
            raise ValueError(
                f"the adaptor `image_conv` halves a patch until it is {options.cells} cells wide: its side is {options.cells} "
                f"pixels or 2, 4, 8, … times that (here a unit has {unit_features} floats, a side of {self.patch})"
            )
        channels = [3, *(options.channels * 2**level for level in range(depth))]
        self.halvings = nn.ModuleList(Halving(*pair) for pair in pairwise(channels))
        self.out = nn.Linear(channels[-1] * options.cells**2, width)
        self.cells = options.cells

    def content(self, units: Tensor, shapes: Tensor) -> Tensor:
        """``[U, D]``: pictures of one shape are convolved together, each within its own edges."""
        counts = shapes.prod(1)
        starts = counts.cumsum(0) - counts
        kinds, kind_of = torch.unique(shapes, dim=0, return_inverse=True)
        tokens, places = [], []
        for kind, (rows, columns) in enumerate(kinds.tolist()):
            items = (kind_of == kind).nonzero().flatten()
            place = (starts[items][:, None] + torch.arange(rows * columns, device=units.device)).flatten()
            tokens.append(self._convolve(units[place], rows, columns))
            places.append(place)
        if len(tokens) == 1:  # in the order of the items already
            return tokens[0]
        found = units.new_zeros(len(units), self.width)
        return found.index_copy(0, torch.cat(places), torch.cat(tokens).to(found.dtype)) if places else found

    def _convolve(self, units: Tensor, rows: int, columns: int) -> Tensor:
        """Pictures of one shape, ``[n·R·C, F]`` → ``[n·R·C, D]``."""
        side = self.patch
        x = units.view(-1, rows, columns, side, side, 3).permute(0, 5, 1, 3, 2, 4)
        x = x.reshape(-1, 3, rows * side, columns * side).contiguous(memory_format=torch.channels_last)
        for halving in self.halvings:
            x = halving(x)
        cells = x.permute(0, 2, 3, 1).reshape(-1, rows, self.cells, columns, self.cells, x.shape[1])
        tokens: Tensor = self.out(cells.transpose(2, 3).flatten(0, 2).flatten(1))
        return tokens


def _norm(x: Tensor) -> Tensor:
    """Each pixel's channels at a root mean square of 1."""
    return rms_norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
