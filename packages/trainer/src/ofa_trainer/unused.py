"""What a run asks for that changes nothing about it, so that a mistaken option is not silent. No torch here."""

from __future__ import annotations

from ofa_models.plans import GenerationOptions, without_effect

from ofa_trainer.plans import TrainerOptions


def unused_trainer_options(options: TrainerOptions, *, weighted: bool, validates: bool) -> list[str]:
    """What to tell of each option that has no effect.

    weighted: whether the tasks have weights of their own. validates: whether some task has validation rows.
    """
    why = {}
    if options.mixture != "temperature":
        why["temperature"] = "it is for mixture: temperature"
    if weighted:
        why |= dict.fromkeys(("mixture", "temperature"), "the tasks have weights of their own")
    if options.schedule != "warmup-stable-decay":
        why["decay_share"] = "it is for schedule: warmup-stable-decay"
    if options.schedule == "constant":
        why["final_lr"] = "the schedule is constant"
    if options.optimizer != "muon":
        why["muon_lr"] = f"the optimizer is {options.optimizer}"
    if options.tokenizer is not None:
        why["tokenizer_size"] = "a tokenizer is given"
    if not validates:
        why |= dict.fromkeys(("valid_rows", "validate_every"), "no task has validation rows")
    default = TrainerOptions()
    asked = {name: getattr(options, name) for name in why if getattr(options, name) != getattr(default, name)}
    return [f"`trainer.{name}: {value}` has no effect: {why[name]}" for name, value in asked.items()]


def unused_generation_options(options: GenerationOptions) -> list[str]:
    """What to tell of each option of ``generation`` that its strategy leaves unused, whatever is answered."""
    default = GenerationOptions()
    found = without_effect(options)
    asked = {name: getattr(options, name) for name in found if getattr(options, name) != getattr(default, name)}
    return [f"`generation.{name}: {value}` has no effect: {found[name]}" for name, value in asked.items()]
