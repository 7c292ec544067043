"""The adaptor seam: units of a stream become tokens, and on the target side hidden states become units.

    # I items, U units, N tokens, F unit features, D model width, L asked positions

An adaptor is what an :class:`ofa_instruction.specs.AdaptorSpec` names. It sees items one after the other and never
mixes them; how many tokens an item becomes is the spec's to say. An adaptor of ids is given rows of the shared
embedding in place of units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ofa_models.backend import FrameOutput


class Adaptor(nn.Module, ABC):
    """Base of adaptors; :meth:`embed` is the one method that all must have."""

    def __init__(self, options: Any, unit_features: int | None, width: int) -> None:
        super().__init__()
        self.unit_features = unit_features
        self.width = width

    @abstractmethod
    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        """units ``[U, F]`` (ids: ``[U, D]`` of the shared embedding), shapes int64 ``[I, dims]`` → tokens ``[N, D]``."""

    def memory_place(self, shapes: Tensor) -> Tensor | None:
        """What to add to the encoder's output at the tokens of these items, ``[N, D]``; None: nothing."""
        return None


class FrameAdaptor(Adaptor):
    """Base of float adaptors that can also stand on the target side: a begin vector and heads for frames and stop.

    An ``embed`` of a subclass's own may look at the whole item, unless the subclass says ``looks_back`` too.
    """

    looks_back: ClassVar[int] = 0
    """Frames before its own that a token of :meth:`embed` depends on, and on nothing else: neither its place nor the length."""

    def __init__(self, options: Any, unit_features: int | None, width: int) -> None:
        super().__init__(options, unit_features, width)
        if unit_features is None:
            raise ValueError(f"{type(self).__name__} needs the width of its units")
        self.begin = nn.Parameter(torch.randn(width) * width**-0.5)
        self.project_in = nn.Linear(unit_features, width)
        self.frame_head = nn.Linear(width, unit_features)
        self.stop_head = nn.Linear(width, 1)

    @property
    def noise_width(self) -> int:
        """Random numbers that each unit takes when an answer is fed back, see :meth:`embed_answered`; 0: none."""
        return 0

    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        """One token a unit."""
        tokens: Tensor = self.project_in(units)
        return tokens

    def embed_answered(self, units: Tensor, shapes: Tensor, noise: Tensor) -> Tensor:
        """As :meth:`embed`, of units that were answered; noise: even in 0 … 1, ``[U, noise_width]``, from the row's own seed."""
        return self.embed(units, shapes)

    def refine(self, frames: Tensor, counts: Tensor) -> Tensor | None:
        """What a post-net makes of whole items: frames ``[L, F]``, item after item, counts int64 ``[I]``; None: there is none."""
        return None

    def read(self, hidden: Tensor) -> FrameOutput:
        """Frames ``[L, F]`` and stop logits ``[L]`` out of hidden states ``[L, D]``, in float32 or wider."""
        with torch.autocast(hidden.device.type, enabled=False):
            wide = hidden.to(self.frame_head.weight.dtype)
            return FrameOutput(frames=self.frame_head(wide), stop_logits=self.stop_head(wide).squeeze(-1))


def frames_looked_back(adaptor: type[Adaptor]) -> int | None:
    """``looks_back`` of a class, where it was said for the ``embed`` that the class has; None: a token may depend on all frames.

    >>> class Delta(FrameAdaptor):
    ...     def embed(self, units, shapes):
    ...         return self.project_in(units - units.roll(1, 0))
    >>> frames_looked_back(FrameAdaptor), frames_looked_back(Delta)
    (0, None)
    """
    for base in adaptor.__mro__:
        if "looks_back" in vars(base):
            said: int = vars(base)["looks_back"]
            return said
        if "embed" in vars(base):
            return None
    return None


class DiffusionAdaptor(Adaptor):
    """Base of adaptors whose units, answers on the target side, are denoised together.

    :meth:`embed` is given units that nothing was mixed with, for a slot that is read.
    """

    @abstractmethod
    def embed_noisy(self, units: Tensor, shapes: Tensor, noise: Tensor | None, times: Tensor) -> Tensor:
        """Mix units ``[U, F]`` with noise ``[U, F]`` as the schedule says at times ``[I]`` in [0, 1) → tokens ``[N, D]``.

        Without noise the units are what a mixture at those times looks like already.
        """

    @abstractmethod
    def read(self, hidden: Tensor) -> FrameOutput:
        """The clean units ``[L, F]`` that the states ``[L, D]`` predict, in float32 or wider."""
