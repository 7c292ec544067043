"""A small VQ model: a picture as a grid of codes of a book, and back (van den Oord et al. 2017, arXiv 1711.00937).

    # N pictures, S side in pixels, G = S / downsample side of the grid of codes, K codes, C width of a code, W channels

    pictures ──cut into cells──▶ convolutions ──▶ C numbers a cell ──▶ nearest of K codes ──▶ convolutions ──▶ pictures

Codes and what is compared with them have length 1 (Yu et al. 2021, arXiv 2110.04627), which keeps most of a small book in use.
Work is done at the resolution of the grid, but for the last layers, which smooth the edges of cells; so it is fast on a CPU.
A linear map of each cell goes straight past the convolutions on both sides, which is learnt within a few steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

CODE_WIDTH = 16
_SMOOTHING_CHANNELS = 32
_CHUNK_PIXELS = 1 << 20
"""Pictures are encoded and decoded so many pixels at a time."""


class CodeBook(Protocol):
    """Pictures as grids of codes, and back."""

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
        """uint8 ``[N, S, S, 3]`` → ``[N, G, G]`` in 0 .. K - 1."""

    def decode(self, codes: NDArray[np.int64]) -> NDArray[np.uint8]:
        """``[N, G, G]`` → uint8 ``[N, S, S, 3]``."""


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(F.silu(self.first(self.norm(x))))
        return x + y


class SmallVq(nn.Module):
    """The model. ``book`` float32 ``[K, C]``, of length 1, is a buffer: it follows what is near to it."""

    book: Tensor

    def __init__(self, *, downsample: int, codes: int, width: int) -> None:
        super().__init__()
        inner = downsample // 2 if downsample % 2 == 0 else downsample
        outer = downsample // inner
        cell = 3 * downsample**2
        self.cut = nn.PixelUnshuffle(downsample)
        self.join = nn.PixelShuffle(downsample)
        self.straight_in = nn.Conv2d(cell, CODE_WIDTH, 1)
        self.straight_out = nn.Conv2d(CODE_WIDTH, cell, 1)
        self.encoder = nn.Sequential(
            nn.Conv2d(cell, width, 3, padding=1),
            *(_Residual(width) for _ in range(3)),
            nn.GroupNorm(1, width),
            nn.Conv2d(width, CODE_WIDTH, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(CODE_WIDTH, width, 3, padding=1),
            *(_Residual(width) for _ in range(3)),
            nn.Conv2d(width, _SMOOTHING_CHANNELS * inner**2, 1),
            nn.PixelShuffle(inner),
            _Residual(_SMOOTHING_CHANNELS),
            nn.SiLU(),
            nn.Conv2d(_SMOOTHING_CHANNELS, 3 * outer**2, 3, padding=1),
            nn.PixelShuffle(outer),
        )
        self.register_buffer("book", F.normalize(torch.zeros(codes, CODE_WIDTH), dim=1))

    def cells(self, pictures: Tensor) -> Tensor:
        """Float ``[N, 3, S, S]`` in -1 .. 1 → ``[N, G, G, C]`` of length 1."""
        cut = self.cut(pictures)
        features: Tensor = self.straight_in(cut) + self.encoder(cut)
        return F.normalize(features.permute(0, 2, 3, 1), dim=-1)

    def nearest(self, cells: Tensor) -> Tensor:
        """``[..., C]`` of length 1 → number ``[...]`` of the nearest code; of equally near ones the first."""
        return (cells @ self.book.T).argmax(-1)

    def pictures(self, cells: Tensor) -> Tensor:
        """Codes ``[N, G, G, C]`` → ``[N, 3, S, S]``, about -1 .. 1."""
        code = cells.permute(0, 3, 1, 2)
        made: Tensor = self.join(self.straight_out(code)) + self.decoder(code)
        return made


class FittedCodeBook:
    """A :class:`SmallVq` of fitted arrays; picklable."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], *, downsample: int, codes: int, width: int) -> None:
        """Raises ValueError where the arrays are those of another model."""
        _check_shapes(arrays, downsample=downsample, codes=codes, width=width)
        self.model = SmallVq(downsample=downsample, codes=codes, width=width)
        state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        try:
            self.model.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"the arrays are not those of a code book of {codes} codes: {error}") from error
        self.model.requires_grad_(False).eval()

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
        """See :class:`CodeBook`."""
        with torch.inference_mode():
            parts = [self.model.nearest(self.model.cells(to_floats(part))) for part in _chunks(pictures, pictures.shape[1] ** 2)]
        return np.concatenate([part.numpy() for part in parts])

    def decode(self, codes: NDArray[np.int64]) -> NDArray[np.uint8]:
        """See :class:`CodeBook`."""
        cell = CODE_WIDTH * codes.shape[1] ** 2
        with torch.inference_mode():
            parts = [self.model.pictures(self.model.book[torch.from_numpy(part)]) for part in _chunks(codes, cell)]
        return np.concatenate([to_pixels(part) for part in parts])


def _check_shapes(arrays: Mapping[str, NDArray[Any]], *, downsample: int, codes: int, width: int) -> None:
    """Raises ValueError where the largest arrays are not those of the options: a model is made only as large as what there is."""
    expected = {
        "book": (codes, CODE_WIDTH),
        "encoder.0.weight": (width, 3 * downsample**2, 3, 3),
        "encoder.1.first.weight": (width, width, 3, 3),
    }
    for name, shape in expected.items():
        found = arrays[name].shape if name in arrays else "missing"
        if found != shape:
            raise ValueError(f"the arrays are not those of a code book of {codes} codes: `{name}` is {found}, not {shape}")


def to_floats(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 ``[N, S, S, 3]`` → float32 ``[N, 3, S, S]`` in -1 .. 1."""
    return torch.from_numpy(np.require(pictures, requirements=["C", "W"])).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_pixels(pictures: Tensor) -> NDArray[np.uint8]:
    """Float ``[N, 3, S, S]`` in -1 .. 1 → uint8 ``[N, S, S, 3]``."""
    pixels: NDArray[np.uint8] = pictures.add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
    return pixels


def _chunks(array: NDArray[Any], each: int) -> list[NDArray[Any]]:
    step = max(1, _CHUNK_PIXELS // max(1, each))
    return [array[start : start + step] for start in range(0, len(array), step)]
