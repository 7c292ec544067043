"""Box bins whose neighbours share the weight.

    # L labelled positions, D model width, B bins, K lines of the slot table

A coordinate one bin off is nearly right, and a hard label does not say so. Bins are ordered, so the label is a Gaussian
over them (label distribution learning: Geng 2016, arXiv 1408.6027), and as an answer may only be a bin, the loss
is normalised over the bins alone.
"""

from __future__ import annotations

from dataclasses import replace

from ofa_modalities.batch import FrameLabels, PackedBatch, TokenLabels
from ofa_models.cross_entropy import cross_entropy
from torch import Tensor

from ofa_trainer.criteria.cross_entropy import CrossEntropy
from ofa_trainer.criteria.specs import CrossEntropyOptions, SoftBinsOptions
from ofa_trainer.criteria.sums import count_labels, select_labels, sums_by_line, total
from ofa_trainer.criterion import CriterionContext, LossInputs, LossTerms

BIN_BLOCK = "bin"


def bin_block(context: CriterionContext) -> range:
    """Ids of the bins. Raises ValueError where the vocabulary has none."""
    for block in context.vocabulary.blocks:
        if block.name == BIN_BLOCK:
            return range(block.start, block.start + block.size)
    names = ", ".join(block.name for block in context.vocabulary.blocks)
    raise ValueError(f"a criterion of boxes needs the vocabulary block `{BIN_BLOCK}`, and the blocks are {names}")


class SoftBins:
    """Cross entropy over the bin block against exp(-(j - bin)² / 2σ²), normalised over the bins j; σ = 0: the bin alone."""

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
        terms = [self._of_bins(inputs, select_labels(labels, is_bin), inputs.hidden[is_bin])] if bool(is_bin.any()) else []
        if not bool(is_bin.all()):
            rest = replace(inputs, hidden=inputs.hidden[~is_bin], labels=select_labels(labels, ~is_bin))
            terms.append(self._choices(rest))
        return total(terms, inputs)

    def _of_bins(self, inputs: LossInputs, labels: TokenLabels, hidden_LD: Tensor) -> LossTerms:
        loss, losses = cross_entropy(
            hidden_LD.float(),
            inputs.model.token_weight(),
            labels.ids,
            self.options.weight * inputs.scale[labels.slots] * labels.weights,
            block=self._bins,
            sigma=self.options.sigma_bins or None,
        )
        return LossTerms(loss=loss, sums=sums_by_line(losses * labels.weights, labels.slots, len(inputs.scale)))
