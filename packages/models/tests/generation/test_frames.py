"""Frames are fed back with no more of their item than the adaptor looks back on, and come out the same."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
import torch
from ofa_models.adaptors import base
from ofa_models.adaptors.base import FrameAdaptor, frames_looked_back
from ofa_models.generation import Controls, RowAnswer, generate
from ofa_models.generation.steps import FrameStep
from ofa_models.plans import GenerationOptions
from torch import Tensor

STEPS = (FrameStep(slot=0, adaptor="series", max_frames=6, stop_threshold=0.95),)


class Smooth(FrameAdaptor):
    """A frame with half of the one before and a quarter of the one before that."""

    looks_back = 2

    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        padded = torch.cat([units.new_zeros(2, units.shape[1]), units])
        return self.project_in(units + padded[1:-1] / 2 + padded[:-2] / 4)


class Summed(FrameAdaptor):
    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        return self.project_in(units.cumsum(0))


class Named(Smooth):
    """Says nothing new."""


class Other(Smooth):
    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        return super().embed(units, shapes)


class Placed(FrameAdaptor):
    looks_back = 1


def test_a_class_says_how_far_its_own_embedding_looks_back() -> None:
    found = [frames_looked_back(adaptor) for adaptor in (FrameAdaptor, Smooth, Summed, Named, Other, Placed)]
    assert found == [0, 2, None, 2, None, 1]
    assert doctest.testmod(base).failed == 0


def answers(make_backend: Any, make_memory: Any, adaptor: FrameAdaptor, *, shown: bool) -> tuple[list[RowAnswer], list[int]]:
    """Answers of three rows, and how many frames each call embedded."""
    sizes: list[int] = []

    class Backend(make_backend):  # type: ignore[misc]
        def embed_frames(self, name: str, units: Tensor, noise: Tensor | None = None) -> Tensor:
            sizes.append(len(units))
            return adaptor.embed(units.double(), torch.tensor([[len(units)]]))

        def frames_looked_back(self, name: str) -> int | None:
            return frames_looked_back(type(adaptor)) if shown else None

    backend, memory = Backend(seed=3), make_memory([2, 4, 3])
    backend.stop *= 0.01
    controls = Controls(end=3, next=4, choose=5)
    found = generate(backend, memory, STEPS, controls=controls, options=GenerationOptions(), forced=[{}] * 3, row_keys=[0, 1, 2])
    return found, sizes


@pytest.mark.parametrize(("kind", "sizes"), [(FrameAdaptor, [3] * 5), (Smooth, [1] * 3 + [2] * 3 + [3] * 9), (Summed, None)])
def test_no_more_is_embedded_than_is_looked_at(make_backend: Any, make_memory: Any, kind: Any, sizes: list[int] | None) -> None:
    torch.manual_seed(0)
    adaptor = kind(None, 3, 16).double()
    expected, whole = answers(make_backend, make_memory, adaptor, shown=False)
    assert whole == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3 + [5] * 3, "no row stopped by itself"
    found, embedded = answers(make_backend, make_memory, adaptor, shown=True)
    assert embedded == (whole if sizes is None else sizes)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.slots[0, ()][0].units, other.slots[0, ()][0].units, rtol=1e-5, atol=1e-6)
        assert one.log_probability == pytest.approx(other.log_probability)
