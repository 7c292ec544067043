"""The convolutional picture adaptor: one token a patch, nothing across pictures, patches of 2ⁿ times its cells."""

from __future__ import annotations

import pytest
import torch
from ofa_models.adaptors.image_conv import ImageConvAdaptor
from ofa_models.specs import IMAGE_CONV, ImageConvOptions
from torch import Tensor

SIDE, WIDTH = 8, 16
SHAPES = torch.tensor([[2, 3], [1, 1], [3, 2], [2, 3], [1, 4]])


def adaptor(dtype: torch.dtype = torch.float64, **options: int | bool) -> ImageConvAdaptor:
    torch.manual_seed(0)
    return ImageConvAdaptor(ImageConvOptions(**{"channels": 4, **options}), 3 * SIDE * SIDE, WIDTH).to(dtype)


def patches(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(int(SHAPES.prod(1).sum()), 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(1)).to(dtype) * 2 - 1


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
@pytest.mark.parametrize("cells", [1, 4, 8])
def test_items_of_any_shapes_together_equal_one_at_a_time(dtype: torch.dtype, tolerance: float, cells: int) -> None:
    model, units = adaptor(dtype, cells=cells), patches(dtype)
    together = model.embed(units, SHAPES)
    parts = units.split(SHAPES.prod(1).tolist())
    apart = torch.cat([model.embed(part, SHAPES[item : item + 1]) for item, part in enumerate(parts)])
    assert together.shape == (len(units), WIDTH)
    assert (together - apart).abs().max() <= tolerance * apart.abs().max()


@torch.no_grad()
def test_a_patch_changes_tokens_of_its_own_picture_only() -> None:
    model, units = adaptor(), patches()
    changed = units.clone()
    changed[1] = -changed[1]
    moved = (model.embed(changed, SHAPES) - model.embed(units, SHAPES)).abs().amax(1) > 1e-9
    assert moved[1]
    assert moved[:6].sum() > 1  # its neighbours in the picture see it
    assert not moved[6:].any()


@torch.no_grad()
def test_patches_are_put_together_as_the_picture_they_were_cut_from() -> None:
    """Without halving or mixing, a token reads the pixels of its own patch: so it does in any grid."""
    model, units = adaptor(cells=SIDE), patches()
    model.place.weight.zero_()
    alone = model.embed(units[:6], torch.tensor([[1, 1]] * 6))
    torch.testing.assert_close(model.embed(units[:6], torch.tensor([[2, 3]])), alone, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_the_same_patch_at_two_places_has_two_tokens_and_two_memory_places() -> None:
    model, shape = adaptor(), torch.tensor([[2, 2]])
    tokens = model.embed(torch.ones(4, 3 * SIDE * SIDE, dtype=torch.float64), shape)
    assert torch.pdist(tokens).min() > 1e-3
    place = model.memory_place(shape)
    assert place is not None
    assert torch.pdist(place).min() > 1e-3
    assert adaptor(memory_place=False).memory_place(shape) is None


def test_gradients_reach_every_weight() -> None:
    model = adaptor(torch.float32)
    model.embed(patches(torch.float32), SHAPES).square().sum().backward()
    for name, parameter in model.named_parameters():
        if name != "place_on_memory.weight":
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_no_pictures_are_no_tokens() -> None:
    model = adaptor()
    none = model.embed(torch.zeros(0, 3 * SIDE * SIDE, dtype=torch.float64), torch.zeros(0, 2, dtype=torch.int64))
    assert none.shape == (0, WIDTH)


@pytest.mark.parametrize("features", [None, 3 * 6 * 6, 3 * 12 * 12, 3 * 2 * 2, 100])
def test_a_patch_that_does_not_halve_to_its_cells_is_an_error(features: int | None) -> None:
    with pytest.raises(ValueError, match=r"halves a patch until it is 4 cells wide|needs the width of its units"):
        ImageConvAdaptor(ImageConvOptions(), features, WIDTH)


def test_the_spec_names_it_and_says_how_many_tokens_an_item_becomes() -> None:
    assert IMAGE_CONV.load() is ImageConvAdaptor
    assert IMAGE_CONV.layout(ImageConvOptions(), (2, 3)).num_tokens == 6
    with pytest.raises(ValueError, match="image_conv"):
        IMAGE_CONV.layout(ImageConvOptions(), (6,))
