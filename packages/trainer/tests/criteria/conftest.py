"""Small packed batches and a model without layers, as the fixture ``make``."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from ofa_instruction.plans import PluginChoice, SlotPlan
from ofa_modalities.batch import BatchSlot, FrameLabels, PackedBatch, Side, Stream, TokenLabels
from ofa_modalities.prefix_tree import PrefixTree
from ofa_modalities.vocabulary import BlockPlan, VocabularyPlan
from ofa_models.backend import FrameOutput, Memory
from ofa_trainer.criterion import CriterionContext, LossInputs
from torch import Tensor

WIDTH = 6
CONTROLS = ("pad", "unk", "mask", "end", "next", "choose", "begin:BOX", "begin:TEXT")
TEXT_START, NUM_TEXT = len(CONTROLS), 20
BIN_START, NUM_BINS = TEXT_START + NUM_TEXT, 16
CONTEXT = CriterionContext(
    width=WIDTH,
    vocabulary=VocabularyPlan(
        controls=CONTROLS,
        blocks=(
            BlockPlan(name="control", start=0, size=TEXT_START),
            BlockPlan(name="text", start=TEXT_START, size=NUM_TEXT),
            BlockPlan(name="bin", start=BIN_START, size=NUM_BINS),
        ),
        tokenizer_digest="0" * 64,
    ),
)


@dataclass
class BareModel:
    """Only the heads of a model."""

    weight: Tensor = field(default_factory=lambda: torch.randn(CONTEXT.vocabulary.size, WIDTH))
    refines: bool = False

    def token_weight(self) -> Tensor:
        return self.weight

    def read_frames(self, adaptor: str, hidden: Tensor) -> FrameOutput:
        return FrameOutput(frames=hidden[:, :3] * 2, stop_logits=hidden[:, 3])

    def refine_frames(self, adaptor: str, frames: Tensor, counts: Tensor) -> Tensor | None:
        """None, but where a test says otherwise: frames shifted by the number of their item."""
        if not self.refines:
            return None
        return frames + torch.arange(len(counts)).repeat_interleave(counts)[:, None]


def slot(modality: str, tree: PrefixTree | None = None) -> BatchSlot:
    plugin = PluginChoice(name="text", distribution="ofa-modalities")
    plan = SlotPlan(index=0, column="c", side="target", modality=modality, processor=plugin, adaptor=plugin)
    return BatchSlot(task="t", slot=plan, tree=tree)


def token_labels(ids, slots, *, segments=None, nodes=None, weights=None) -> TokenLabels:
    count = len(ids)
    return TokenLabels(
        positions=torch.arange(count),
        ids=torch.tensor(ids, dtype=torch.int64),
        weights=torch.tensor(weights if weights is not None else [1.0] * count),
        slots=torch.tensor(slots, dtype=torch.int64),
        segments=torch.tensor(segments if segments is not None else [0] * count, dtype=torch.int64),
        nodes=torch.tensor(nodes if nodes is not None else [-1] * count, dtype=torch.int64),
    )


def side(segments=(), streams=(), num_tokens=0) -> Side:
    return Side(
        lengths=torch.tensor([num_tokens]),
        causal=torch.tensor([False]),
        coordinates=torch.zeros(num_tokens, 3, dtype=torch.int64),
        streams=tuple(streams),
        segments=torch.tensor(segments, dtype=torch.int64).reshape(-1, 7),
    )


def image_stream(shapes) -> Stream:
    count = sum(rows * columns for rows, columns in shapes)
    return Stream(
        adaptor="image_patch",
        units=torch.zeros(count, 3),
        shapes=torch.tensor(shapes, dtype=torch.int64).reshape(-1, 2),
        token_positions=torch.arange(count),
        begin_positions=torch.zeros(0, dtype=torch.int64),
    )


def batch(slots, labels: TokenLabels | None = None, *, source: Side | None = None, target: Side | None = None) -> PackedBatch:
    return PackedBatch(
        task_names=("t",),
        slots=tuple(slots),
        tasks=torch.zeros(1, dtype=torch.int64),
        addresses=("x:row 0",),
        source=source or side(),
        target=target or side(),
        token_labels=labels or token_labels([], []),
        frame_labels=(),
    )


def inputs(packed: PackedBatch, labels: TokenLabels | FrameLabels, *, scale=None, memory=None, model=None) -> LossInputs:
    hidden = torch.randn(len(labels.positions), WIDTH).requires_grad_()
    states = memory if memory is not None else torch.randn(packed.source.num_tokens, WIDTH).requires_grad_()
    return LossInputs(
        model=model or BareModel(),  # type: ignore[arg-type]
        batch=packed,
        memory=Memory(states=states, lengths=packed.source.lengths),
        hidden=hidden,
        labels=labels,
        scale=torch.tensor(scale if scale is not None else [1.0] * len(packed.slots)),
    )


@pytest.fixture
def make() -> SimpleNamespace:
    torch.manual_seed(0)
    return SimpleNamespace(
        width=WIDTH,
        text=TEXT_START,
        bins=BIN_START,
        num_bins=NUM_BINS,
        context=CONTEXT,
        model=BareModel,
        slot=slot,
        labels=token_labels,
        side=side,
        images=image_stream,
        batch=batch,
        inputs=inputs,
    )
