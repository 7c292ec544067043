"""Attention on packed tokens: a kernel and its mask are one object, made once per batch and shared by all layers.

reference.py   plain softmax in float32, row by row: what every other kernel equals
rowwise.py     ``sdpa``: rows of nearly equal length together; products where short, SDPA where long
xformers.py    ``xformers``: memory-efficient kernels of CUDA under ``BlockDiagonalMask``
"""

from __future__ import annotations

from typing import Protocol, assert_never

import torch
from torch import Tensor

from ofa_models.attention.mask import RowMask
from ofa_models.attention.reference import ReferenceAttention
from ofa_models.attention.rowwise import RowwiseAttention
from ofa_models.plans import AttentionKind

__all__ = ["PackedAttention", "RowMask", "make_attention"]


class PackedAttention(Protocol):
    """A kernel with its mask."""

    mask: RowMask

    def __call__(self, q_TNH: Tensor, k_SNH: Tensor, v_SNH: Tensor) -> Tensor:
        """``[T, N, H]``: softmax(q · k / √H) · v under the mask, in the dtype of q. Values may have a width of their own."""


def make_attention(
    kind: AttentionKind, mask: RowMask, *, num_heads: int, dtype: torch.dtype, device: torch.device
) -> PackedAttention:
    """The kernel of that kind for one mask. ``auto`` takes xformers on CUDA where it is installed, else ``sdpa``.

    dtype: what q, k and v will come in; it decides which rows count as short.
    """
    if kind == "auto":
        kind = "xformers" if device.type == "cuda" and _has_xformers() and dtype != torch.float64 else "sdpa"
    match kind:
        case "reference":
            return ReferenceAttention(mask)
        case "sdpa":
            return RowwiseAttention(mask, num_heads=num_heads, dtype=dtype, device=device)
        case "xformers":
            from ofa_models.attention.xformers import XformersAttention

            return XformersAttention(mask, device=device)
        case _:
            assert_never(kind)


def _has_xformers() -> bool:
    import importlib.util

    return importlib.util.find_spec("xformers") is not None
