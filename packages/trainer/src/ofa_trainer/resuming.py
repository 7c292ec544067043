"""Going on: what a run's folder holds, which step is gone on from, and what may have changed meanwhile.

A run never starts afresh over something that is there, and never goes on from what it cannot read: it says which file is
damaged and which earlier step is sound.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ofa_instruction import Catalog
from ofa_models.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from ofa_models.files import read_plan
from torch import Tensor

from ofa_trainer.checkpointing import (
    CHECKPOINT,
    CHECKPOINTS,
    LAST,
    RUN_FILE,
    RunState,
    check_checkpoint,
    read_state,
    saved_steps,
    step_folder,
)
from ofa_trainer.locking import LOCK_FILE
from ofa_trainer.plans import TrainerOptions
from ofa_trainer.reporting.json_lines import logged_events
from ofa_trainer.train_plan import TrainPlan

LOG_FILE = "log.jsonl"
_OWN = frozenset((LOCK_FILE, LOG_FILE, f".{LOG_FILE}.partial", CHECKPOINTS, "tensorboard", "wandb"))
"""What a run that was killed before its first checkpoint may have left."""

FREE_ON_RESUME = frozenset(
    [
        "minutes",
        "stop_after",
        "accumulation",
        "deterministic",
        "device",
        "workers",
        "validate_every",
        "valid_rows",
        "valid_metrics",
        "valid_share",
        "best_by",
        "save_every",
        "keep",
        "log_every",
        "tensorboard",
        "wandb",
        "max_bad_in_a_row",
        "max_bad_share",
        "tokenizer",
        "fit_rows",
        "hosts",
    ]
)
"""Options that a resumed run may change: they do not decide which steps are taken. ``steps`` may grow as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedStep:
    """A checkpoint of a run, read whole. model: in ``checkpoint``, on the CPU."""

    folder: Path
    checkpoint: Checkpoint
    plan: TrainPlan
    state: RunState
    tensors: dict[str, Tensor]


def step_to_resume(output: Path | None, resume: bool | int, catalog: Catalog) -> SavedStep | None:
    """What a run goes on from; None: it starts. ``resume``: whether it may, or the step to go back to.

    Raises ValueError where the folder holds something that the run would start over, or has no such step, and CheckpointError
    where the step is damaged.
    """
    if output is None:
        if resume is not False:
            raise ValueError("resuming needs the output folder of the run")
        return None
    steps = saved_steps(output)
    if not steps:
        _refuse_to_start_over(output, resume=resume is not False)
        return None
    if resume is False:
        raise ValueError(
            f"`{output}` holds a run at step {steps[-1]} already: resume it (`resume=True`, `--resume`) or choose another output"
        )
    wanted = steps[-1] if resume is True else resume
    if wanted not in steps:
        raise ValueError(f"`{output}` has no checkpoint of step {wanted}; there are those of {', '.join(map(str, steps))}")
    try:
        found = load_step(step_folder(output, wanted), catalog)
    except CheckpointError as error:
        raise CheckpointError(f"step {wanted} is damaged: {error}\n{_way_on(output, steps, wanted, catalog)}") from error
    _set_aside(output, [step for step in steps if step > wanted])
    return found


def load_step(folder: Path, catalog: Catalog) -> SavedStep:
    """Read a checkpoint of a run whole. Raises CheckpointError that names what cannot be read."""
    checkpoint = load_checkpoint(folder, catalog=catalog)
    state, tensors = read_state(folder)
    return SavedStep(folder=folder, checkpoint=checkpoint, plan=read_train_plan(folder), state=state, tensors=tensors)


def read_train_plan(folder: Path) -> TrainPlan:
    """The plan of the run that wrote a checkpoint. Raises CheckpointError."""
    return read_plan(folder, RUN_FILE, TrainPlan)


def _way_on(output: Path, steps: list[int], damaged: int, catalog: Catalog) -> str:
    """The newest earlier step that can be read whole."""
    for step in reversed([step for step in steps if step < damaged]):
        try:
            check_checkpoint(step_folder(output, step), catalog)
        except CheckpointError:
            continue
        return f"step {step} is the newest sound one: go on from there with `--resume --from-step {step}` (`resume={step}`)"
    return "no earlier step is sound: train anew into another output folder"


def _set_aside(output: Path, steps: list[int]) -> None:
    """Move the checkpoints of steps that are taken anew out of the way; nothing reads them any more."""
    for step in steps:
        folder = step_folder(output, step)
        aside, number = folder.with_name(f"aside-{folder.name}"), 1
        while aside.exists():
            number += 1
            aside = folder.with_name(f"aside-{folder.name}-{number}")
        os.replace(folder, aside)


def _refuse_to_start_over(output: Path, *, resume: bool) -> None:
    """Raises ValueError where the folder holds a checkpoint but no run; to resume, anything that is not a run's own."""
    for name in (CHECKPOINT, LAST):
        if (output / name).exists():
            raise ValueError(
                f"`{output}` holds `{name}` and no run to resume (`{CHECKPOINTS}/step-…`), and training anew would replace it: "
                "choose another output folder, or move it away"
            )
    if not resume:
        return
    written = _saved_once(output / LOG_FILE)
    if written is not None:
        raise ValueError(
            f"the run in `{output}` cannot be resumed: its log tells of a checkpoint of step {written}, and "
            f"`{output / CHECKPOINTS}` holds none; put it back, or train anew into another output folder"
        )
    foreign = sorted(entry.name for entry in output.iterdir() if entry.name not in _OWN)
    if foreign:
        shown = ", ".join(f"`{name}`" for name in foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise ValueError(
            f"`{output}` holds no run to resume (no `{CHECKPOINTS}/step-…`), but {shown}: "
            "name the run's own folder, or leave out `--resume` to start a run there"
        )
    if any((output / CHECKPOINTS).glob("*")):
        raise ValueError(f"`{output / CHECKPOINTS}` holds no whole step to resume from; train anew into another output folder")


def _saved_once(log: Path) -> int | None:
    """The step that a log says was saved last; None: it tells of none."""
    if not log.is_file():
        return None
    return next((event.get("step") for _, event in reversed([*logged_events(log)]) if event.get("event") == "saved"), None)


def options_to_resume(given: TrainerOptions, saved: SavedStep) -> TrainerOptions:
    """The options of a resumed run: its length is what it was, where none is given now."""
    if given.steps is not None or given.minutes is not None:
        return given
    return given.model_copy(update={"steps": saved.plan.options.steps, "minutes": saved.plan.options.minutes})


def check_same_run(saved: SavedStep, now: TrainPlan) -> None:
    """Compare a saved run with the one that wants to go on. Raises CheckpointError that lists the differences."""
    before = saved.plan
    differences = [*_other_options(saved, now.options)]
    if before.model != now.model:
        differences.append("the model's plan")
    if before.assets != now.assets:
        differences.append(f"what processors fit: {', '.join(before.assets)} then, {', '.join(now.assets)} now")
    old = {task.plan.name: task for task in before.tasks}
    if list(old) != [task.plan.name for task in now.tasks]:
        differences.append(f"the tasks: {', '.join(old)} then, {', '.join(task.plan.name for task in now.tasks)} now")
    for task in now.tasks:
        before_task = old.get(task.plan.name, task)
        if before_task.plan != task.plan:
            differences.append(f"task {task.plan.name}: its instruction, options or closed sets")
        if before_task.train != task.train:
            differences.append(f"task {task.plan.name}: its training rows ({before_task.train.rows} then, {task.train.rows} now)")
        if before_task.transforms != task.transforms:
            differences.append(f"task {task.plan.name}: its transforms")
        if before_task.share != task.share:
            differences.append(f"task {task.plan.name}: its share of the mixture")
        if before_task.loss_share != task.loss_share:
            differences.append(f"task {task.plan.name}: the weight of its losses")
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        free = ", ".join(name for name in TrainerOptions.model_fields if name in FREE_ON_RESUME)
        raise CheckpointError(
            f"the run cannot be resumed, because it is another one:\n{listed}\n"
            f"What may change: `steps` to more of them; {free}; validation and test rows, metrics, how answers are generated.\n"
            "Give the rest as it was, or train anew into another output folder."
        )


def _other_options(saved: SavedStep, now: TrainerOptions) -> list[str]:
    """Options that decide which steps are taken and are not what they were."""
    then = saved.plan.options
    found = [
        f"trainer.{name}: {getattr(then, name)} then, {getattr(now, name)} now"
        for name in TrainerOptions.model_fields
        if name not in FREE_ON_RESUME and name != "steps" and getattr(then, name) != getattr(now, name)
    ]
    planned = saved.state.total_steps or saved.state.step
    if now.steps is not None and now.steps != then.steps and now.steps < planned:
        found.append(
            f"trainer.steps: {planned} then, {now.steps} now; more steps lengthen the run, fewer would change the steps taken; "
            "`stop_after` ends it early"
        )
    return found
