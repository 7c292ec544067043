"""The adaptors of sound: log-mel units → tokens on the source side; tokens ⇄ units on the target side.

    # I items, U units, N tokens, F floats of a unit, M mel bands, D model width, C channels, W frames of a window

Convolutions run on windows gathered inside each item, so what else is in the batch does not matter and nothing is padded.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from ofa_modalities.audio.spec import FRAMES_PER_STEP
from torch import Tensor, nn

from ofa_models.adaptors.base import Adaptor, FrameAdaptor
from ofa_models.specs import AudioConvOptions, AudioFramesOptions


class ItemConvolution(nn.Module):
    """A strided convolution over the rows of each item, silence (zeros) beyond its ends."""

    def __init__(self, channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.linear = nn.Linear(kernel * channels, out_channels)

    def forward(self, x: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """x ``[U, C]``, item after item, counts int64 ``[I]`` → ``[N, C']`` and its counts ``ceil(counts / stride)``."""
        out_counts = (counts + self.stride - 1) // self.stride
        item = torch.arange(len(counts), device=x.device).repeat_interleave(out_counts)
        number = torch.arange(len(item), device=x.device) - (out_counts.cumsum(0) - out_counts)[item]
        place_NW = number[:, None] * self.stride + torch.arange(self.kernel, device=x.device) - self.kernel // 2
        inside = (place_NW >= 0) & (place_NW < counts[item, None])
        index = torch.where(inside, (counts.cumsum(0) - counts)[item, None] + place_NW, len(x))
        windows_NWC = torch.cat([x, x.new_zeros(1, x.shape[1])])[index]
        return self.linear(windows_NWC.flatten(1)), out_counts


class AudioConvAdaptor(Adaptor):
    """Two strided convolutions: ``ceil(ceil(n / stride) / stride)`` tokens of an item of n units."""

    def __init__(self, options: AudioConvOptions, unit_features: int | None, width: int) -> None:
        super().__init__(options, unit_features, width)
        if unit_features is None:
            raise ValueError("the adaptor `audio_conv` needs the width of its units (mel bands · frames of a unit)")
        self.first = ItemConvolution(unit_features, width, options.kernel, options.first_stride)
        self.second = ItemConvolution(width, width, options.kernel, options.second_stride)

    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        """``[U, F]`` → ``[N, D]``."""
        hidden, counts = self.first(units, shapes.prod(1))
        tokens: Tensor = self.second(F.gelu(hidden), counts)[0]
        return tokens


class AudioFramesAdaptor(FrameAdaptor):
    """Units of answers, in the manner of Tacotron 2 (Shen et al. 2018, arXiv 1712.05884, section 2.2).

    A pre-net keeps the decoder from copying the frame before: its dropout stays on while an answer is made, since without it what
    is fed back would be unlike all that was seen in training. A post-net of convolutions refines what was answered.
    """

    looks_back: ClassVar[int] = 0

    def __init__(self, options: AudioFramesOptions, unit_features: int | None, width: int) -> None:
        super().__init__(options, unit_features, width)
        assert unit_features is not None
        frames_per_step = options.frames_per_step or FRAMES_PER_STEP["target"]
        num_mels, rest = divmod(unit_features, frames_per_step)
        if rest:
            raise ValueError(f"units of {unit_features} floats are not {frames_per_step} frames each")
        self.num_mels = num_mels
        self.prenet = nn.ModuleList(
            [nn.Linear(unit_features, options.prenet_width), nn.Linear(options.prenet_width, options.prenet_width)]
        )
        self.project_in = nn.Linear(options.prenet_width, width)
        self.prenet_dropout, self.postnet_dropout = options.prenet_dropout, options.postnet_dropout
        channels = [num_mels, *[options.postnet_width] * (options.postnet_layers - 1), num_mels]
        pairs = pairwise(channels) if options.postnet_layers else ()
        self.postnet = nn.ModuleList([ItemConvolution(before, after, options.postnet_kernel) for before, after in pairs])
        if self.postnet:
            last = self.postnet[-1].linear
            assert isinstance(last, nn.Linear)
            # It begins as no change at all.
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        """``[U, F]`` → ``[U, D]``, one token a unit."""
        x = units
        for layer in self.prenet:
            x = F.dropout(F.relu(layer(x)), self.prenet_dropout, self.training)
        tokens: Tensor = self.project_in(x)
        return tokens

    @property
    def noise_width(self) -> int:
        """One number a channel of the pre-net."""
        return sum(layer.out_features for layer in self.prenet) if self.prenet_dropout else 0  # type: ignore[misc]

    def embed_answered(self, units: Tensor, shapes: Tensor, noise: Tensor) -> Tensor:
        """Channels whose number lies below ``prenet_dropout`` are dropped."""
        x = units
        for layer, numbers in zip(self.prenet, noise.chunk(len(self.prenet), 1), strict=True):
            x = F.relu(layer(x)) * (numbers >= self.prenet_dropout) / (1 - self.prenet_dropout)
        tokens: Tensor = self.project_in(x)
        return tokens

    def refine(self, frames: Tensor, counts: Tensor) -> Tensor | None:
        """Answered units ``[L, F]`` of whole items with what the post-net adds, in float32 or wider; None without one."""
        if not self.postnet:
            return None
        mel = frames.reshape(-1, self.num_mels)
        per_item = counts * (frames.shape[1] // self.num_mels)
        x = mel.to(self.frame_head.weight.dtype)
        for number, layer in enumerate(self.postnet):
            if number:
                x = F.dropout(torch.tanh(x), self.postnet_dropout, self.training)
            x = layer(x, per_item)[0]
        return (mel + x.to(mel.dtype)).reshape(frames.shape)
