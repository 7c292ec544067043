"""Checkpoints of a run: written whole or not at all, rotated, found again.

    OUTPUT/
      log.jsonl
      checkpoints/
        step-000400/     best by validation loss
        step-000500/     newest
          model.safetensors  plan.json  tokenizer.json  closed_sets/     what answers (ofa_models)
          run.json                                                       the TrainPlan
          state.json  state.safetensors                                  step, stream, optimisers, random numbers

A folder is written under a hidden name, flushed, and renamed (:func:`ofa_models.save_checkpoint`); a kill at any moment leaves
the checkpoints that were there.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Literal

import torch
from ofa_models.checkpoint import CheckpointError
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from torch import Tensor

from ofa_trainer.stream import StreamState

CHECKPOINTS = "checkpoints"
DEMO_CHECKPOINT = "checkpoint"
"""The only one of a demo's folder."""
STATE_FILE = "state.json"
TENSORS_FILE = "state.safetensors"
RUN_FILE = "run.json"
MODEL_FILE = "plan.json"

_NAME = re.compile(r"step-(\d{6,})")


class RunState(BaseModel):
    """Where a run stands, but for its tensors. ``total_steps``: of the schedule, None while it is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    step: int
    total_steps: int | None
    stream: StreamState
    elapsed_s: float
    best_loss: float | None = None
    best_step: int | None = None
    numbers: dict[str, float] = {}
    """What the optimisers keep beside tensors."""


def step_folder(output: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return output / CHECKPOINTS / f"step-{step:06d}"


def saved_steps(output: Path) -> list[int]:
    """Steps with a whole checkpoint, ascending."""
    folder = output / CHECKPOINTS
    if not folder.is_dir():
        return []
    found = [(_NAME.fullmatch(entry.name), entry) for entry in folder.iterdir()]
    return sorted(int(match[1]) for match, entry in found if match and (entry / STATE_FILE).is_file())


def rotate(output: Path, keep: int, best_step: int | None) -> None:
    """Delete all but the newest ``keep`` checkpoints and the best, and whatever a killed run left half written."""
    steps = saved_steps(output)
    for step in steps[:-keep]:
        if step != best_step:
            folder = step_folder(output, step)
            doomed = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(doomed, ignore_errors=True)
            os.replace(folder, doomed)
    clean(output)


def clean(output: Path) -> None:
    """Remove what a killed run left half written or half deleted; put back what it had moved aside."""
    for entry in (output / CHECKPOINTS).glob(".step-*"):
        whole = entry.with_name(entry.name[1:].split(".")[0])
        if entry.name.endswith(".previous") and not whole.exists():
            os.replace(entry, whole)
        else:
            shutil.rmtree(entry, ignore_errors=True)


def write_state(folder: Path, state: RunState, tensors: dict[str, Tensor]) -> None:
    """Write ``state.json`` and ``state.safetensors``."""
    plain = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, folder / TENSORS_FILE)
    (folder / STATE_FILE).write_text(state.model_dump_json(indent=1), encoding="utf-8")


def read_state(folder: Path) -> tuple[RunState, dict[str, Tensor]]:
    """Read what :func:`write_state` wrote. Raises CheckpointError."""
    try:
        state = RunState.model_validate_json((folder / STATE_FILE).read_text(encoding="utf-8"))
        return state, load_file(folder / TENSORS_FILE)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"`{folder}` holds no training state that can be read: {error}") from error


def find_checkpoint(path: str | Path, which: Literal["best", "newest"] = "best") -> Path:
    """The checkpoint folder that a path means: itself, or the best or newest one of a run's output folder, or a demo's.

    Raises CheckpointError where there is none.
    """
    path = Path(path)
    for alone in (path, path / DEMO_CHECKPOINT):
        if (alone / MODEL_FILE).is_file():
            return alone
    steps = saved_steps(path)
    if not steps:
        what = "holds no checkpoint" if path.is_dir() else "is not a folder"
        raise CheckpointError(f"`{path}` {what}: expected `{MODEL_FILE}` or `{CHECKPOINTS}/step-…` in it")
    newest = step_folder(path, steps[-1])
    if which == "newest":
        return newest
    state = RunState.model_validate_json((newest / STATE_FILE).read_text(encoding="utf-8"))
    return step_folder(path, state.best_step) if state.best_step in steps else newest


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The generators that dropout draws from."""
    found = {"rng/cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["rng/cuda"] = torch.cuda.get_rng_state(device)
    return found


def restore_random_state(tensors: dict[str, Tensor], device: torch.device) -> None:
    """Take up what :func:`random_state` gave."""
    torch.set_rng_state(tensors["rng/cpu"])
    if device.type == "cuda" and "rng/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng/cuda"], device)
