"""Cross entropy straight from hidden states, in chunks that never hold all logits.

    # L labelled positions, D model width, V vocabulary (or the allowed block of it), C positions of a chunk

The gradient is computed with the loss, chunk by chunk, so that a chunk's logits are gone before the next one's exist
(after Liger, arXiv 2410.10989, and Cut Cross-Entropy, arXiv 2411.09009). Products run in the precision of the hidden
states; softmax, losses and the gradient of the weight are float32 or wider.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ofa_models.functional import apply

CHUNK_LOGITS = 1 << 23
"""Logits of a chunk (32 MB in float32), or as many as the weight has numbers where that is more.

Every chunk costs a pass over the weight's gradient, so that many small chunks are slow (most of a step at 2^21), and a chunk
no larger than that gradient does not decide how much memory a step takes.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Targets:
    """How a label becomes a distribution."""

    label_smoothing: float
    sigma: float | None
    with_gradient: bool


def cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    scale: Tensor,
    *,
    label_smoothing: float = 0.0,
    block: range | None = None,
    sigma: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Cross entropy of ``hidden @ weight.T`` against ids.

    hidden: ``[L, D]``. weight: ``[V, D]``. labels: int64 ``[L]`` ids. scale: ``[L]``, what each position counts.
    label_smoothing: share of the label spread evenly over what may be answered. block: contiguous ids that may be
    answered, others are left out of the softmax; None: all. sigma: the label is spread over the block as a normal
    distribution of that width in ids (soft bins) instead of lying on one id.

    Returns the scalar Σ scale · loss, with a gradient for hidden and weight, and the unscaled losses ``[L]``, detached.
    Raises ValueError for a label outside the block.

    >>> loss, losses = cross_entropy(torch.zeros(2, 4), torch.ones(8, 4), torch.tensor([1, 2]), torch.ones(2))
    >>> losses
    tensor([2.0794, 2.0794])
    """
    if sigma is not None and (block is None or label_smoothing or sigma <= 0):
        raise ValueError("soft labels need a block and a positive sigma, and take no label smoothing")
    if block is not None:
        weight, labels = weight[block.start : block.stop], labels - block.start
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < weight.shape[0]:
        raise ValueError(f"a label lies outside the {weight.shape[0]} ids that may be answered")
    targets = _Targets(label_smoothing=label_smoothing, sigma=sigma, with_gradient=torch.is_grad_enabled())
    with torch.autocast(hidden.device.type, enabled=False):
        return cast(tuple[Tensor, Tensor], apply(_ChunkedCrossEntropy, hidden, weight, labels, scale, targets))


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, scale: Tensor, targets: _Targets
    ) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(hidden.dtype, torch.float32)
        matrix_VD = weight.to(hidden.dtype)
        losses = torch.zeros(labels.shape, dtype=wide, device=hidden.device)
        want_hidden, want_weight = (targets.with_gradient and needed for needed in ctx.needs_input_grad[:2])
        grad_hidden = torch.empty_like(hidden) if want_hidden else None
        grad_weight = (torch.empty_like if len(labels) else torch.zeros_like)(weight) if want_weight else None
        for chunk in _chunks(labels.shape[0], *weight.shape):
            hidden_CD = hidden[chunk]
            logits_CV = (hidden_CD @ matrix_VD.T).to(wide)
            chunk_scale = None if grad_hidden is None and grad_weight is None else scale[chunk, None].to(wide)
            losses[chunk] = _losses_into_gradient(logits_CV, labels[chunk, None], chunk_scale, targets)
            if chunk_scale is None:
                continue
            grad_CV = logits_CV.to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(grad_CV, matrix_VD, out=grad_hidden[chunk])
            if grad_weight is not None:
                _add_product(grad_weight, grad_CV, hidden_CD, first=chunk.start == 0)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.mark_non_differentiable(losses)
        ctx.set_materialize_grads(False)
        return (losses * scale.to(wide)).sum(), losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        if grad is None:
            return None, None, None, None, None
        if grad.device.type != "cpu" or grad.item() != 1:  # a pass over the weight's gradient, saved where asking is free
            grad_hidden, grad_weight = (None if g is None else g * grad.to(g.dtype) for g in (grad_hidden, grad_weight))
        return grad_hidden, grad_weight, None, None, None


def _chunks(num_labels: int, vocabulary: int, width: int) -> Iterator[slice]:
    """Chunks of positions, of nearly equal size."""
    most = max(1, CHUNK_LOGITS // vocabulary, width)
    size = -(-num_labels // max(1, -(-num_labels // most)))
    return (slice(first, first + size) for first in range(0, num_labels, max(1, size)))


def _losses_into_gradient(logits_CV: Tensor, picked: Tensor, scale: Tensor | None, targets: _Targets) -> Tensor:
    """The losses ``[C]`` of labels ``[C, 1]``; the logits become scale ``[C, 1]`` times softmax minus target, in place.

    Without a scale they are lost. Every pass over the logits counts here: the exponential is taken once.
    """
    smooth, wanted = targets.label_smoothing, None
    if targets.sigma is not None:
        distance = torch.arange(logits_CV.shape[1], device=picked.device) - picked
        wanted = (distance.to(logits_CV.dtype).square() / (-2 * targets.sigma**2)).softmax(1)
        answered = (wanted * logits_CV).sum(1, keepdim=True)
    else:
        answered = (1 - smooth) * logits_CV.gather(1, picked)
        if smooth:
            answered = answered + smooth * logits_CV.mean(1, keepdim=True)
    largest = logits_CV.amax(1, keepdim=True)
    total = logits_CV.sub_(largest).exp_().sum(1, keepdim=True)
    losses = (largest + total.log() - answered).squeeze(1)
    if scale is None:
        return losses
    logits_CV.mul_(scale / total)
    if wanted is not None:
        logits_CV.sub_(wanted.mul_(scale))
        return losses
    if smooth:
        logits_CV.sub_(scale * (smooth / logits_CV.shape[1]))
    logits_CV.scatter_add_(1, picked, scale * (smooth - 1))
    return losses


def _add_product(total_VD: Tensor, grad_CV: Tensor, hidden_CD: Tensor, *, first: bool) -> None:
    """Add ``grad.T @ hidden`` to the total, or put it there."""
    if total_VD.dtype == grad_CV.dtype:
        torch.addmm(total_VD, grad_CV.T, hidden_CD, beta=0 if first else 1, out=total_VD)
    elif first:
        total_VD.copy_(grad_CV.T @ hidden_CD)
    else:
        total_VD.add_(grad_CV.T @ hidden_CD)
