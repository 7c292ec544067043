"""The criterion ``diffusion``: distance of clean rows and of the steps between them, within items."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from ofa_modalities.batch import FrameLabels, PackedBatch
from ofa_modalities.vocabulary_plan import VocabularyPlan
from ofa_models.backend import FrameOutput, Memory, ModelBackend
from ofa_trainer.criteria.diffusion import Diffusion
from ofa_trainer.criteria.specs import DiffusionOptions
from ofa_trainer.criterion import CriterionContext, LossInputs

TRUE = torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0], [6.0, 8.0]])


class Reads:
    """A model whose states are the rows that it predicts."""

    def read_frames(self, adaptor: str, hidden: torch.Tensor) -> FrameOutput:
        return FrameOutput(frames=hidden)


def inputs(predicted: torch.Tensor, positions: list[int] | None = None) -> LossInputs:
    labels = FrameLabels(
        adaptor="motion",
        positions=torch.tensor(positions or [0, 1, 2, 3]),
        frames=TRUE,
        stop=torch.zeros(4),
        weights=torch.tensor([1.0, 1.0, 1.0, 0.5]),
        slots=torch.tensor([0, 0, 1, 1]),
        segments=torch.tensor([0, 0, 1, 1]),
    )
    none: Any = None
    return LossInputs(
        model=cast(ModelBackend, Reads()),
        batch=cast(PackedBatch, none),
        memory=cast(Memory, none),
        hidden=predicted,
        labels=labels,
        scale=torch.tensor([0.5, 2.0]),
    )


def criterion(**options: float) -> Diffusion:
    context = CriterionContext(width=2, vocabulary=cast(VocabularyPlan, None))
    return Diffusion(DiffusionOptions(**options), context)


def test_the_loss_is_what_its_formula_says() -> None:
    missed = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 2.0], [0.0, 0.0]])
    terms = criterion(velocity_weight=0)(inputs(TRUE + missed))
    assert terms.sums.tolist() == [2, 2]
    assert terms.loss.item() == pytest.approx(0.5 * 2 + 2 * 2)
    with_steps = criterion(velocity_weight=3, weight=2)(inputs(TRUE + missed))
    assert with_steps.sums.tolist() == [2, 2 + 3 * 2 * 0.5]
    assert with_steps.loss.item() == pytest.approx(2 * (0.5 * 2 + 2 * 5))


def test_no_step_leads_from_one_item_to_the_next_or_over_a_gap() -> None:
    missed = torch.zeros(4, 2)
    missed[2:] = 4
    assert criterion(velocity_weight=9)(inputs(TRUE + missed)).sums.tolist() == [0, 16 * 1.5]
    missed = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    assert criterion(velocity_weight=9)(inputs(TRUE + missed, [0, 2, 4, 5])).sums.tolist() == [1, 0]


def test_it_has_a_gradient() -> None:
    predicted = TRUE.clone().add_(1).requires_grad_()
    criterion()(inputs(predicted)).loss.backward()
    assert predicted.grad is not None
    assert bool((predicted.grad != 0).any())
