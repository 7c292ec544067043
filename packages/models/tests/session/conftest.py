"""A checkpoint with random weights over tasks of every shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from ofa_instruction import Catalog, SlotPlan, compile, default_catalog
from ofa_instruction.specs import AdaptorSpec, CriterionSpec, ModalitySpec, Options, ProcessorSpec
from ofa_modalities import (
    BaseProcessor,
    DecodeContext,
    EncodeContext,
    Item,
    Resources,
    TaskEncoder,
    Vocabulary,
    collect_texts,
    fit_vocabulary,
    train_tokenizer,
)
from ofa_modalities.closed_set import closed_set_plan
from ofa_models import Checkpoint, InferPlan, ModelPlan, Session, build_model
from ofa_models.adaptors.base import FrameAdaptor

INSTRUCTIONS = {
    "caption": "[IMAGE:img] what does the image describe? -> [TEXT:cap,max_length=8]",
    "vqa": "[IMAGE:img] [TEXT:question] -> [TEXT:answer,closed_set]",
    "classify": "[IMAGE:img] which class? -> [CATEGORY:label]",
    "ground": "[IMAGE:img] where is [TEXT:what] ? -> [BOX:region]",
    "describe": "[IMAGE:img] what is where? -> seen: ([BOX:place] [TEXT:name,max_length=4])* in all [TEXT:sum,max_length=4]",
    "infill": "[TEXT:sentence,mask_ratio=0.4] -> [TEXT:sentence,max_length=8]",
    "tell": "[TEXT:name] -> [FRAMES:curve] then [TEXT:story,max_length=5]",
    "prompted": "[TEXT:question] -> answer [TEXT:hint,no_loss] with [TEXT:reply,max_length=6]",
    "boxed": "[IMAGE:img] -> ([BOX:place,no_loss] [TEXT:name,max_length=4])*",
    "story": "-> [TEXT:story,max_length=5]",
}
CLOSED_SETS = {
    "vqa": {"answer": ("yes", "no", "two", "two cats", "a red cat", "a red dog", "blue")},
    "classify": {"label": ("cat", "dog", "bird")},
}


class FramesProcessor(BaseProcessor):
    """Three numbers a frame."""

    unit_features = 3

    def __init__(self, slot: SlotPlan, options: Options, resources: Resources) -> None:
        super().__init__(slot, options, resources)

    def encode(self, value: object, context: EncodeContext) -> Item:
        frames = np.asarray(value, np.float32)
        return Item(units=frames, shape=(len(frames),))

    def decode(self, units: NDArray[Any], context: DecodeContext) -> NDArray[Any]:
        return units


class LocalProcessorSpec(ProcessorSpec):
    def load(self) -> Any:
        return FramesProcessor


class LocalAdaptorSpec(AdaptorSpec):
    def load(self) -> Any:
        return FrameAdaptor


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return default_catalog().with_specs(
        ModalitySpec(name="FRAMES", processor="frames3", adaptor="frames3", criteria=("frames3",), generator="frames"),
        LocalProcessorSpec(name="frames3", modalities=("FRAMES",)),
        LocalAdaptorSpec(name="frames3", units="floats"),
        CriterionSpec(name="frames3"),
    )


def make_checkpoint(catalog: Catalog, instructions: Mapping[str, str], closed_sets: Any, seed: int = 0) -> Checkpoint:
    profile = catalog.backend("generalist").spec
    tasks = []
    for name, text in instructions.items():
        task = compile(text, catalog, profile, name=name, with_criteria=False)
        plans = tuple(closed_set_plan(key, values) for key, values in closed_sets.get(name, {}).items())
        tasks.append(task.model_copy(update={"closed_sets": plans}))
    texts = [*collect_texts(tasks, catalog, {}, closed_sets), "the cat sat on a mat", "a red dog barks at two blue birds"]
    tokenizer = train_tokenizer(texts, 330)
    vocabulary = Vocabulary(fit_vocabulary(tasks, catalog, closed_sets, tokenizer), tokenizer)
    encoder = TaskEncoder(tasks, catalog, vocabulary, closed_sets)
    features = {name: need.unit_features for name, need in encoder.streams.items()}
    plan = ModelPlan.of_size("nano").complete(vocabulary_size=vocabulary.plan.size, tasks=tasks, unit_features=features)
    model = build_model(plan, catalog, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.1
    infer = InferPlan(model=plan, tasks=tuple(tasks), vocabulary=vocabulary.plan)
    return Checkpoint(plan=infer, model=model.double().eval(), vocabulary=vocabulary, closed_sets=closed_sets)


@pytest.fixture(scope="session")
def checkpoint(catalog: Catalog) -> Checkpoint:
    return make_checkpoint(catalog, INSTRUCTIONS, CLOSED_SETS)


@pytest.fixture(scope="session")
def make_session(catalog: Catalog) -> Callable[..., Session]:
    """``make_session(instructions, closed_sets)``: both by task."""
    return lambda instructions, sets: Session(make_checkpoint(catalog, instructions, sets), catalog=catalog)


@pytest.fixture(scope="session")
def session(checkpoint: Checkpoint, catalog: Catalog) -> Session:
    return Session(checkpoint, catalog=catalog)


@pytest.fixture(scope="session")
def instructions() -> dict[str, str]:
    return dict(INSTRUCTIONS)


@pytest.fixture(scope="session")
def pictures() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in [(32, 48), (48, 32), (64, 64), (32, 32)]
    ]
