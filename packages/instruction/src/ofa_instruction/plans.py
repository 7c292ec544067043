"""Plans: what an instruction means, resolved, typed and serialisable.

Every plan is a frozen pydantic model that forbids unknown keys, round-trips through JSON and has a
:meth:`Plan.fingerprint`. Plans hold data only; whoever owns the runtime object builds it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Side = Literal["source", "target"]

_LONGEST_REPR = 150
"""Characters of a plan that is shown."""


class Plan(BaseModel):
    """Base of every plan."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def __repr__(self) -> str:
        """What differs from the defaults, in two lines at most; ``model_dump_json(indent=1)`` says everything."""
        fields = type(self).model_fields.items()
        told = [
            f"{name}={value!r}"
            for name, field in fields
            if (value := getattr(self, name)) != field.get_default(call_default_factory=True, validated_data={})
        ]
        text = f"{type(self).__name__}({', '.join(told)})"
        return text if len(text) <= _LONGEST_REPR else f"{text[:_LONGEST_REPR]}…)"

    def __str__(self) -> str:
        return repr(self)

    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) of the plan's canonical JSON: sorted keys, no blanks, defaults included."""
        data = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(data.encode()).hexdigest()


class PluginChoice(Plan):
    """One plugin with its options resolved: what the catalog validates again when a plan is loaded."""

    name: str
    distribution: str
    options: dict[str, JsonValue] = Field(default_factory=dict)


class TokenGeneration(Plan):
    """Units are vocabulary ids, drawn one after the other."""

    kind: Literal["tokens"] = "tokens"
    max_length: int = Field(default=256, ge=1)
    """Longest answer in units, where the processor does not fix the length."""


class FrameGeneration(Plan):
    """Units are float rows, predicted one after the other until a stop head says so."""

    kind: Literal["frames"] = "frames"
    max_frames: int = Field(default=256, ge=1)
    stop_threshold: float = Field(default=0.5, gt=0, lt=1)


class DiffusionGeneration(Plan):
    """Units are float rows, denoised together."""

    kind: Literal["diffusion"] = "diffusion"
    num_steps: int = Field(default=50, ge=1, le=1000)
    """Denoising steps of an answer."""
    length: int | None = Field(default=None, ge=1)
    """Frames of an answer; None: as the item it refers to, else as is usual in the training rows."""
    guidance: float = Field(default=1.0, ge=0)
    """Scale of classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598); 1: none."""
    condition_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of training rows whose source is left out, so that there is something to guide away from."""


GeneratorPlan = Annotated[TokenGeneration | FrameGeneration | DiffusionGeneration, Field(discriminator="kind")]


class TextPlan(Plan):
    """Fixed words of the instruction: on the source side read, on the target side a forced prompt without a loss."""

    kind: Literal["text"] = "text"
    text: str
    side: Side


class SlotPlan(Plan):
    """One slot, everything about it decided."""

    kind: Literal["slot"] = "slot"
    index: int
    """0-based among the slots of its instruction, in reading order."""
    column: str
    side: Side
    modality: str
    processor: PluginChoice
    adaptor: PluginChoice
    criteria: tuple[PluginChoice, ...] = ()
    """Losses of a target slot; empty on the source side and under ``no_loss``."""
    generator: GeneratorPlan | None = None
    """How a target slot is answered; None on the source side and under ``no_loss``."""
    no_loss: bool = False
    closed_set: str | None = None
    """Name of its closed set (``closed_set`` alone names the column); None: any answer."""
    refers_to: int | None = None
    """Index of the slot that this one belongs to: the image of a box."""


class RepeatPlan(Plan):
    """Zero or more items of its body, from equally long list columns."""

    kind: Literal["repeat"] = "repeat"
    side: Side
    body: tuple[NodePlan, ...]


class ContrastPlan(Plan):
    """Slots whose pooled states are aligned."""

    kind: Literal["contrast"] = "contrast"
    side: Side
    members: tuple[SlotPlan, ...]


NodePlan = Annotated[TextPlan | SlotPlan | RepeatPlan | ContrastPlan, Field(discriminator="kind")]


def walk_slots(nodes: tuple[NodePlan, ...]) -> Iterator[SlotPlan]:
    """All slots below ``nodes`` in reading order, those inside repeats and contrasts included."""
    for node in nodes:
        match node:
            case SlotPlan():
                yield node
            case RepeatPlan(body=inner) | ContrastPlan(members=inner):
                yield from walk_slots(inner)
            case TextPlan():
                pass


class InstructionPlan(Plan):
    """One instruction, compiled."""

    text: str
    """The canonical spelling."""
    source: tuple[NodePlan, ...]
    target: tuple[NodePlan, ...]

    def __repr__(self) -> str:
        return f"InstructionPlan({self.text!r})"

    @property
    def slots(self) -> tuple[SlotPlan, ...]:
        """All slots, source side first, in reading order; ``slots[i].index == i``."""
        return (*walk_slots(self.source), *walk_slots(self.target))


class ClosedSetPlan(Plan):
    """A closed set by name; its candidates lie in a file of that digest."""

    name: str
    size: int
    digest: str


class TaskPlan(Plan):
    """A task: one instruction plan per alternative, all with the same target slots."""

    schema_version: Literal[1] = 1
    name: str
    backend: str
    segment_layout: Literal["per_slot", "ofa_groups"]
    instructions: tuple[InstructionPlan, ...] = Field(min_length=1)
    closed_sets: tuple[ClosedSetPlan, ...] = ()
    """Filled when the task is fitted to data; empty straight after ``compile``."""
