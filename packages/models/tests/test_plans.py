"""Plans and specs: sizes, overrides, completion, and no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ofa_instruction.plans import InstructionPlan, PluginChoice, SlotPlan, TaskPlan
from ofa_models.plans import SIZES, GenerationOptions, ModelPlan, resolve_architecture
from ofa_models.specs import IMAGE_PATCH
from pydantic import ValidationError


def slot(index, modality, adaptor, **options):
    return SlotPlan(
        index=index,
        column=f"c{index}",
        side="source",
        modality=modality,
        processor=PluginChoice(name="p", distribution="d"),
        adaptor=PluginChoice(name=adaptor, distribution="ofa-models", options=options),
    )


def task(*slots):
    instruction = InstructionPlan(text="", source=slots, target=())
    return TaskPlan(name="t", backend="generalist", segment_layout="per_slot", instructions=(instruction,))


@pytest.mark.parametrize("module", ["ofa_models", "ofa_models.plans", "ofa_models.specs"])
def test_no_torch_is_loaded(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_size_keeps_every_kernel_usable():
    for architecture in SIZES.values():
        assert architecture.head_width % 8 == 0
        assert architecture.num_heads * architecture.head_width == architecture.width


def test_overrides_and_unknown_names():
    assert resolve_architecture("tiny", dropout=0.1, encoder_layers=5).encoder_layers == 5
    with pytest.raises(ValueError, match=r"unknown model size `tinny`.*did you mean `tiny`"):
        ModelPlan.of_size("tinny")
    with pytest.raises(ValueError, match=r"unknown architecture field `dropuot`.*did you mean `dropout`"):
        ModelPlan.of_size("tiny", dropuot=0.1)
    with pytest.raises(ValidationError):
        resolve_architecture("tiny", head_width=12)


def test_a_plan_survives_json_and_keeps_its_fingerprint():
    plan = ModelPlan.of_size("small", modality_experts=True)
    again = ModelPlan.model_validate_json(plan.model_dump_json())
    assert again == plan
    assert again.fingerprint() == plan.fingerprint()
    assert GenerationOptions.model_validate_json(GenerationOptions(top_p=0.9).model_dump_json()) == GenerationOptions(top_p=0.9)


def test_completion_takes_streams_from_the_tasks():
    partial = ModelPlan.of_size("nano")
    assert not partial.is_complete
    plan = partial.complete(
        vocabulary_size=100,
        tasks=[task(slot(0, "IMAGE", "image_patch"), slot(1, "TEXT", "text"))],
        unit_features={"image_patch": 192},
    )
    assert plan.is_complete
    assert plan.modalities == ("IMAGE", "TEXT")
    assert plan.adaptors["image_patch"].unit_features == 192
    assert plan.adaptors["text"].unit_features is None


def test_one_adaptor_with_two_sorts_of_options_is_an_error():
    two = (slot(0, "IMAGE", "image_patch", octaves=3), slot(1, "IMAGE", "image_patch", octaves=4))
    with pytest.raises(ValueError, match="adaptor `image_patch` is used with other options"):
        ModelPlan.of_size("nano").complete(vocabulary_size=9, tasks=[task(*two)])


def test_a_picture_is_as_many_tokens_as_patches():
    assert IMAGE_PATCH.layout(IMAGE_PATCH.options(), (4, 6)).num_tokens == 24
    with pytest.raises(ValueError, match="rows, columns"):
        IMAGE_PATCH.layout(IMAGE_PATCH.options(), (4,))
