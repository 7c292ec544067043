"""What a run would refuse, found out from its plans, so that `ofa check` can say it. Neither torch nor numpy here."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from ofa_instruction.plans import ContrastPlan, NodePlan, RepeatPlan, SlotPlan, TaskPlan
from ofa_modalities.text.equality import folded

from ofa_trainer.plans import TrainerOptions

_EXTRAS = {"tensorboard": "tensorboard", "wandb": "wandb"}


def check_trainable(plan: TaskPlan) -> None:
    """Raises ValueError for an instruction that compiles and cannot be trained."""
    for instruction in plan.instructions:
        if any(_has_contrast(node) for node in (*instruction.source, *instruction.target)):
            raise ValueError(
                f"task `{plan.name}`: `{instruction.text}` holds a contrast; it compiles, but training one is not supported yet"
            )
        if not any(slot.criteria for slot in instruction.slots):
            raise ValueError(
                f"task `{plan.name}`: `{instruction.text}` has nothing to learn: no slot after `->` has a loss; "
                "training the encoder alone is not supported yet"
            )


def _has_contrast(node: NodePlan) -> bool:
    return isinstance(node, ContrastPlan) or (isinstance(node, RepeatPlan) and any(map(_has_contrast, node.body)))


def learnt_slots(plan: TaskPlan) -> list[SlotPlan]:
    """The slots that have a loss, of all alternatives."""
    return [slot for instruction in plan.instructions for slot in instruction.slots if slot.criteria]


def only_answer(plan: TaskPlan, closed_sets: Mapping[str, Sequence[str]]) -> str:
    """Why a task cannot be learnt whose closed sets, by name, hold one answer each; empty where there is a choice."""
    learnt = learnt_slots(plan)
    if not learnt or any(slot.closed_set is None or len(closed_sets[slot.closed_set]) != 1 for slot in learnt):
        return ""
    only = closed_sets[str(learnt[0].closed_set)][0]
    return (
        f"nothing to learn, the closed set of `{learnt[0].column}` holds `{only}` alone; "
        "it needs rows with another answer, or `closed_sets` with more candidates"
    )


def told_by_case(column: str, labels: Sequence[str]) -> str:
    """Which labels of a column differ in case alone, two of them shown; empty where none do.

    >>> told_by_case("kind", ["Cat", "dog", "cat"])
    '`kind` holds `Cat` and `cat`: labels that differ in case alone are two answers; spell them alike where one is meant'
    """
    seen: dict[str, str] = {}
    for label in labels:
        first = seen.setdefault(folded(label), label)
        if first != label:
            meant = "labels that differ in case alone are two answers; spell them alike where one is meant"
            return f"`{column}` holds `{first}` and `{label}`: {meant}"
    return ""


def missing_parts(options: TrainerOptions, base: Path) -> dict[str, str]:
    """What the trainer's options name and is not there, by option: a tokenizer's folder, a package of an extra."""
    found = {}
    if options.tokenizer is not None:
        folder = base / Path(options.tokenizer).expanduser()
        if not (folder / "tokenizer.json").is_file():
            found["tokenizer"] = f"there is no `tokenizer.json` in `{folder}`"
    for option, package in _EXTRAS.items():
        if getattr(options, option) and importlib.util.find_spec(package) is None:
            found[option] = f"`{option}` needs a package that is not installed: pip install 'ofa-trainer[{option}]'"
    return found


def newest_step(output: Path) -> int | None:
    """The newest step of a run in a folder; None where there is none."""
    states = (output / "checkpoints").glob("step-*/state.json")
    steps = [name for state in states if (name := state.parent.name.removeprefix("step-")).isdecimal()]
    return max(map(int, steps), default=None)
