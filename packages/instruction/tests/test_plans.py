"""Plans are data: frozen, strict, with a JSON form and a fingerprint that does not move."""

import json

import pytest
from ofa_instruction import BackendSpec, Catalog, InstructionPlan, RepeatPlan, TaskPlan, TextPlan, compile
from pydantic import ValidationError

TEXT = "[IMAGE:i] [IMAGE:j|TEXT:u] -> so ([BOX:b,of=i] ([TEXT:t])*)* [TEXT:a,closed_set,max_length=7] [SERIES:s]"
FINGERPRINT = "ed84554e72f08a325e98e3d89d6a8691000f8c9aec9ac2e8b6f13aaa40a685c1"


@pytest.fixture(scope="module")
def plan(catalog: Catalog, profile: BackendSpec) -> TaskPlan:
    return compile(TEXT, catalog, profile, name="everything")


def test_json_round_trip(plan: TaskPlan) -> None:
    again = TaskPlan.model_validate_json(plan.model_dump_json())
    assert again == plan
    assert again.fingerprint() == plan.fingerprint()
    assert TaskPlan.model_validate(json.loads(plan.model_dump_json())) == plan


def test_the_fingerprint_does_not_move(plan: TaskPlan) -> None:
    """It names files and checkpoints: a change of it needs a new ``schema_version``."""
    assert plan.fingerprint() == FINGERPRINT


def test_the_fingerprint_sees_every_option(plan: TaskPlan, catalog: Catalog, profile: BackendSpec) -> None:
    other = compile(TEXT.replace("max_length=7", "max_length=8"), catalog, profile, name="everything")
    assert other.fingerprint() != plan.fingerprint()


def test_the_json_schema_names_every_plan() -> None:
    schema = TaskPlan.model_json_schema()
    assert {"InstructionPlan", "SlotPlan", "RepeatPlan", "ContrastPlan", "TextPlan", "PluginChoice"} <= set(schema["$defs"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("change", [{"unknown": 1}, {"schema_version": 2}, {"instructions": []}, {"segment_layout": "other"}])
def test_what_a_plan_does_not_know_is_refused(plan: TaskPlan, change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TaskPlan.model_validate(plan.model_dump(mode="json") | change)


def test_plans_are_frozen(plan: TaskPlan) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        plan.name = "other"  # type: ignore[misc]


def test_slots_are_walked_in_reading_order(plan: TaskPlan) -> None:
    slots = plan.instructions[0].slots
    assert [slot.column for slot in slots] == ["i", "j", "u", "b", "t", "a", "s"]
    assert [slot.index for slot in slots] == list(range(7))
    repeat = RepeatPlan(side="target", body=(slots[3], RepeatPlan(side="target", body=(slots[4],))))
    words = TextPlan(text="x", side="source")
    assert InstructionPlan.model_construct(text="", source=(words,), target=(repeat,)).slots == slots[3:5]
