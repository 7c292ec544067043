"""A catalog of this package's own plugins with stand-ins for what other packages provide, and a small run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from ofa_instruction import Catalog, SlotPlan, TaskPlan, compile
from ofa_instruction.specs import AdaptorSpec, BackendSpec, CriterionSpec, ModalitySpec, Options, ProcessorSpec
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
    specs,
    train_tokenizer,
)

settings.register_profile("light", max_examples=60, deadline=None)
settings.load_profile("light")

GENERALIST = BackendSpec(name="generalist")


class FramesOptions(Options):
    features: int = 2


class FramesProcessor(BaseProcessor):
    """Float frames, in and out."""

    def __init__(self, slot: SlotPlan, options: FramesOptions, resources: Resources) -> None:
        super().__init__(slot, options, resources)
        self.unit_features = options.features

    def encode(self, value: object, context: EncodeContext) -> Item:
        frames = np.asarray(value, np.float32)
        return Item(units=frames, shape=(len(frames),))

    def decode(self, units: NDArray[Any], context: DecodeContext) -> NDArray[Any]:
        return units


class LocalProcessorSpec(ProcessorSpec):
    def load(self) -> Any:
        return FramesProcessor


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    own = [getattr(specs, name) for name in specs.__all__ if name.isupper()]
    return Catalog.from_specs(
        *own,
        ModalitySpec(name="FRAMES", processor="frames", adaptor="frames", criteria=("frames",), generator="frames"),
        LocalProcessorSpec(name="frames", modalities=("FRAMES",), options=FramesOptions),
        AdaptorSpec(name="text", units="ids"),
        AdaptorSpec(name="image_patch", units="floats"),
        AdaptorSpec(name="video_patch", units="floats"),
        AdaptorSpec(name="frames", units="floats"),
        AdaptorSpec(name="audio_conv", units="floats"),
        AdaptorSpec(name="audio_frames", units="floats"),
        *(CriterionSpec(name=name) for name in ("cross_entropy", "soft_bins", "patch_cover", "frames")),
        GENERALIST,
    )


@dataclass(frozen=True)
class Run:
    tasks: tuple[TaskPlan, ...]
    vocabulary: Vocabulary
    encoder: TaskEncoder
    catalog: Catalog

    def encode(self, task: str, row: Mapping[str, object], **options: Any) -> Any:
        options = {"split": "train", "rng": np.random.default_rng(0), **options}
        return self.encoder.encode(task, row, **options)


@pytest.fixture(scope="session")
def make_run(catalog: Catalog) -> Callable[..., Run]:
    """``make_run({"task": "instruction"}, closed_sets={task: {name: candidates}}, texts=[...], max_row_tokens=...)``."""

    def make(
        instructions: Mapping[str, str],
        closed_sets: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
        texts: tuple[str, ...] = ("the cat sat on the mat", "a dog barks at the cat"),
        **options: Any,
    ) -> Run:
        tasks = tuple(compile(text, catalog, GENERALIST, name=name) for name, text in instructions.items())
        tokenizer = train_tokenizer([*collect_texts(tasks, catalog, {}, closed_sets), *texts], 320)
        vocabulary = Vocabulary(fit_vocabulary(tasks, catalog, closed_sets, tokenizer), tokenizer)
        return Run(tasks, vocabulary, TaskEncoder(tasks, catalog, vocabulary, closed_sets, **options), catalog)

    return make


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (48, 64, 3), dtype=np.uint8)
