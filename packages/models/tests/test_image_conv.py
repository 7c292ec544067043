"""The convolving adaptor of pictures: each within its own edges, whatever else is in the batch."""

from __future__ import annotations

import pytest
import torch
from ofa_instruction import default_catalog
from ofa_models.adaptors.image_conv import ImageConvAdaptor
from ofa_models.specs import ImageConvOptions
from torch import Tensor

SIDE = 8
WIDTH = 24


@pytest.fixture
def adaptor() -> ImageConvAdaptor:
    torch.manual_seed(0)
    return ImageConvAdaptor(ImageConvOptions(cells=4, channels=8), 3 * SIDE * SIDE, WIDTH).double()


def pictures(*shapes: tuple[int, int]) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    units = torch.randn(sum(rows * columns for rows, columns in shapes), 3 * SIDE * SIDE, dtype=torch.float64)
    return units, torch.tensor(shapes)


def test_pictures_of_any_shapes_together_are_as_each_alone(adaptor: ImageConvAdaptor) -> None:
    shapes = ((2, 3), (1, 1), (3, 2), (2, 3), (1, 4))
    units, table = pictures(*shapes)
    together = adaptor.embed(units, table)
    start = 0
    for rows, columns in shapes:
        alone = adaptor.embed(units[start : start + rows * columns], torch.tensor([[rows, columns]]))
        assert torch.allclose(together[start : start + rows * columns], alone, rtol=0, atol=1e-12)
        start += rows * columns
    assert together.shape == (start, WIDTH)


def test_a_patch_sees_its_neighbours_and_no_other_picture(adaptor: ImageConvAdaptor) -> None:
    units, table = pictures((1, 2), (1, 2))
    units.requires_grad_()
    adaptor.embed(units, table)[0].sum().backward()
    assert units.grad is not None
    assert units.grad[1].abs().max() > 0
    assert units.grad[2:].abs().max() == 0


def test_where_things_are_in_a_patch_makes_a_difference(adaptor: ImageConvAdaptor) -> None:
    picture = torch.zeros(SIDE, SIDE, 3, dtype=torch.float64)
    picture[:2, :2] = 1
    one, other = (adaptor.embed(view.reshape(1, -1), torch.tensor([[1, 1]])) for view in (picture, picture.flip(1)))
    assert not torch.allclose(one, other, atol=1e-4)


def test_no_picture_is_no_token(adaptor: ImageConvAdaptor) -> None:
    assert adaptor.embed(torch.zeros(0, 3 * SIDE * SIDE, dtype=torch.float64), torch.zeros(0, 2, dtype=torch.int64)).shape == (
        0,
        WIDTH,
    )


def test_every_parameter_gets_a_gradient(adaptor: ImageConvAdaptor) -> None:
    units, table = pictures((2, 2))
    (adaptor.embed(units, table).square().sum() + adaptor.memory_place(table).square().sum()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in adaptor.parameters())


@pytest.mark.parametrize("features", [3 * 6 * 6, 3 * 2 * 2, 100, None])
def test_a_patch_that_does_not_halve_to_cells_is_refused(features: int | None) -> None:
    with pytest.raises(ValueError, match=r"image_conv|ImageConvAdaptor"):
        ImageConvAdaptor(ImageConvOptions(cells=4), features, WIDTH)


def test_it_is_chosen_by_name() -> None:
    spec = default_catalog().adaptor("image_conv").spec
    assert spec.load() is ImageConvAdaptor
    assert spec.layout(spec.options(), (3, 4)).num_tokens == 12
