"""Packed batches built by hand, and small models to run them through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from ofa_instruction import Catalog
from ofa_instruction.plans import PluginChoice, SlotPlan
from ofa_modalities.batch import BatchSlot, PackedBatch, SegmentColumn, Side, Stream, TokenLabels
from ofa_models.generalist.model import Generalist
from ofa_models.plans import ModelPlan, StreamPlan
from ofa_models.specs import GENERALIST, IMAGE_PATCH, TEXT
from ofa_models.zoo import build_model
from torch import Tensor

VOCABULARY, FEATURES = 50, 12


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Text:
    """Ids on one line."""

    ids: tuple[int, ...]


@dataclass(frozen=True)
class Picture:
    """A grid of random patches."""

    rows: int
    columns: int
    seed: int = 0

    def patches(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.rand(self.rows * self.columns, FEATURES, generator=generator)


@dataclass(frozen=True)
class Row:
    """Source segments in order, and the target's ids."""

    source: tuple[Text | Picture, ...]
    target: tuple[int, ...]


def _slot(index: int, modality: str) -> BatchSlot:
    choice = PluginChoice(name="any", distribution="none")
    slot = SlotPlan(index=index, column=f"c{index}", side="source", modality=modality, processor=choice, adaptor=choice)
    return BatchSlot(task="t", slot=slot)


SLOTS = (_slot(0, "TEXT"), _slot(1, "IMAGE"))


def _side(sequences: Sequence[Sequence[Text | Picture]], causal: bool) -> Side:
    text_ids: list[int] = []
    text_at: list[int] = []
    text_shapes: list[list[int]] = []
    patches: list[Tensor] = []
    patches_at: list[int] = []
    patch_shapes: list[list[int]] = []
    coordinates: list[Tensor] = []
    segments: list[list[int]] = []
    at = 0
    for number, sequence in enumerate(sequences):
        start = 0
        for part in sequence:
            if isinstance(part, Text):
                n = len(part.ids)
                place = (torch.arange(n) + start)[:, None].expand(n, 3)
                segments.append([number, 0, 0, len(text_shapes), at, n, -1])
                text_ids += part.ids
                text_at += range(at, at + n)
                text_shapes.append([n])
            else:
                n = part.rows * part.columns
                grid = torch.arange(n)
                place = torch.stack([grid * 0, grid // part.columns, grid % part.columns], 1) + start
                segments.append([number, 1, 1, len(patch_shapes), at, n, -1])
                patches.append(part.patches())
                patches_at += range(at, at + n)
                patch_shapes.append([part.rows, part.columns])
            coordinates.append(place)
            at += n
            start = int(place.max()) + 1 if n else start
    none = torch.zeros(0, dtype=torch.int64)
    streams = (
        Stream(
            adaptor="text",
            units=torch.tensor(text_ids, dtype=torch.int64),
            shapes=torch.tensor(text_shapes, dtype=torch.int64).view(-1, 1),
            token_positions=torch.tensor(text_at, dtype=torch.int64),
            begin_positions=none,
        ),
        Stream(
            adaptor="image_patch",
            units=torch.cat([torch.zeros(0, FEATURES), *patches]),
            shapes=torch.tensor(patch_shapes, dtype=torch.int64).view(-1, 2),
            token_positions=torch.tensor(patches_at, dtype=torch.int64),
            begin_positions=none,
        ),
    )
    owner = [segment[SegmentColumn.SEQUENCE] for segment in segments]
    sizes = [segment[SegmentColumn.NUM_TOKENS] for segment in segments]
    lengths = torch.zeros(len(sequences), dtype=torch.int64)
    lengths.index_add_(0, torch.tensor(owner, dtype=torch.int64), torch.tensor(sizes, dtype=torch.int64))
    return Side(
        lengths=lengths,
        causal=torch.full((len(sequences),), causal),
        coordinates=torch.cat([torch.zeros(0, 3, dtype=torch.int64), *coordinates]),
        streams=streams if any(patch_shapes) else streams[:1],
        segments=torch.tensor(segments, dtype=torch.int64).view(-1, len(SegmentColumn)),
    )


def pack_rows(rows: Sequence[Row]) -> PackedBatch:
    """A batch of these rows, every target position labelled with its own input."""
    target = _side([(Text(row.target),) if row.target else () for row in rows], causal=True)
    ids = target.streams[0].units
    zeros = torch.zeros_like(ids)
    labels = TokenLabels(
        positions=torch.arange(len(ids)), ids=ids, weights=torch.ones(len(ids)), slots=zeros, segments=zeros, nodes=zeros - 1
    )
    return PackedBatch(
        task_names=("t",),
        slots=SLOTS,
        tasks=torch.zeros(len(rows), dtype=torch.int64),
        addresses=("",) * len(rows),
        source=_side([row.source for row in rows], causal=False),
        target=target,
        token_labels=labels,
        frame_labels=(),
    )


def make_model(dtype: torch.dtype = torch.float64, *, size: str = "nano", seed: int = 0, **changes: object) -> Generalist:
    """A small model whose output matrices are not zero, so that every part shows."""
    plan = complete_plan(size, **changes)
    model = build_model(plan, Catalog.from_specs(TEXT, IMAGE_PATCH, GENERALIST, distribution="ofa-models"), seed=seed)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.1
    assert isinstance(model, Generalist)
    return model.to(dtype)


def complete_plan(size: str = "nano", **changes: object) -> ModelPlan:
    """A plan with a text and an image stream."""
    options = IMAGE_PATCH.options().model_dump(mode="json")
    picture = PluginChoice(name="image_patch", distribution="ofa-models", options=options)
    adaptors = {
        "text": StreamPlan(adaptor=PluginChoice(name="text", distribution="ofa-models")),
        "image_patch": StreamPlan(adaptor=picture, unit_features=FEATURES),
    }
    filled = {"vocabulary_size": VOCABULARY, "adaptors": adaptors, "modalities": ("IMAGE", "TEXT")}
    return ModelPlan.of_size(size, **changes).model_copy(update=filled)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    """Rows of every sort: pictures of any shape, two pictures, text alone, no source, no target."""
    return [
        Row((Picture(2, 3), Text((5, 6, 7))), (1, 2, 3, 4)),
        Row((Text((8, 9)),), (3,)),
        Row((), (4, 5, 6)),
        Row((Text((5, 6)), Picture(3, 3, 1), Text((9,)), Picture(2, 2, 2)), (1, 9, 8, 7, 6, 5)),
        Row((Text(tuple(range(10, 30))),), ()),
        Row((), ()),
        Row((Picture(1, 4, 3),), (2, 2, 2)),
        Row((Text((40, 41, 42, 43)),), (7, 8)),
    ]


@pytest.fixture(scope="session")
def pack() -> Callable[[Sequence[Row]], PackedBatch]:
    """:func:`pack_rows`."""
    return pack_rows


@pytest.fixture(scope="session")
def build() -> Callable[..., Generalist]:
    """:func:`make_model`."""
    return make_model


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., ModelPlan]:
    """:func:`complete_plan`."""
    return complete_plan
