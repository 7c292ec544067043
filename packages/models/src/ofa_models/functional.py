"""Small functions with their gradients written by hand, because on CPU a step is bound by passes over memory.

    # T tokens, D model width, N heads, H head width, M MLP width

Each saves one tensor where autograd would save several, and writes parts of one gradient into one buffer.
Norms and rotations are computed in float32 (float64 for float64) whatever the autocast precision.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

EPS = 1e-6


def compute_dtype(x: Tensor) -> torch.dtype:
    """The dtype that products of ``x`` run in: autocast's where it is on, else that of ``x``."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind) and x.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return x.dtype


def apply(function: type[torch.autograd.Function], *arguments: object) -> Any:
    """``function.apply``, which has no types of its own."""
    return function.apply(*arguments)  # type: ignore[no-untyped-call]


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype) -> Tensor:
        wide = x.to(_wide(x.dtype))
        inverse = _inverse_rms(wide)
        y = (wide * inverse).to(dtype)
        ctx.save_for_backward(y, inverse)
        ctx.dtype = x.dtype
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        y, inverse = ctx.saved_tensors
        grad_x = _rms_backward(grad.to(inverse.dtype), y.to(inverse.dtype)).mul_(inverse)
        return grad_x.to(ctx.dtype), None


def _inverse_rms(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return norm.square_().div_(x.shape[-1]).add_(EPS).rsqrt_()


def _rms_backward(grad: Tensor, y: Tensor) -> Tensor:
    """``grad - y · mean(grad · y)``: the gradient of the norm but for the factor 1 / rms. A fresh tensor."""
    mean = (grad * y).mean(-1, keepdim=True)
    return torch.addcmul(grad, y, mean, value=-1)


def rms_norm(x: Tensor) -> Tensor:
    """``[..., D]`` → x / rms(x), in the dtype that products run in. No gain: the matrix behind it holds that.

    >>> rms_norm(torch.tensor([[3.0, -3.0]]))
    tensor([[ 1., -1.]])
    """
    return cast(Tensor, apply(_RmsNorm, x, compute_dtype(x)))


class _SplitHeads(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cis: Tensor | None, shape: tuple[int, int, int]) -> tuple[Tensor, ...]:
        num_sections, num_normed, num_heads = shape
        split = num_normed * num_heads
        num_parts = num_sections * num_heads
        heads = x.view(x.shape[0], num_parts, x.shape[1] // num_parts)
        normed = heads[:, :split].to(_wide(x.dtype))
        inverse = _inverse_rms(normed)
        rotated = rotate(normed, cis).mul(inverse).to(x.dtype)
        ctx.save_for_backward(rotated, inverse, cis)
        ctx.split = split
        parts = (*torch.split(rotated, num_heads, 1), *torch.split(heads[:, split:], num_heads, 1))
        return tuple(part.contiguous() for part in parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        rotated, inverse, cis = ctx.saved_tensors
        grad = torch.cat(grads, 1)
        split = ctx.split
        wide = _rms_backward(grad[:, :split].to(inverse.dtype), rotated.to(inverse.dtype)).mul_(inverse)
        grad[:, :split] = rotate(wide, None if cis is None else cis.conj())
        return grad.flatten(1), None, None


def rotate(x: Tensor, cis: Tensor | None) -> Tensor:
    """Turn pairs of neighbouring channels of ``[T, N, H]`` by the angles of ``cis`` ``[T, H/2]`` (complex); None: leave them."""
    if cis is None:
        return x
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], x.shape[-1] // 2, 2))
    return torch.view_as_real(pairs * cis[:, None]).flatten(-2)


def split_heads(x: Tensor, cis: Tensor | None, *, sections: str, num_heads: int) -> tuple[Tensor, ...]:
    """Cut a joint projection into heads; normalise queries and keys (QK-norm) and rotate them.

    x: ``[T, len(sections) · N · H]``. sections: ``"qkv"``, ``"q"`` or ``"kv"``, in that order along the channels.
    cis: complex ``[T, H/2]``, or None for no rotation. Returns one ``[T, N, H]`` a section, in the dtype of x.
    """
    return cast(tuple[Tensor, ...], apply(_SplitHeads, x, cis, (len(sections), len(sections.replace("v", "")), num_heads)))


class _GatedSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        gate, up = x.chunk(2, -1)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gate, up = x.chunk(2, -1)
        out = torch.empty_like(x)
        torch.mul(grad, F.silu(gate), out=out[..., gate.shape[-1] :])
        out[..., : gate.shape[-1]] = torch.ops.aten.silu_backward(grad * up, gate)
        return out


def gated_silu(x: Tensor) -> Tensor:
    """``[..., 2M]`` → silu(first half) · second half, ``[..., M]``."""
    return cast(Tensor, apply(_GatedSilu, x))
