"""Options of an answer that change nothing about it, so that a mistaken one is not silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ofa_instruction.plans import DiffusionGeneration, FrameGeneration, TokenGeneration
from ofa_modalities.program import Program, RepeatStep, SlotStep, Step

from ofa_models.generation.planning import answered_slots
from ofa_models.plans import GenerationOptions, without_effect

OPEN, FIXED, CLOSED, FRAMES, DIFFUSION, REPEAT = "open", "fixed", "closed", "frames", "diffusion", "repeat"


def unused_options(options: GenerationOptions, programs: Iterable[Program], usual: GenerationOptions | None = None) -> list[str]:
    """What to tell of each option that changes no answer of these instructions.

    usual: what would hold if nobody had said anything; an option counts where it differs from that and from its default. A bound
    that is not met (``max_items``) and a beam over what has one best answer anyway are no mistakes.
    """
    kinds = {kind for program in programs for kind in _kinds(program)}
    told = dict(without_effect(options))
    for name, (needed, why) in _NEEDS.items():
        if not kinds & needed:
            told.setdefault(name, why)
    if options.strategy == "sample" and not kinds & {OPEN, FIXED, CLOSED, REPEAT}:
        told["strategy"] = "it is for answers of tokens"
    if options.strategy != "sample" and not kinds & {FRAMES, DIFFUSION}:
        told["seed"] = "nothing is drawn; it is for strategy=`sample`"
    if options.strategy == "greedy" and not kinds & {CLOSED, DIFFUSION}:
        told.setdefault("num_return", "greedy finds one answer; `beam` and `sample` find several")
    return [f"`{name}={value!r}` has no effect: {told[name]}" for name, value in _asked(options, usual).items() if name in told]


_NEEDS: Mapping[str, tuple[frozenset[str], str]] = {
    "length_penalty": (frozenset({OPEN}), "all answers are of one length"),
    "no_repeat_ngram_size": (frozenset({OPEN}), "it is for open texts, and here a closed set or a fixed length decides"),
    "repetition_penalty": (frozenset({OPEN}), "it is for open texts, and here a closed set or a fixed length decides"),
    "min_length": (frozenset({OPEN}), "it is for open texts, and here a closed set or a fixed length decides"),
    "max_length": (frozenset({OPEN, FRAMES}), "a closed set or a fixed length decides"),
    "length": (frozenset({DIFFUSION}), "it is for answers by diffusion"),
    "guidance": (frozenset({DIFFUSION}), "it is for answers by diffusion"),
    "num_return": (frozenset({OPEN, FIXED, CLOSED, DIFFUSION}), "frames are answered once"),
    "top_k": (frozenset({OPEN, FIXED, CLOSED}), "no token is drawn"),
    "top_p": (frozenset({OPEN, FIXED, CLOSED}), "no token is drawn"),
    "temperature": (frozenset({OPEN, FIXED, CLOSED}), "no token is drawn"),
}


def _asked(options: GenerationOptions, usual: GenerationOptions | None) -> dict[str, object]:
    default, usual = GenerationOptions(), usual or GenerationOptions()
    given = {name: getattr(options, name) for name in GenerationOptions.model_fields}
    return {name: value for name, value in given.items() if value not in (getattr(default, name), getattr(usual, name))}


def _kinds(program: Program) -> set[str]:
    answered = {slot.index for slot in answered_slots(program.plan)}
    found = {_kind(step) for index, step in program.slots.items() if index in answered}
    return found | ({REPEAT} if _repeats(program.target) else set())


def _kind(step: SlotStep) -> str:
    match step.slot.generator:
        case TokenGeneration():
            return OPEN if step.is_open else FIXED if step.rule is None or step.rule.tree is None else CLOSED
        case FrameGeneration():
            return FRAMES
        case DiffusionGeneration() | None:
            return DIFFUSION


def _repeats(steps: Iterable[Step]) -> bool:
    return any(isinstance(step, RepeatStep) and step.is_free for step in steps)
