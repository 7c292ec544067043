"""A small catalog of specs, enough to compile the instructions of the tests."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import HealthCheck, settings
from ofa_instruction import (
    AdaptorSpec,
    BackendSpec,
    Catalog,
    CriterionSpec,
    ModalitySpec,
    Options,
    PluginSpec,
    ProcessorSpec,
)
from pydantic import AliasChoices, Field

settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


class TextOptions(Options):
    max_length: int = Field(default=512, ge=1)
    noise_ratio: float = Field(default=0.0, ge=0, le=1)
    mask_ratio: float = Field(default=0.0, ge=0, le=1)
    uncased: bool = False
    no_punctuation: bool = Field(default=False, validation_alias=AliasChoices("strip_punctuation"))


class ImageOptions(Options):
    mask_ratio: float = Field(default=0.0, ge=0, le=1)
    resize: Literal["fit", "square"] = "fit"


class CodeOptions(Options):
    length: int = Field(default=1024, ge=1)


class EmbedOptions(Options):
    dropout: float = Field(default=0.0, ge=0, lt=1)


class CrossEntropyOptions(Options):
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    weight: float = Field(default=1.0, ge=0)


class SeriesOptions(Options):
    width: int = Field(default=4, ge=1)


def text_like(name: str, processor: str, **extra: object) -> ModalitySpec:
    return ModalitySpec.model_validate(
        {"name": name, "processor": processor, "adaptor": "text", "criteria": ("cross_entropy",), **extra}
    )


SPECS: tuple[PluginSpec, ...] = (
    text_like("TEXT", "text"),
    text_like("BOX", "box", refers_to=("IMAGE",)),
    text_like("PHONE", "phone"),
    text_like("STRUCT", "table"),
    text_like("CATEGORY", "category", always_closed=True),
    ModalitySpec(name="IMAGE", processor="image", adaptor="image_patches", criteria=("cross_entropy",)),
    ModalitySpec(name="VIDEO", processor="video", adaptor="image_patches"),
    ModalitySpec(name="AUDIO", processor="audio", adaptor="frames", criteria=("regression",), generator="frames"),
    ModalitySpec(name="MOTION", processor="motion_6d", adaptor="frames", criteria=("regression",), generator="diffusion"),
    ModalitySpec(name="SERIES", processor="series", adaptor="frames", criteria=("regression",), generator="frames"),
    ProcessorSpec(name="text", modalities=("TEXT",), options=TextOptions),
    ProcessorSpec(name="text_phone", modalities=("TEXT",), options=TextOptions),
    ProcessorSpec(name="box", modalities=("BOX",)),
    ProcessorSpec(name="phone", modalities=("PHONE",)),
    ProcessorSpec(name="table", modalities=("STRUCT",), options=TextOptions),
    ProcessorSpec(name="category", modalities=("CATEGORY", "TEXT")),
    ProcessorSpec(name="image", modalities=("IMAGE",), options=ImageOptions, aliases=("imagenet",)),
    ProcessorSpec(name="image_vqgan", modalities=("IMAGE",), options=CodeOptions),
    ProcessorSpec(name="video", modalities=("VIDEO",)),
    ProcessorSpec(name="audio", modalities=("AUDIO",)),
    ProcessorSpec(name="motion_6d", modalities=("MOTION",)),
    ProcessorSpec(name="series", modalities=("SERIES",), options=SeriesOptions),
    AdaptorSpec(name="text", units="ids", options=EmbedOptions),
    AdaptorSpec(name="image_vqgan", units="ids"),
    AdaptorSpec(name="image_patches", units="floats"),
    AdaptorSpec(name="image_resnet", units="floats"),
    AdaptorSpec(name="frames", units="floats", aliases=("motion_6d", "audio_tgt_fbank")),
    CriterionSpec(name="cross_entropy", options=CrossEntropyOptions, aliases=("ce",)),
    CriterionSpec(name="regression"),
)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """All of ``SPECS``, from one distribution."""
    return Catalog.from_specs(*SPECS, distribution="test-plugins")


@pytest.fixture(scope="session")
def profile() -> BackendSpec:
    """A backend that leaves every modality its own adaptor."""
    return BackendSpec(name="generalist")


@pytest.fixture(scope="session")
def ofa_profile() -> BackendSpec:
    """A backend with another layout and another adaptor for images."""
    return BackendSpec(name="ofa", segment_layout="ofa_groups", adaptors={"IMAGE": "image_resnet"})
