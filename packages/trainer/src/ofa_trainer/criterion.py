"""The criterion seam: a loss on the labelled positions of target slots.

    # L labelled positions, K lines of the slot table, D model width

The loop counts every slot's weight over the whole step before the forward pass, so a criterion is told the scale
of each slot (λ / weight of the step) and returns a loss that only has to be added up:

1. Slots that name the same criterion with the same options share one criterion object, built once per run by
   ``spec.load()(options, context)``.
2. ``count(batch, labels)`` of every packed batch of the step, on all ranks: the weights, on CPU, before any forward.
3. ``criterion(inputs)`` once per batch and kind of label that has any: the loss and the sums behind it.

A criterion may own parameters. It is then also an ``nn.Module`` (``isinstance(criterion, nn.Module)`` is the whole
seam): the loop moves it to the device, gives its parameters to the optimiser, clips them with the model's, and saves
its ``state_dict`` with the training state. They are no part of the checkpoint that answers: inference never needs
them. A step may leave them without a gradient (no row of its tasks was drawn).

The option ``weight`` of a criterion multiplies its loss, inside the criterion; counts and sums stay unweighted, so
``sums / counts`` is the plain mean of a slot whatever its weight. Labels outside the units of a slot (the
``<next>`` or ``<end>`` chosen before the items of a repeat, which carry the repeat's first target slot) go
through the ordinary cross entropy of whichever criterion of that slot predicts units; a dense term ignores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ofa_modalities.batch import FrameLabels, PackedBatch, TokenLabels
from ofa_modalities.vocabulary_plan import VocabularyPlan
from ofa_models.backend import Memory, ModelBackend
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionContext:
    """What a criterion may know of the run when it is built.

    width: D, of the encoder's and the decoder's states. vocabulary: the blocks of token ids (empty in tests without any).
    """

    width: int
    vocabulary: VocabularyPlan


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
    """loss: scalar, options.weight · Σ over slots of scale · sum, with a gradient. sums: float32 ``[K]`` bare sums, detached."""

    loss: Tensor
    sums: Tensor


class Criterion(Protocol):
    """What a :class:`ofa_instruction.specs.CriterionSpec` names; an ``nn.Module`` too where it has parameters."""

    def __init__(self, options: Any, context: CriterionContext) -> None: ...

    def count(self, batch: PackedBatch, labels: TokenLabels | FrameLabels) -> Tensor:
        """float32 ``[K]``: the weight of this batch by slot-table line, on CPU, before any forward pass."""

    def __call__(self, inputs: LossInputs) -> LossTerms:
        """The loss."""
