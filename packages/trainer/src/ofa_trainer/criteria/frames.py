"""Float rows: regression of the next frame, and whether it is the last.

# L labelled positions, F features of a frame, K lines of the slot table
"""

from __future__ import annotations

from typing import assert_never

import torch
import torch.nn.functional as F
from ofa_modalities.batch import FrameLabels, PackedBatch, TokenLabels
from torch import Tensor

from ofa_trainer.criteria.cross_entropy import CrossEntropy
from ofa_trainer.criteria.specs import CrossEntropyOptions, FramesOptions
from ofa_trainer.criteria.sums import count_labels, weighted_terms
from ofa_trainer.criterion import CriterionContext, LossInputs, LossTerms


class Frames:
    """``mean over F of |frame - label|`` (or squared), plus ``stop_weight`` times the stop's binary cross entropy.

    Where the adaptor refines finished items, the distance of the refined frames is added. Heads and losses are those of
    Tacotron 2 (Shen et al. 2018, arXiv 1712.05884, section 2.2). Frames that are denoised together have no stop.
    """

    def __init__(self, options: FramesOptions, context: CriterionContext) -> None:
        self.options = options
        self._choices = CrossEntropy(CrossEntropyOptions(weight=options.weight), context)

    def count(self, batch: PackedBatch, labels: TokenLabels | FrameLabels) -> Tensor:
        """Labelled frames by line (and the choices of a repeat)."""
        return count_labels(batch, labels)

    def __call__(self, inputs: LossInputs) -> LossTerms:
        """The loss of frames; the choices of a repeat go through the ordinary cross entropy."""
        labels = inputs.labels
        if isinstance(labels, TokenLabels):
            return self._choices(inputs)
        output = inputs.model.read_frames(labels.adaptor, inputs.hidden)
        frames = output.frames.float()
        losses = self._distances(frames, labels.frames)
        counts = torch.unique_consecutive(labels.segments, return_counts=True)[1]
        refined = inputs.model.refine_frames(labels.adaptor, frames, counts)
        if refined is not None:
            losses = losses + self._distances(refined.float(), labels.frames)
        if output.stop_logits is not None:
            with torch.autocast(frames.device.type, enabled=False):
                stops = F.binary_cross_entropy_with_logits(output.stop_logits.float(), labels.stop, reduction="none")
            losses = losses + self.options.stop_weight * stops
        return weighted_terms(losses, labels.weights, labels.slots, inputs.scale, self.options.weight)

    def _distances(self, frames: Tensor, wanted: Tensor) -> Tensor:
        """``[L]``: of each frame, averaged over its features."""
        difference = frames - wanted
        match self.options.kind:
            case "l1":
                distances = difference.abs()
            case "l2":
                distances = difference.square()
            case "l1_l2":
                distances = difference.abs() + difference.square()
            case _:
                assert_never(self.options.kind)
        return distances.mean(dim=-1)
