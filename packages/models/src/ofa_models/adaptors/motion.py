"""Adaptors of motion: frames that are read, and noisy frames that are denoised together.

    # I items, U frames, F features of a frame, D model width

A frame of zeros alone is one that is not shown (between known frames): it becomes a learned vector. Rotary coordinates tell
frames apart but only relative to each other, so the time within the motion is said in absolute terms as well.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ofa_models.adaptors.base import Adaptor, DiffusionAdaptor
from ofa_models.backend import FrameOutput
from ofa_models.noise import Noise
from ofa_models.specs import MotionAdaptorOptions, MotionDiffusionOptions


class Frames(nn.Module):
    """Frames ``[U, F]`` of items ``[I, 1]`` to tokens ``[U, D]``."""

    def __init__(self, octaves: int, unit_features: int | None, width: int) -> None:
        super().__init__()
        if unit_features is None:
            raise ValueError("an adaptor of motion needs the width of its units (3 + 6 · joints)")
        self.octaves = octaves
        self.project = nn.Linear(unit_features, width)
        self.time = nn.Linear(2 + 2 * octaves, width, bias=False)
        self.hidden = nn.Parameter(torch.randn(width) * width**-0.5)

    def forward(self, units: Tensor, shapes: Tensor, *, all_shown: bool = False) -> Tensor:
        """``all_shown``: a frame of zeros is a frame."""
        tokens: Tensor = self.project(units)
        if not all_shown:
            tokens = torch.where(units.any(-1, keepdim=True), tokens, self.hidden.to(tokens.dtype))
        time: Tensor = self.time(time_features(shapes, self.octaves, self.project.weight.dtype))
        return tokens + time


class MotionAdaptor(Adaptor):
    """Frames that are read: one token each."""

    def __init__(self, options: MotionAdaptorOptions, unit_features: int | None, width: int) -> None:
        super().__init__(options, unit_features, width)
        self.frames = Frames(options.octaves, unit_features, width)

    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        """``[U, D]``."""
        tokens: Tensor = self.frames(units, shapes)
        return tokens


class MotionDiffusionAdaptor(DiffusionAdaptor):
    """Frames that are answered: each becomes one token, scaled and shifted by how noisy its motion is, and is read out clean.

    The model predicts the clean frames, not the noise (Tevet et al. 2022, arXiv 2209.14916, section 3).
    """

    def __init__(self, options: MotionDiffusionOptions, unit_features: int | None, width: int) -> None:
        super().__init__(options, unit_features, width)
        self.noise = Noise(options)
        self.frames = Frames(options.octaves, unit_features, width)
        self.level = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2 * width))
        self.head = nn.Linear(width, unit_features or 0)

    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        """Frames that are read: ``[U, D]``."""
        tokens: Tensor = self.frames(units, shapes)
        return tokens

    def embed_noisy(self, units: Tensor, shapes: Tensor, noise: Tensor | None, times: Tensor) -> Tensor:
        """``[U, D]``."""
        levels = self.noise.levels(times)
        counts = shapes.prod(1)
        if noise is not None:
            units = self.noise.mix(units, noise, levels.repeat_interleave(counts))
        features = level_features(levels, self.width, self.head.weight.dtype)
        scale, shift = self.level(features).repeat_interleave(counts, 0).chunk(2, -1)
        tokens: Tensor = self.frames(units, shapes, all_shown=True) * (1 + scale) + shift
        return tokens

    def read(self, hidden: Tensor) -> FrameOutput:
        """Clean frames ``[L, F]`` out of states ``[L, D]``, in float32 or wider."""
        with torch.autocast(hidden.device.type, enabled=False):
            return FrameOutput(frames=self.head(hidden.to(self.head.weight.dtype)))


def time_features(shapes: Tensor, octaves: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """int64 ``[I, 1]`` frames of each motion → ``[U, 2 + 2 · octaves]``: time in [-1, 1], log of the length, sines and cosines.

    >>> time_features(torch.tensor([[2]]), 1)[:, :2]
    tensor([[-0.5000,  0.6931],
            [ 0.5000,  0.6931]])
    """
    counts = shapes.prod(1)
    item = torch.arange(shapes.shape[0], device=shapes.device).repeat_interleave(counts)
    place = torch.arange(item.shape[0], device=shapes.device) - (counts.cumsum(0) - counts)[item]
    time = ((place + 0.5).double() / counts[item])[:, None]
    angles = time * (torch.pi * 2.0 ** torch.arange(octaves, device=shapes.device))
    return torch.cat([time * 2 - 1, counts[item].double().log()[:, None], angles.sin(), angles.cos()], 1).to(dtype)


def level_features(levels: Tensor, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """int64 ``[I]`` → ``[I, width]``: sines and cosines of wavelengths from 2π to 20,000π (Vaswani et al. 2017, section 3.5)."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, device=levels.device, dtype=torch.float64) / half)
    angles = levels[:, None].double() * rates
    features = torch.cat([angles.sin(), angles.cos()], 1)
    return nn.functional.pad(features, (0, width - 2 * half)).to(dtype)
