"""The dense term asks every patch of the right image, and its targets are the covered areas."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ofa_modalities.batch import FrameLabels
from ofa_trainer.criteria.patch_cover import PatchCover
from ofa_trainer.criteria.specs import PatchCoverOptions


def covered_by_counting(box_bins, shape, num_bins: int, fine: int = 48) -> np.ndarray:
    """Share of fine sample points of each patch inside the box (its edges run through the middles of their cells)."""
    rows, columns = shape
    left, top, right, bottom = box_bins
    x = (np.arange(columns * fine) + 0.5) / (columns * fine) * num_bins
    y = (np.arange(rows * fine) + 0.5) / (rows * fine) * num_bins
    inside = np.outer((y >= top + 0.5) & (y < bottom + 0.5), (x >= left + 0.5) & (x < right + 0.5))
    return inside.reshape(rows, fine, columns, fine).mean(axis=(1, 3)).ravel()


@pytest.fixture
def scene(make):
    """Two images (2×4 and 3×2 patches) between two texts; boxes: one on the second image, two on the first, one choice."""
    source = make.side(
        segments=[
            (0, -1, 1, 0, 0, 3, -1),
            (0, 0, 0, 0, 3, 8, -1),
            (1, -1, 1, 1, 11, 2, -1),
            (1, 0, 0, 1, 13, 6, -1),
        ],
        streams=[make.images([(2, 4), (3, 2)])],
        num_tokens=19,
    )
    target = make.side(
        segments=[
            (1, 1, 0, 0, 0, 4, 3),
            (0, -1, 0, 1, 4, 1, -1),
            (0, 1, 0, 2, 5, 4, 1),
            (0, 1, 0, 3, 9, 4, 1),
        ],
        num_tokens=13,
    )
    boxes = [(2, 3, 9, 12), (0, 0, 5, 7), (4, 4, 15, 15)]
    ids = [
        *(make.bins + number for number in boxes[0]),
        4,
        *(make.bins + number for box in boxes[1:] for number in box),
    ]
    labels = make.labels(ids, [1] * 13, segments=[0] * 4 + [1] + [2] * 4 + [3] * 4)
    return make.batch([make.slot("IMAGE"), make.slot("BOX")], labels, source=source, target=target), boxes


def test_targets_are_covered_areas_and_boxes_of_one_image_join(make, scene) -> None:
    packed, boxes = scene
    criterion = PatchCover(PatchCoverOptions(), make.context)
    targets = criterion.targets(packed, packed.token_labels)
    first = np.maximum(covered_by_counting(boxes[1], (2, 4), make.num_bins), covered_by_counting(boxes[2], (2, 4), make.num_bins))
    second = covered_by_counting(boxes[0], (3, 2), make.num_bins)
    assert targets.positions.tolist() == [*range(3, 11), *range(13, 19)]
    np.testing.assert_allclose(targets.covered.numpy(), np.concatenate([first, second]), atol=0.02)
    assert criterion.count(packed, packed.token_labels).tolist() == [0, 14]


def test_loss_equals_the_plain_one_and_reaches_head_and_encoder(make, scene) -> None:
    packed, _ = scene
    criterion = PatchCover(PatchCoverOptions(weight=3), make.context)
    inputs = make.inputs(packed, packed.token_labels, scale=[0.0, 0.25])
    terms = criterion(inputs)
    targets = criterion.targets(packed, packed.token_labels)
    states = inputs.memory.states
    logits = criterion.head(states[targets.positions]).squeeze(1)
    plain = F.binary_cross_entropy_with_logits(logits, targets.covered, reduction="sum")
    torch.testing.assert_close(terms.loss, 3 * 0.25 * plain)
    torch.testing.assert_close(terms.sums, torch.tensor([0.0, plain.item()]))
    parameters = (states, *criterion.parameters())
    ours, theirs = (torch.autograd.grad(loss, parameters) for loss in (terms.loss, 3 * 0.25 * plain))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)
    asked = torch.zeros(19, dtype=torch.bool)
    asked[targets.positions] = True
    assert bool((ours[0][~asked] == 0).all())
    assert bool((ours[0][asked] != 0).any(1).all())


def test_the_head_learns_which_patches_are_covered(make, scene) -> None:
    packed, _ = scene
    criterion = PatchCover(PatchCoverOptions(), make.context)
    targets = criterion.targets(packed, packed.token_labels)
    states = torch.randn(19, make.width)
    states[targets.positions, 0] = targets.covered * 4
    optimiser = torch.optim.Adam(criterion.parameters(), lr=0.1)
    losses = []
    for _ in range(150):
        terms = criterion(make.inputs(packed, packed.token_labels, memory=states))
        optimiser.zero_grad()
        terms.loss.backward()
        optimiser.step()
        losses.append(terms.loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_without_boxes_there_is_nothing_to_count_and_the_loss_is_zero(make) -> None:
    labels = make.labels([4], [0])
    target = make.side(segments=[(0, -1, 0, 0, 0, 1, -1)], num_tokens=1)
    packed = make.batch([make.slot("BOX")], labels, target=target)
    criterion = PatchCover(PatchCoverOptions(), make.context)
    assert criterion.count(packed, labels).tolist() == [0]
    terms = criterion(make.inputs(packed, labels))
    terms.loss.backward()
    assert terms.loss.item() == 0


def test_tokens_that_are_no_patches_are_an_error(make) -> None:
    source = make.side(segments=[(0, 0, 0, 0, 0, 2, -1)], streams=[make.images([(2, 4)])], num_tokens=2)
    target = make.side(segments=[(0, 1, 0, 0, 0, 4, 0)], num_tokens=4)
    labels = make.labels([make.bins] * 4, [1] * 4)
    packed = make.batch([make.slot("IMAGE"), make.slot("BOX")], labels, source=source, target=target)
    with pytest.raises(ValueError, match="one token of every patch"):
        PatchCover(PatchCoverOptions(), make.context).count(packed, labels)


def test_float_units_are_an_error(make) -> None:
    nothing, empty = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    labels = FrameLabels(
        adaptor="series", positions=nothing, frames=torch.zeros(0, 3), stop=empty, weights=empty, slots=nothing, segments=nothing
    )
    with pytest.raises(ValueError, match="slots of boxes"):
        PatchCover(PatchCoverOptions(), make.context).count(make.batch([make.slot("SERIES")]), labels)
