"""A modality may be answered by other parts than it is read by, and may belong to another slot without having to."""

from __future__ import annotations

import pytest
from ofa_instruction import (
    AdaptorSpec,
    BackendSpec,
    Catalog,
    CriterionSpec,
    InstructionError,
    ModalitySpec,
    ProcessorSpec,
    compile,
)

PICTURE = ModalitySpec(
    name="IMAGE",
    processor="pixels",
    adaptor="patches",
    target_processor="codes",
    target_adaptor="ids",
    criteria=("cross_entropy",),
)
MOTION = ModalitySpec(
    name="MOTION",
    processor="motion",
    adaptor="patches",
    target_adaptor="noisy",
    generator="diffusion",
    criteria=("cross_entropy",),
    refers_to=("MOTION",),
    refers_optionally=True,
)
CATALOG = Catalog.from_specs(
    PICTURE,
    MOTION,
    ProcessorSpec(name="pixels", modalities=("IMAGE",)),
    ProcessorSpec(name="codes", modalities=("IMAGE",)),
    ProcessorSpec(name="motion", modalities=("MOTION",)),
    AdaptorSpec(name="patches", units="floats"),
    AdaptorSpec(name="noisy", units="floats"),
    AdaptorSpec(name="ids", units="ids"),
    AdaptorSpec(name="other", units="ids"),
    CriterionSpec(name="cross_entropy"),
)
PROFILE = BackendSpec(name="generalist")


def test_each_side_has_its_own_processor_and_adaptor() -> None:
    read, answered = compile("[IMAGE:a] -> [IMAGE:b]", CATALOG, PROFILE).instructions[0].slots
    assert (read.processor.name, read.adaptor.name) == ("pixels", "patches")
    assert (answered.processor.name, answered.adaptor.name) == ("codes", "ids")


def test_an_attribute_goes_before_either_default() -> None:
    slots = compile("[IMAGE:a] -> [IMAGE:b,processor=codes,adaptor=other]", CATALOG, PROFILE).instructions[0].slots
    assert slots[1].adaptor.name == "other"


def test_a_profile_says_the_adaptor_of_each_side() -> None:
    profile = BackendSpec(name="x", adaptors={"IMAGE": "noisy"}, target_adaptors={"IMAGE": "other"})
    read, answered = compile("[IMAGE:a] -> [IMAGE:b]", CATALOG, profile).instructions[0].slots
    assert (read.adaptor.name, answered.adaptor.name) == ("noisy", "other")


def test_a_profile_of_the_source_side_leaves_a_modality_with_a_target_adaptor_alone() -> None:
    profile = BackendSpec(name="x", adaptors={"IMAGE": "noisy"})
    assert compile("[IMAGE:a] -> [IMAGE:b]", CATALOG, profile).instructions[0].slots[1].adaptor.name == "ids"


def test_an_optional_reference_is_of_an_answer_to_what_is_read() -> None:
    known, answer = compile("[MOTION:m] -> [MOTION:m]", CATALOG, PROFILE).instructions[0].slots
    assert known.refers_to is None
    assert answer.refers_to == 0


def test_without_anything_to_refer_to_it_stands_alone() -> None:
    slots = compile("[IMAGE:a] -> [MOTION:m]", CATALOG, PROFILE).instructions[0].slots
    assert slots[1].refers_to is None


def test_a_reference_that_is_named_must_be_there() -> None:
    with pytest.raises(InstructionError, match="no MOTION slot is named `x`"):
        compile("[MOTION:m] -> [MOTION:n,of=x]", CATALOG, PROFILE)


def test_a_diffusion_answer_takes_its_length_and_guidance_as_attributes() -> None:
    plan = compile("[IMAGE:a] -> [MOTION:m,length=40,guidance=2.5,num_steps=20]", CATALOG, PROFILE)
    generator = plan.instructions[0].slots[1].generator
    assert generator is not None
    assert generator.model_dump() == {
        "kind": "diffusion",
        "num_steps": 20,
        "length": 40,
        "guidance": 2.5,
        "condition_dropout": 0.1,
    }
