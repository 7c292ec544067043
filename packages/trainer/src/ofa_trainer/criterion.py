"""The criterion seam: a loss on the labelled positions of target slots.

    # L labelled positions, K lines of the slot table, D model width

The loop counts every slot's weight over the whole step before the forward pass, so a criterion is told the scale
of each slot (λ / weight of the step) and returns a loss that only has to be added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ofa_modalities.batch import FrameLabels, PackedBatch, TokenLabels
from ofa_models.backend import Memory, ModelBackend
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LossInputs:
    """What a criterion is given: one kind of label of all slots that use this criterion with these options.

    hidden: ``[L, D]`` decoder states at ``labels.positions``. labels: only rows of slots that use the criterion.
    scale: float32 ``[K]`` by slot-table line; 0 for slots that do not use the criterion.
    """

    model: ModelBackend
    batch: PackedBatch
    memory: Memory
    hidden: Tensor
    labels: TokenLabels | FrameLabels
    scale: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTerms:
    """loss: scalar, Σ over slots of scale · sum, with a gradient. sums: float32 ``[K]`` unscaled sums, detached."""

    loss: Tensor
    sums: Tensor


class Criterion(Protocol):
    """What a :class:`ofa_instruction.specs.CriterionSpec` names; built with its options."""

    def __init__(self, options: Any) -> None: ...

    def count(self, batch: PackedBatch, labels: TokenLabels | FrameLabels) -> Tensor:
        """float32 ``[K]``: the weight of this batch by slot-table line, on CPU, before any forward pass."""

    def __call__(self, inputs: LossInputs) -> LossTerms:
        """The loss."""
