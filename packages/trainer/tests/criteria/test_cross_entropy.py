"""Cross entropy equals the plain one, open and closed, value and gradient."""

import pytest
import torch
import torch.nn.functional as F
from ofa_modalities.batch import FrameLabels
from ofa_modalities.prefix_tree import PrefixTree
from ofa_trainer.criteria.cross_entropy import CrossEntropy
from ofa_trainer.criteria.specs import CrossEntropyOptions


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_open_labels_equal_the_plain_loss_and_its_gradient(make, smoothing: float) -> None:
    labels = make.labels([9, 12, 3, 30], [0, 1, 1, 0], weights=[1.0, 0.5, 2.0, 1.0])
    packed = make.batch([make.slot("TEXT"), make.slot("TEXT")], labels)
    weight = torch.randn(make.context.vocabulary.size, make.width).requires_grad_()
    inputs = make.inputs(packed, labels, scale=[0.3, 0.7], model=make.model(weight))
    criterion = CrossEntropy(CrossEntropyOptions(label_smoothing=smoothing, weight=1.5), make.context)
    terms = criterion(inputs)

    plain = F.cross_entropy(inputs.hidden @ weight.T, labels.ids, label_smoothing=smoothing, reduction="none") * labels.weights
    wanted = 1.5 * (plain * inputs.scale[labels.slots]).sum()
    torch.testing.assert_close(terms.loss, wanted)
    torch.testing.assert_close(terms.sums, torch.stack([plain[[0, 3]].sum(), plain[[1, 2]].sum()]).detach())
    assert not terms.sums.requires_grad
    for ours, theirs in zip(
        torch.autograd.grad(terms.loss, (inputs.hidden, weight)),
        torch.autograd.grad(wanted, (inputs.hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(criterion.count(packed, labels), torch.tensor([2.0, 2.5]))


def test_labels_of_a_closed_set_are_normalised_over_its_children(make) -> None:
    one = PrefixTree.build([(9, 10, 3), (9, 11, 3), (12, 3)])
    other = PrefixTree.build([(20, 3), (21, 3), (22, 3)])
    slots = [make.slot("TEXT", one), make.slot("TEXT"), make.slot("TEXT", other), make.slot("TEXT", one)]
    after_9 = one.children(0)[0]
    labels = make.labels([9, 15, 11, 21, 12], [0, 1, 0, 2, 3], nodes=[0, -1, after_9, 0, 0])
    packed = make.batch(slots, labels)
    weight = torch.randn(make.context.vocabulary.size, make.width).requires_grad_()
    inputs = make.inputs(packed, labels, scale=[1.0, 2.0, 3.0, 4.0], model=make.model(weight))
    terms = CrossEntropy(CrossEntropyOptions(), make.context)(inputs)

    logits = inputs.hidden @ weight.T
    everything = range(weight.shape[0])
    allowed = [[9, 12], everything, [10, 11], [20, 21, 22], [9, 12]]
    losses = torch.stack(
        [logits[place, list(tokens)].logsumexp(0) - logits[place, labels.ids[place]] for place, tokens in enumerate(allowed)]
    )
    wanted = (losses * inputs.scale[labels.slots]).sum()
    torch.testing.assert_close(terms.loss, wanted)
    torch.testing.assert_close(terms.sums, torch.stack([losses[0] + losses[2], losses[1], losses[3], losses[4]]).detach())
    for ours, theirs in zip(
        torch.autograd.grad(terms.loss, (inputs.hidden, weight)),
        torch.autograd.grad(wanted, (inputs.hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_only_closed_labels_and_none_at_all(make) -> None:
    tree = PrefixTree.build([(9, 3), (10, 3)])
    labels = make.labels([10], [0], nodes=[0])
    terms = CrossEntropy(CrossEntropyOptions(), make.context)(make.inputs(make.batch([make.slot("TEXT", tree)], labels), labels))
    assert terms.loss.item() > 0

    nothing = make.labels([], [])
    terms = CrossEntropy(CrossEntropyOptions(), make.context)(make.inputs(make.batch([make.slot("TEXT")]), nothing))
    terms.loss.backward()
    assert terms.loss.item() == 0
    assert terms.sums.tolist() == [0]


def test_float_units_are_an_error_that_names_the_right_criterion(make) -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    empty = torch.zeros(0)
    labels = FrameLabels(
        adaptor="series", positions=nothing, frames=torch.zeros(0, 3), stop=empty, weights=empty, slots=nothing, segments=nothing
    )
    with pytest.raises(ValueError, match="use `frames`"):
        CrossEntropy(CrossEntropyOptions(), make.context)(make.inputs(make.batch([make.slot("SERIES")]), labels))
