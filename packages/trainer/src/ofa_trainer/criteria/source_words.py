"""Dense: the words of an answer, all at once, from the mean of what the encoder makes of the row's pictures or sounds.

    # L labelled positions, R rows, T source tokens, D model width, V vocabulary, K lines of the slot table

A decoder that has not learnt to look at a picture gives the encoder no reason to describe it. This term asks the encoder itself
which words the answer holds, in any order, so that there is something to look at after a few steps. It costs one row of logits a
row of the batch, has a matrix of its own, and is not part of the checkpoint.
"""

from __future__ import annotations

import torch
from ofa_modalities.batch import FrameLabels, PackedBatch, SegmentColumn, Side, TokenLabels
from torch import Tensor, nn

from ofa_trainer.criteria.specs import SourceWordsOptions
from ofa_trainer.criteria.sums import sums_by_line, weighted_terms
from ofa_trainer.criterion import CriterionContext, LossInputs, LossTerms


class SourceWords(nn.Module):
    """Cross entropy of every unit of the answer under one distribution over the vocabulary."""

    def __init__(self, options: SourceWordsOptions, context: CriterionContext) -> None:
        super().__init__()
        self.options = options
        self.num_controls = next(block.size for block in context.vocabulary.blocks if block.name == "control")
        self.map = nn.Linear(context.width, context.width, bias=False)

    def count(self, batch: PackedBatch, labels: TokenLabels | FrameLabels) -> Tensor:
        """float32 ``[K]``: weights of the labels that are words, by line."""
        words = self._words(labels)
        return sums_by_line(words.float() * labels.weights, labels.slots, len(batch.slots))

    def forward(self, inputs: LossInputs) -> LossTerms:
        """The loss."""
        labels, batch = inputs.labels, inputs.batch
        words = self._words(labels)
        assert isinstance(labels, TokenLabels)
        rows = batch.target.segments[labels.segments, SegmentColumn.SEQUENCE]
        asked, place = torch.unique(rows, return_inverse=True)
        with torch.autocast(inputs.memory.states.device.type, enabled=False):
            pooled = pooled_states(inputs.memory.states.to(self.map.weight.dtype), batch.source)[asked]
            logits = self.map(pooled) @ inputs.model.token_weight().to(pooled.dtype).T
            losses = -logits.log_softmax(-1)[place, labels.ids]
        return weighted_terms(losses, labels.weights * words, labels.slots, inputs.scale, self.options.weight)

    def _words(self, labels: TokenLabels | FrameLabels) -> Tensor:
        """bool ``[L]``: labels that are no control tokens. Raises ValueError for float units."""
        if not isinstance(labels, TokenLabels):
            raise ValueError("the criterion `source_words` is for slots of ids, and this slot has float units")
        return labels.ids >= self.num_controls


def pooled_states(states: Tensor, source: Side) -> Tensor:
    """Mean state of each row's tokens of float streams, or of all its tokens where it has none: ``[T, D]`` → ``[R, D]``."""
    num_rows = len(source.lengths)
    row_of = torch.repeat_interleave(torch.arange(num_rows, device=states.device), source.lengths)
    of_floats = torch.zeros(len(states), dtype=torch.bool, device=states.device)
    for stream in source.streams:
        if stream.units.ndim == 2:
            of_floats[stream.token_positions] = True
    has_floats = torch.zeros(num_rows, dtype=torch.bool, device=states.device).index_fill_(0, row_of[of_floats], True)
    kept = of_floats | ~has_floats[row_of]
    sums = states.new_zeros(num_rows, states.shape[1]).index_add(0, row_of[kept], states[kept])
    counts = torch.bincount(row_of[kept], minlength=num_rows).clamp_min(1)
    return sums / counts[:, None].to(states.dtype)
