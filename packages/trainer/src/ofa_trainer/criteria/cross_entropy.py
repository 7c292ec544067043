"""Cross entropy of the next id.

    # L labelled positions, D model width, V vocabulary, K lines of the slot table

A label chosen from a closed set (node ≥ 0 of its slot's prefix tree) is scored exactly: normalised over the tokens that
the set allows there, which is how the answer is chosen too. Every other label is normalised over the whole vocabulary, in
chunks, so that the logits of all positions never exist at once. Both run in :mod:`ofa_models`.
"""

from __future__ import annotations

import torch
from ofa_modalities.batch import FrameLabels, PackedBatch, TokenLabels
from ofa_modalities.prefix_tree import PrefixTree
from ofa_models.closed_set import closed_set_loss
from ofa_models.cross_entropy import cross_entropy
from torch import Tensor

from ofa_trainer.criteria.specs import CrossEntropyOptions
from ofa_trainer.criteria.sums import count_labels, select_labels, sums_by_line, total
from ofa_trainer.criterion import CriterionContext, LossInputs, LossTerms


class CrossEntropy:
    """Cross entropy with label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7)."""

    def __init__(self, options: CrossEntropyOptions, context: CriterionContext) -> None:
        self.options = options

    def count(self, batch: PackedBatch, labels: TokenLabels | FrameLabels) -> Tensor:
        """The labels' weights by line."""
        return count_labels(batch, labels)

    def __call__(self, inputs: LossInputs) -> LossTerms:
        """The loss."""
        labels = inputs.labels
        if not isinstance(labels, TokenLabels):
            raise ValueError("the criterion `cross_entropy` is for slots of ids, and this slot has float units; use `frames`")
        closed = labels.nodes >= 0
        terms = [self._open(inputs, *_part(inputs, labels, ~closed))] if not bool(closed.all()) else []
        for tree, lines in _trees(inputs.batch, labels.slots[closed]):
            part = _part(inputs, labels, closed & torch.isin(labels.slots, lines))
            terms.append(self._closed(inputs, *part, tree))
        return total(terms, inputs)

    def _open(self, inputs: LossInputs, labels: TokenLabels, hidden: Tensor) -> LossTerms:
        loss, losses = cross_entropy(
            hidden,
            inputs.model.token_weight(),
            labels.ids,
            self._scale(inputs, labels),
            label_smoothing=self.options.label_smoothing,
        )
        return LossTerms(loss=loss, sums=sums_by_line(losses * labels.weights, labels.slots, len(inputs.scale)))

    def _closed(self, inputs: LossInputs, labels: TokenLabels, hidden: Tensor, tree: PrefixTree) -> LossTerms:
        scale = self._scale(inputs, labels)
        with torch.autocast(hidden.device.type, enabled=False):
            loss, losses = closed_set_loss(hidden, inputs.model.token_weight(), labels.nodes, labels.ids, scale, tree)
        return LossTerms(loss=loss, sums=sums_by_line(losses * labels.weights, labels.slots, len(inputs.scale)))

    def _scale(self, inputs: LossInputs, labels: TokenLabels) -> Tensor:
        """float32 ``[L]``: what each position's loss is multiplied by."""
        return self.options.weight * inputs.scale[labels.slots] * labels.weights


def _part(inputs: LossInputs, labels: TokenLabels, keep: Tensor) -> tuple[TokenLabels, Tensor]:
    """Labels and states where ``keep`` (bool ``[L]``) holds."""
    return (labels, inputs.hidden) if bool(keep.all()) else (select_labels(labels, keep), inputs.hidden[keep])


def _trees(batch: PackedBatch, slots: Tensor) -> list[tuple[PrefixTree, Tensor]]:
    """The trees that these lines (``[L]``, repeats allowed) choose from, each with all its lines."""
    lines_of: dict[int, list[int]] = {}
    trees: dict[int, PrefixTree] = {}
    for line in torch.unique(slots).tolist():
        tree = batch.slots[line].tree
        assert tree is not None, "a label has a node of a prefix tree, and its slot has no tree"
        trees[id(tree)] = tree
        lines_of.setdefault(id(tree), []).append(line)
    return [(trees[key], torch.tensor(lines, device=slots.device)) for key, lines in lines_of.items()]
