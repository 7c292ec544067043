"""Float rows that are denoised together: squared distance of the predicted clean rows from the true ones.

# L labelled positions, F features of a row, K lines of the slot table
"""

from __future__ import annotations

import torch
from ofa_modalities.batch import FrameLabels, PackedBatch, TokenLabels
from torch import Tensor

from ofa_trainer.criteria.specs import DiffusionOptions
from ofa_trainer.criteria.sums import count_labels, weighted_terms
from ofa_trainer.criterion import CriterionContext, LossInputs, LossTerms


class Diffusion:
    """``mean over F of (row - label)²``, plus ``velocity_weight`` times the same of the step from one row of an item to the next.

    The model predicts the clean rows whatever the noise, and every level of noise weighs the same (Ramesh et al. 2022, arXiv
    2204.06125, section 2.2; the velocities: Tevet et al. 2022, arXiv 2209.14916, equation 5).
    """

    def __init__(self, options: DiffusionOptions, context: CriterionContext) -> None:
        self.options = options

    def count(self, batch: PackedBatch, labels: TokenLabels | FrameLabels) -> Tensor:
        """Labelled rows by line."""
        return count_labels(batch, labels)

    def __call__(self, inputs: LossInputs) -> LossTerms:
        """The loss."""
        labels = inputs.labels
        if not isinstance(labels, FrameLabels):
            raise ValueError("the criterion `diffusion` is for slots of float units that are denoised together")
        missed = inputs.model.read_frames(labels.adaptor, inputs.hidden).frames.float() - labels.frames
        losses = missed.square().mean(-1)
        if self.options.velocity_weight:
            follows = (labels.segments.diff() == 0) & (labels.positions.diff() == 1)
            steps = torch.where(follows, missed.diff(dim=0).square().mean(-1), 0)
            losses = losses + self.options.velocity_weight * torch.nn.functional.pad(steps, (1, 0))
        return weighted_terms(losses, labels.weights, labels.slots, inputs.scale, self.options.weight)
