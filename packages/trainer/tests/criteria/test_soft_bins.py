"""Soft bins equal the plain loss; hard ones are the limit; choices of a repeat stay ordinary."""

import math

import pytest
import torch
import torch.nn.functional as F
from ofa_modalities.vocabulary import BlockPlan
from ofa_trainer.criteria.soft_bins import SoftBins
from ofa_trainer.criteria.specs import SoftBinsOptions


@pytest.mark.parametrize("sigma", [1.5, 0.0])
def test_equals_the_plain_loss_and_its_gradient(make, sigma: float) -> None:
    bins = [0, 5, 15, 8]
    labels = make.labels([make.bins + number for number in bins], [0, 0, 1, 1], weights=[1.0, 1.0, 1.0, 0.5])
    packed = make.batch([make.slot("BOX"), make.slot("BOX")], labels)
    weight = torch.randn(make.context.vocabulary.size, make.width).requires_grad_()
    inputs = make.inputs(packed, labels, scale=[0.5, 2.0], model=make.model(weight))
    terms = SoftBins(SoftBinsOptions(sigma_bins=sigma, weight=3), make.context)(inputs)

    logits = inputs.hidden @ weight[make.bins : make.bins + make.num_bins].T
    wanted = torch.zeros(4, make.num_bins)
    for place, true in enumerate(bins):
        for number in range(make.num_bins):
            wanted[place, number] = math.exp(-((number - true) ** 2) / (2 * sigma**2)) if sigma else float(number == true)
    plain = F.cross_entropy(logits, wanted / wanted.sum(1, keepdim=True), reduction="none") * labels.weights
    loss = 3 * (plain * inputs.scale[labels.slots]).sum()
    torch.testing.assert_close(terms.loss, loss)
    torch.testing.assert_close(terms.sums, torch.stack([plain[:2].sum(), plain[2:].sum()]).detach())
    for ours, theirs in zip(
        torch.autograd.grad(terms.loss, (inputs.hidden, weight)), torch.autograd.grad(loss, (inputs.hidden, weight)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_near_miss_costs_less_than_a_far_one(make) -> None:
    labels = make.labels([make.bins + 8], [0])
    losses = []
    for guess in (8, 9, 14):
        weight = torch.zeros(make.context.vocabulary.size, make.width)
        weight[make.bins + guess] = 1.0
        inputs = make.inputs(make.batch([make.slot("BOX")], labels), labels, model=make.model(weight))
        inputs.hidden.data.fill_(1.0)
        losses.append(SoftBins(SoftBinsOptions(), make.context)(inputs).loss.item())
    assert losses[0] < losses[1] < losses[2]


def test_choices_of_a_repeat_go_through_the_whole_vocabulary(make) -> None:
    labels = make.labels([4, make.bins + 1, 3], [0, 0, 0])
    packed = make.batch([make.slot("BOX")], labels)
    inputs = make.inputs(packed, labels)
    criterion = SoftBins(SoftBinsOptions(sigma_bins=0), make.context)
    terms = criterion(inputs)
    logits = inputs.hidden @ inputs.model.token_weight().T
    bins = slice(make.bins, make.bins + make.num_bins)
    wanted = (
        F.cross_entropy(logits[[0]], labels.ids[[0]])
        + F.cross_entropy(logits[[1], bins], torch.tensor([1]))
        + F.cross_entropy(logits[[2]], labels.ids[[2]])
    )
    torch.testing.assert_close(terms.loss, wanted)
    assert criterion.count(packed, labels).tolist() == [3]


def test_a_vocabulary_without_bins_is_an_error(make) -> None:
    plan = make.context.vocabulary
    kept = tuple(block for block in plan.blocks if block.name != "bin")
    assert isinstance(kept[0], BlockPlan)
    context = type(make.context)(width=4, vocabulary=plan.model_copy(update={"blocks": kept}))
    with pytest.raises(ValueError, match="block `bin`"):
        SoftBins(SoftBinsOptions(), context)
