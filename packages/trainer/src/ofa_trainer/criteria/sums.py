"""What all criteria share: weighted sums by line of the slot table.

# L labelled positions, K lines of the slot table
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ofa_modalities.batch import FrameLabels, PackedBatch, TokenLabels
from torch import Tensor

from ofa_trainer.criterion import LossInputs, LossTerms


def sums_by_line(values: Tensor, slots: Tensor, num_lines: int) -> Tensor:
    """``[L]`` added up by line, float32 ``[K]``."""
    sums = torch.zeros(num_lines, dtype=torch.float32, device=values.device)
    return sums.index_add_(0, slots, values.float())


def count_labels(batch: PackedBatch, labels: TokenLabels | FrameLabels) -> Tensor:
    """float32 ``[K]``: the labels' weights by line."""
    return sums_by_line(labels.weights, labels.slots, len(batch.slots))


def weighted_terms(losses: Tensor, weights: Tensor, slots: Tensor, scale: Tensor, factor: float) -> LossTerms:
    """Terms of per-position losses ``[L]``: ``factor · Σ scale[slot] · weight · loss``, and the bare sums ``[K]``."""
    weighted = losses.float() * weights
    return LossTerms(
        loss=factor * (weighted * scale[slots]).sum(),
        sums=sums_by_line(weighted.detach(), slots, len(scale)),
    )


def total(terms: Sequence[LossTerms], inputs: LossInputs) -> LossTerms:
    """All terms added up; without any, a loss of 0 that still has a gradient."""
    loss = inputs.hidden.sum() * 0 if not terms else terms[0].loss
    sums = torch.zeros_like(inputs.scale) if not terms else terms[0].sums
    for term in terms[1:]:
        loss, sums = loss + term.loss, sums + term.sums
    return LossTerms(loss=loss, sums=sums)


def select_labels(labels: TokenLabels, keep: Tensor) -> TokenLabels:
    """The labels where ``keep`` (bool ``[L]``) holds."""
    return TokenLabels(
        positions=labels.positions[keep],
        ids=labels.ids[keep],
        weights=labels.weights[keep],
        slots=labels.slots[keep],
        segments=labels.segments[keep],
        nodes=labels.nodes[keep],
    )
