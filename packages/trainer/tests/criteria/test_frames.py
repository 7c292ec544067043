"""Regression with a stop equals the plain losses."""

import pytest
import torch
import torch.nn.functional as F
from ofa_modalities.batch import FrameLabels
from ofa_trainer.criteria.frames import Frames
from ofa_trainer.criteria.specs import CRITERIA, FramesOptions


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_equals_distance_plus_stop_and_its_gradient(make, kind: str) -> None:
    labels = FrameLabels(
        adaptor="series",
        positions=torch.arange(4),
        frames=torch.randn(4, 3),
        stop=torch.tensor([0.0, 1.0, 0.0, 1.0]),
        weights=torch.tensor([1.0, 1.0, 0.5, 1.0]),
        slots=torch.tensor([0, 0, 2, 2]),
        segments=torch.tensor([0, 0, 1, 1]),
    )
    packed = make.batch([make.slot("SERIES")] * 3)
    inputs = make.inputs(packed, labels, scale=[1.0, 0.0, 0.5])
    criterion = Frames(FramesOptions(kind=kind, stop_weight=0.25, weight=2), make.context)
    terms = criterion(inputs)

    distance = {"l1": F.l1_loss, "l2": F.mse_loss}[kind](inputs.hidden[:, :3] * 2, labels.frames, reduction="none").mean(1)
    stops = F.binary_cross_entropy_with_logits(inputs.hidden[:, 3], labels.stop, reduction="none")
    plain = (distance + 0.25 * stops) * labels.weights
    wanted = 2 * (plain * inputs.scale[labels.slots]).sum()
    torch.testing.assert_close(terms.loss, wanted)
    torch.testing.assert_close(terms.sums, torch.stack([plain[:2].sum(), torch.tensor(0.0), plain[2:].sum()]).detach())
    ours, theirs = (torch.autograd.grad(loss, inputs.hidden, retain_graph=True)[0] for loss in (terms.loss, wanted))
    torch.testing.assert_close(ours, theirs)
    assert criterion.count(packed, labels).tolist() == [2, 0, 1.5]


def test_refined_frames_are_judged_item_by_item_as_well(make) -> None:
    labels = FrameLabels(
        adaptor="audio_frames",
        positions=torch.arange(4),
        frames=torch.randn(4, 3),
        stop=torch.tensor([0.0, 1.0, 0.0, 1.0]),
        weights=torch.ones(4),
        slots=torch.zeros(4, dtype=torch.int64),
        segments=torch.tensor([3, 3, 5, 5]),
    )
    inputs = make.inputs(make.batch([make.slot("AUDIO")]), labels, model=make.model(refines=True))
    terms = Frames(FramesOptions(kind="l1_l2", stop_weight=0), make.context)(inputs)
    frames = inputs.hidden[:, :3] * 2
    refined = frames + torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    wanted = sum(loss(given, labels.frames) * 4 for loss in (F.l1_loss, F.mse_loss) for given in (frames, refined))
    torch.testing.assert_close(terms.loss, wanted)


def test_choices_of_a_repeat_of_frames_are_ordinary_tokens(make) -> None:
    labels = make.labels([4, 3], [0, 0])
    inputs = make.inputs(make.batch([make.slot("SERIES")], labels), labels)
    terms = Frames(FramesOptions(weight=2), make.context)(inputs)
    plain = F.cross_entropy(inputs.hidden @ inputs.model.token_weight().T, labels.ids, reduction="sum")
    torch.testing.assert_close(terms.loss, 2 * plain)


@pytest.mark.parametrize("spec", CRITERIA, ids=lambda spec: spec.name)
def test_every_spec_builds_its_criterion(make, spec) -> None:
    criterion = spec.load()(spec.options(), make.context)
    assert isinstance(criterion, torch.nn.Module) == (spec.name in {"patch_cover", "source_words"})
