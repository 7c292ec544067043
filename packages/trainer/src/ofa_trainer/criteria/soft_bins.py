"""Box bins whose neighbours share the weight.

    # L labelled positions, D model width, B bins, K lines of the slot table

A coordinate one bin off is nearly right, and a hard label does not say so. Bins are ordered, so the label is a Gaussian
over them (label distribution learning: Geng 2016, arXiv 1408.6027), and as an answer may only be a bin, the loss
is normalised over the bins alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from ofa_modalities.batch import FrameLabels, PackedBatch, TokenLabels
from torch import Tensor

from ofa_trainer.criteria.cross_entropy import CrossEntropy
from ofa_trainer.criteria.specs import CrossEntropyOptions, SoftBinsOptions
from ofa_trainer.criteria.sums import added, count_labels, select_labels, weighted_terms
from ofa_trainer.criterion import CriterionContext, LossInputs, LossTerms

BIN_BLOCK = "bin"


def bin_block(context: CriterionContext) -> range:
    """Ids of the bins. Raises ValueError where the vocabulary has none."""
    for block in context.vocabulary.blocks:
        if block.name == BIN_BLOCK:
            return range(block.start, block.start + block.size)
    names = ", ".join(block.name for block in context.vocabulary.blocks)
    raise ValueError(f"a criterion of boxes needs the vocabulary block `{BIN_BLOCK}`, and the blocks are {names}")


def soft_labels(bins: Tensor, num_bins: int, sigma_bins: float) -> Tensor:
    """int64 ``[L]`` true bins -> float32 ``[L, B]``: exp(-(j - bin)² / 2σ²), normalised over j; σ = 0: one-hot."""
    if sigma_bins == 0:
        return F.one_hot(bins, num_bins).float()
    distances = torch.arange(num_bins, device=bins.device) - bins[:, None]
    return torch.softmax(-distances.float().square() / (2 * sigma_bins**2), dim=-1)


class SoftBins:
    """Cross entropy over the bin block against :func:`soft_labels`."""

    def __init__(self, options: SoftBinsOptions, context: CriterionContext) -> None:
        self.options = options
        self._bins = bin_block(context)
        self._choices = CrossEntropy(CrossEntropyOptions(weight=options.weight), context)

    def count(self, batch: PackedBatch, labels: TokenLabels | FrameLabels) -> Tensor:
        """Labelled bins by line (and the choices of a repeat)."""
        return count_labels(batch, labels)

    def __call__(self, inputs: LossInputs) -> LossTerms:
        """The loss."""
        labels = inputs.labels
        if not isinstance(labels, TokenLabels):
            raise ValueError("the criterion `soft_bins` is for slots of bins, and this slot has float units")
        is_bin = (labels.ids >= self._bins.start) & (labels.ids < self._bins.stop)
        terms = self._of_bins(inputs, select_labels(labels, is_bin), inputs.hidden[is_bin])
        if bool(is_bin.all()):
            return terms
        choices = LossInputs(
            model=inputs.model,
            batch=inputs.batch,
            memory=inputs.memory,
            hidden=inputs.hidden[~is_bin],
            labels=select_labels(labels, ~is_bin),
            scale=inputs.scale,
        )
        return added(terms, self._choices(choices))

    def _of_bins(self, inputs: LossInputs, labels: TokenLabels, hidden_LD: Tensor) -> LossTerms:
        with torch.autocast(hidden_LD.device.type, enabled=False):
            weight_BD = inputs.model.token_weight()[self._bins.start : self._bins.stop].float()
            logits_LB = hidden_LD.float() @ weight_BD.T
            wanted_LB = soft_labels(labels.ids - self._bins.start, len(self._bins), self.options.sigma_bins)
            losses = F.cross_entropy(logits_LB, wanted_LB, reduction="none")
        return weighted_terms(losses, labels.weights, labels.slots, inputs.scale, self.options.weight)
