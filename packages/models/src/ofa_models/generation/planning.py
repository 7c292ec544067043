"""From an encoder's instruction to the steps that generation walks, and from a row to what is forced of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import numpy as np
from ofa_instruction.plans import DiffusionGeneration, FrameGeneration, InstructionPlan, SlotPlan, TokenGeneration
from ofa_modalities.encoder import TaskEncoder
from ofa_modalities.program import Program, SlotStep, TextStep
from ofa_modalities.program import RepeatStep as EncoderRepeat
from ofa_modalities.program import Step as EncoderStep
from ofa_modalities.segment import EncodedSegment, Example

from ofa_models.generation.steps import (
    Controls,
    DiffusionStep,
    FixedStep,
    ForcedStep,
    FrameStep,
    Path,
    RepeatStep,
    Step,
    TokenStep,
)
from ofa_models.plans import GenerationOptions
from ofa_models.specs import NoiseOptions


class UnsupportedGeneration(ValueError):
    """An instruction that compiles but cannot be answered."""


def controls_of(encoder: TaskEncoder) -> Controls:
    """The control tokens of an encoder's vocabulary."""
    vocabulary = encoder.vocabulary
    return Controls(end=vocabulary.id("end"), next=vocabulary.id("next"), choose=vocabulary.id("choose"))


def plan_steps(encoder: TaskEncoder, program: Program, options: GenerationOptions) -> tuple[Step, ...]:
    """The steps of a program's target side.

    Raises UnsupportedGeneration where there is nothing to answer, and for what cannot be generated.
    """
    if not answered_slots(program.plan):
        raise UnsupportedGeneration(f"`{program.plan.text}` asks for no answer: its target side has no slot to generate")
    return _steps(encoder, program.target, options)


def _steps(encoder: TaskEncoder, steps: Iterable[EncoderStep], options: GenerationOptions) -> tuple[Step, ...]:
    made: list[Step] = []
    for step in steps:
        match step:
            case TextStep():
                made.append(FixedStep(ids=tuple(step.segment.units.tolist())))
            case EncoderRepeat():
                made.append(RepeatStep(body=_steps(encoder, step.body, options)))
            case SlotStep() if step.slot.no_loss:
                if step.depth > 1:
                    raise UnsupportedGeneration(f"slot `{step.slot.column}`: no_loss two repeats deep cannot be generated yet")
                made.append(ForcedStep(slot=step.slot.index))
            case SlotStep():
                made.append(_slot(encoder, step, options))
            case _:
                assert_never(step)
    return tuple(made)


def _slot(encoder: TaskEncoder, step: SlotStep, options: GenerationOptions) -> Step:
    slot, generator = step.slot, step.slot.generator
    match generator:
        case TokenGeneration():
            assert step.rule is not None
            ranges = sorted({encoder.vocabulary.block(name) for name in step.rule.blocks}, key=lambda block: block.start)
            return TokenStep(
                slot=slot.index,
                begin=step.begin,
                rule=step.rule,
                allowed=np.concatenate([np.arange(block.start, block.stop) for block in ranges]),
                max_length=options.max_length or generator.max_length,
            )
        case FrameGeneration():
            return FrameStep(
                slot=slot.index,
                adaptor=step.adaptor,
                max_frames=options.max_length or generator.max_frames,
                stop_threshold=generator.stop_threshold,
            )
        case DiffusionGeneration():
            noise = step.adaptor_options
            if not isinstance(noise, NoiseOptions):
                raise UnsupportedGeneration(
                    f"slot `{slot.column}`: the options of the adaptor `{step.adaptor}` say no noise schedule (`NoiseOptions`)"
                )
            return DiffusionStep(
                slot=slot.index,
                adaptor=step.adaptor,
                num_steps=generator.num_steps,
                guidance=generator.guidance if options.guidance is None else options.guidance,
                length=options.length or generator.length,
                noise=noise,
            )
        case None:
            raise UnsupportedGeneration(f"slot `{slot.column}`: {slot.modality} has no generator")
        case _:
            assert_never(generator)


def forced_of(program: Program, example: Example) -> dict[tuple[int, Path], EncodedSegment]:
    """The segments of a row's slots without a loss on the target side."""
    found: dict[tuple[int, Path], EncodedSegment] = {}
    for index, items in example.forced.items():
        step = program.slots[index]
        for number, item in enumerate(items):
            found[index, (number,) if step.depth else ()] = step.segment(item)
    return found


def answered_slots(plan: InstructionPlan) -> tuple[SlotPlan, ...]:
    """Slots that an answer has a value for, in reading order."""
    return tuple(slot for slot in plan.slots if slot.generator is not None)
