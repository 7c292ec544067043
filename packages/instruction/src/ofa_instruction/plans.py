"""Plans: what an instruction means, resolved, typed and serialisable.

Every plan is a frozen pydantic model that forbids unknown keys, round-trips through JSON and has a
:meth:`Plan.fingerprint`. Plans hold data only; whoever owns the runtime object builds it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ofa_instruction.telling import named, shown

Side = Literal["source", "target"]

_LONGEST_REPR = 150
"""Characters of a plan that is shown."""

LONGEST_ANSWER = 65_536
"""Most units of one answer: what is longer is not learnt, and room for it is set aside when it is generated."""
MOST_IDS = 1 << 22
"""Most ids of a vocabulary."""
MOST_CANDIDATES = 1 << 20
"""Most candidates of a closed set."""
LONGEST_TEXT = 8192
"""Characters of the fixed words of one instruction: every row carries them."""
MOST_NESTED = 16
"""Repeats within each other."""


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
    max_length: int = Field(default=256, ge=1, le=LONGEST_ANSWER)
    """Longest answer in units, where the processor does not fix the length."""


class FrameGeneration(Plan):
    """Units are float rows, predicted one after the other until a stop head says so."""

    kind: Literal["frames"] = "frames"
    max_frames: int = Field(default=256, ge=1, le=LONGEST_ANSWER)
    stop_threshold: float = Field(default=0.5, gt=0, lt=1)


class DiffusionGeneration(Plan):
    """Units are float rows, denoised together."""

    kind: Literal["diffusion"] = "diffusion"
    num_steps: int = Field(default=50, ge=1, le=1000)
    """Denoising steps of an answer."""
    length: int | None = Field(default=None, ge=1, le=LONGEST_ANSWER)
    """Frames of an answer; None: as the item it refers to, else as is usual in the training rows."""
    guidance: float = Field(default=1.0, ge=0, le=1000)
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
    required: bool = Field(default=False, exclude_if=lambda required: not required)
    """A row whose value is empty cannot be used; otherwise a source slot reads it as nothing. Written where it is so."""
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


def _paths(nodes: tuple[NodePlan, ...], path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Of every slot below ``nodes``, in reading order, the repeats around it. Raises ValueError where they nest too deep."""
    if len(path) > MOST_NESTED:
        raise ValueError(f"repeats are nested more than {MOST_NESTED} deep")
    for node in nodes:
        match node:
            case SlotPlan():
                yield path
            case RepeatPlan(body=inner):
                yield from _paths(inner, (*path, id(node)))
            case ContrastPlan(members=inner):
                yield from (path for _ in inner)
            case TextPlan():
                pass


def _characters(node: NodePlan) -> int:
    match node:
        case TextPlan(text=text):
            return len(text)
        case RepeatPlan(body=inner):
            return sum(map(_characters, inner))
        case _:
            return 0


def _check_reference(slot: SlotPlan, slots: tuple[SlotPlan, ...], paths: list[tuple[int, ...]]) -> None:
    """Raises ValueError where a slot refers to none that it can see, to itself, or round in a circle."""
    seen, here = {slot.index}, slot.refers_to
    if here is None:
        return
    what = f"the slot {slot.index} (column {named(slot.column)})"
    if not 0 <= here < len(slots):
        raise ValueError(f"{what} refers to slot {shown(here)}, and there are {len(slots)}, from 0 on")
    if paths[slot.index][: len(paths[here])] != paths[here]:
        raise ValueError(f"{what} refers to slot {here}, which is inside of a repeat that it stands outside of")
    following: int | None = here
    while following is not None and 0 <= following < len(slots):
        if following in seen:
            raise ValueError(f"{what} refers to itself" + ("" if following == here else f", by way of slot {here}"))
        seen.add(following)
        following = slots[following].refers_to


class InstructionPlan(Plan):
    """One instruction, compiled."""

    text: str
    """The canonical spelling."""
    source: tuple[NodePlan, ...]
    target: tuple[NodePlan, ...]

    def __repr__(self) -> str:
        return f"InstructionPlan({self.text!r})"

    @model_validator(mode="after")
    def _slots_are_numbered_and_refer_to_each_other(self) -> Self:
        paths = [path for side in (self.source, self.target) for path in _paths(side)]
        if (characters := sum(map(_characters, (*self.source, *self.target)))) > LONGEST_TEXT:
            raise ValueError(f"its fixed words have {characters:,} characters; at most {LONGEST_TEXT:,} are carried by every row")
        for number, slot in enumerate(self.slots):
            if slot.index != number:
                raise ValueError(
                    f"the slot of column {named(slot.column)} has the index {shown(slot.index)}, and it is slot {number}"
                )
            if slot.generator is not None and (slot.side == "source" or slot.no_loss):
                raise ValueError(
                    f"the slot {number} (column {named(slot.column)}) is given, and has a generator that would answer it"
                )
            _check_reference(slot, self.slots, paths)
        for side, nodes in (("source", self.source), ("target", self.target)):
            if any(slot.side != side for slot in walk_slots(nodes)):
                raise ValueError(f"a slot among those of the {side} says that it is of the other side")
        return self

    @property
    def slots(self) -> tuple[SlotPlan, ...]:
        """All slots, source side first, in reading order; ``slots[i].index == i``."""
        return (*walk_slots(self.source), *walk_slots(self.target))


class ClosedSetPlan(Plan):
    """A closed set by name; its candidates lie in a file of that digest."""

    name: str
    size: int = Field(ge=0, le=MOST_CANDIDATES)
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
