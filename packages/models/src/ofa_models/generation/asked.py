"""What a checkpoint may ask for by its plan alone: answers that take no longer and no more room than answers do.

A plan can be within all of its limits and still have a thousand beams walk for hours. Whoever asks may ask for that; a file may
not. So what comes from the plan is counted, number by number, and what the caller has said otherwise counts as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ofa_instruction.telling import named

from ofa_models.generation.engine import lane_capacity, num_copies
from ofa_models.generation.steps import DiffusionStep, Step
from ofa_models.plans import GenerationOptions, InferPlan

if TYPE_CHECKING:
    from ofa_modalities.program import Program

MOST_LANES = 64
"""Answers at once."""
MOST_LENGTH = 4096
"""Units of an answer, which are made one after the other: all that a repeat may fill."""
MOST_UNITS = 1 << 16
"""Answers at once · units of each."""
MOST_ROOM_BYTES = 1 << 29
"""Of the decoder's cache for so many units, or four times what the weights take where that is more."""
MOST_DENOISED = 1 << 29
"""Answers · steps · frames · (frames, and 1,024 at least): a thousand guided steps of 256 frames."""
_LEAST_FRAMES = 1024


def check_asked(
    plan: InferPlan,
    task: str,
    program: Program,
    steps: Sequence[Step],
    options: GenerationOptions,
    *,
    weights_bytes: int = 0,
) -> None:
    """Raises ValueError that names the fields where the plan alone asks for more than the limits above.

    steps: of ``program`` under ``options``. task: its name; a task that is none of the plan's has the caller's lengths.
    """
    lanes = num_copies(options) if num_copies(options) == num_copies(plan.generation) else 1
    number = next((number for number, one in enumerate(plan.tasks) if one.name == task), None)
    fields = ["`generation`"] if lanes > 1 or number is None else []
    if number is not None:
        fields.append(f"`tasks.{number}` ({named(task)})")
    where = " and ".join(fields)
    diffusion = next((step for step in steps if isinstance(step, DiffusionStep)), None)
    if diffusion is not None:
        _check_denoised(diffusion, program, plan, options, is_of_plan=number is not None, where=where)
        return
    by_caller = any(getattr(options, name) != getattr(plan.generation, name) for name in ("max_length", "max_items"))
    of_plan = not by_caller and (number is not None or plan.generation.max_length is not None)
    length = lane_capacity(steps, [], options.max_items) if of_plan else 1
    size = plan.model.architecture
    unit_bytes = 2 * 4 * size.decoder_layers * size.num_heads * size.head_width
    room = max(MOST_ROOM_BYTES, 4 * weights_bytes) // unit_bytes
    most = max(1, min(MOST_UNITS, room))
    if lanes > MOST_LANES or length > MOST_LENGTH or lanes * length > most:
        raise ValueError(
            f"{where}: {_count(lanes)} of up to {length:,} units; a checkpoint may ask for {MOST_LANES} answers, {MOST_LENGTH:,}"
            f" units of each and {most:,} of a row by itself, more is asked by whoever wants it (num_beams, num_return,"
            " max_length, max_items)"
        )


def _check_denoised(
    step: DiffusionStep, program: Program, plan: InferPlan, options: GenerationOptions, *, is_of_plan: bool, where: str
) -> None:
    own = plan.generation
    length = 1
    if options.length == own.length and (is_of_plan or own.length is not None):
        length = step.length or program.slots[step.slot].processor.default_length() or 1
    answers = options.num_return if options.num_return == own.num_return else 1
    passes = step.num_steps * (2 if step.guidance != 1 else 1) if is_of_plan else 1
    if answers * passes * length * max(length, _LEAST_FRAMES) > MOST_DENOISED:
        raise ValueError(
            f"{where}: {_count(answers)} of {length:,} frames in {step.num_steps:,} steps; that is more than a checkpoint may"
            " ask for by itself, more is asked by whoever wants it (length, num_return)"
        )


def _count(answers: int) -> str:
    return "an answer" if answers == 1 else f"{answers:,} answers at once"
