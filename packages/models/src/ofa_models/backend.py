"""The model seam: a packed batch in, hidden states where they are asked for out.

    # R rows, T packed tokens of a side, L asked positions, D model width, V vocabulary, U units, F unit features
    # generation: N = rows · copies lanes, K new tokens a lane, M tree nodes, A ancestors

A backend may pad inside; packed is the form at its door. The trainer uses ``encode``, ``decode`` and the heads;
generation uses ``encode``, ``start``, ``extend``, ``extend_nodes`` and the embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ofa_modalities.batch import PackedBatch
from torch import Tensor

from ofa_models.plans import ModelPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the decoder reads: encoder states of the source tokens.

    states: ``[T, D]``. lengths: int64 ``[R]``, the source side's lengths.
    """

    states: Tensor
    lengths: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameOutput:
    """Float units read out of hidden states.

    frames: ``[L, F]`` float32. stop_logits: ``[L]`` float32; None where frames are denoised together and none is the last.
    """

    frames: Tensor
    stop_logits: Tensor | None = None


class DecoderState(Protocol):
    """The decoder's cache during generation: N lanes, each with its own length. Owned by the backend."""

    lengths: Tensor  # int64 [N] tokens written so far

    def reorder(self, lanes: Tensor) -> None:
        """Lane n becomes a copy of lane ``lanes[n]`` (int64 ``[N]``); lanes of one row stay with that row."""

    def truncate(self, lengths: Tensor) -> None:
        """Forget what was written beyond ``lengths`` (int64 ``[N]``)."""


class ModelBackend(Protocol):
    """What every backend offers (in practice an ``nn.Module``)."""

    plan: ModelPlan

    def encode(self, batch: PackedBatch) -> Memory:
        """Run the source side."""

    def decode(self, batch: PackedBatch, memory: Memory, positions: Tensor) -> Tensor:
        """Run the target side; return final states ``[L, D]`` at ``positions`` (int64 ``[L]`` into the target's tokens)."""

    def token_weight(self) -> Tensor:
        """``[V, D]``: logits are ``hidden @ token_weight().T``, in float32 where it matters."""

    def read_frames(self, adaptor: str, hidden: Tensor) -> FrameOutput:
        """Read float units of one adaptor's stream out of states ``[L, D]``."""

    def refine_frames(self, adaptor: str, frames: Tensor, counts: Tensor) -> Tensor | None:
        """What a post-net makes of whole items: frames ``[L, F]``, item after item, counts int64 ``[I]``; None: there is none."""

    def embed_ids(self, ids: Tensor) -> Tensor:
        """int64 ``[...]`` → ``[..., D]``, as target tokens."""

    def embed_frames(self, adaptor: str, units: Tensor, noise: Tensor | None = None) -> Tensor:
        """float32 ``[n, F]`` → ``[n, D]``, one item's units as target tokens.

        noise: even in 0 … 1, float32 ``[n, frame_noise(adaptor)]``, for units that were answered; None: they were given.
        """

    def frame_noise(self, adaptor: str) -> int:
        """Random numbers that an answered unit takes when it is fed back; 0: none."""

    def frames_looked_back(self, adaptor: str) -> int | None:
        """Frames before its own that a token of :meth:`embed_frames` depends on; None: it may depend on all of the item."""

    def begin_vector(self, adaptor: str) -> Tensor:
        """``[D]``: opens a float segment on the target side."""

    def start(self, memory: Memory, *, copies: int, capacity: int) -> DecoderState:
        """An empty cache of ``rows · copies`` lanes for up to ``capacity`` tokens each; cross keys are shared by copies."""

    def extend(self, state: DecoderState, embedded: Tensor, coordinates: Tensor, counts: Tensor) -> Tensor:
        """Append ``counts[n] <= K`` tokens to lane n; return their final states ``[N, K, D]`` (beyond a count: undefined).

        embedded ``[N, K, D]``, coordinates int64 ``[N, K, 3]``, counts int64 ``[N]`` (0 leaves a lane as it is).
        """

    def extend_nodes(
        self, state: DecoderState, embedded: Tensor, coordinates: Tensor, lanes: Tensor, ancestors: Tensor, written: int
    ) -> Tensor:
        """Run M nodes of prefix trees beside the cache, without appending to it; return final states ``[M, D]``.

        Node m stands after everything in lane ``lanes[m]`` and its ancestors: ``ancestors`` int64 ``[M, A]`` holds
        numbers of nodes given in earlier calls (-1: none), in any order. Nodes are numbered from ``written`` on
        in the order given; what had these numbers or higher ones is forgotten, with ``written == 0`` all earlier nodes.
        """
