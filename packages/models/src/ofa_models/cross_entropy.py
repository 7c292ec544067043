"""Cross entropy straight from hidden states, in chunks that never hold all logits.

    # L labelled positions, D model width, V vocabulary (or the allowed block of it), C positions of a chunk

The gradient is computed with the loss, chunk by chunk, so that a chunk's logits are gone before the next one's exist
(after Liger, arXiv 2410.10989, and Cut Cross-Entropy, arXiv 2411.09009). Products run in the precision of the hidden
states; softmax, losses and the gradient of the weight are float32 or wider.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ofa_models.functional import apply

CHUNK_LOGITS = 1 << 21
"""Most logits that exist at once (8 MB in float32)."""


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
        grad_weight = torch.zeros_like(weight) if want_weight else None
        step = max(1, CHUNK_LOGITS // weight.shape[0])
        for first in range(0, labels.shape[0], step):
            chunk = slice(first, first + step)
            hidden_CD = hidden[chunk]
            logits_CV = (hidden_CD @ matrix_VD.T).to(wide)
            losses[chunk] = _losses_into_gradient(logits_CV, labels[chunk], targets)
            if grad_hidden is None and grad_weight is None:
                continue
            grad_CV = logits_CV.mul_(scale[chunk, None].to(wide)).to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(grad_CV, matrix_VD, out=grad_hidden[chunk])
            if grad_weight is not None:
                _add_product(grad_weight, grad_CV, hidden_CD)
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
        grad_hidden, grad_weight = (None if g is None else g * grad.to(g.dtype) for g in (grad_hidden, grad_weight))
        return grad_hidden, grad_weight, None, None, None


def _losses_into_gradient(logits_CV: Tensor, labels: Tensor, targets: _Targets) -> Tensor:
    """The losses ``[C]``; the logits become softmax minus target, in place."""
    picked = labels[:, None]
    normaliser = logits_CV.logsumexp(1, keepdim=True)
    if targets.sigma is not None:
        distance = torch.arange(logits_CV.shape[1], device=labels.device) - picked
        wanted = (distance.to(logits_CV.dtype).square() / (-2 * targets.sigma**2)).softmax(1)
        losses = normaliser.squeeze(1) - (wanted * logits_CV).sum(1)
        logits_CV.sub_(normaliser).exp_().sub_(wanted)
        return losses
    smooth = targets.label_smoothing
    losses = (normaliser - (1 - smooth) * logits_CV.gather(1, picked)).squeeze(1)
    if smooth:
        losses = losses - smooth * logits_CV.mean(1)
    logits_CV.sub_(normaliser).exp_()
    if smooth:
        logits_CV.sub_(smooth / logits_CV.shape[1])
    logits_CV.scatter_add_(1, picked, torch.full_like(normaliser, smooth - 1))
    return losses


def _add_product(total_VD: Tensor, grad_CV: Tensor, hidden_CD: Tensor) -> None:
    if total_VD.dtype == grad_CV.dtype:
        total_VD.addmm_(grad_CV.T, hidden_CD)
    else:
        total_VD.add_(grad_CV.T @ hidden_CD)
