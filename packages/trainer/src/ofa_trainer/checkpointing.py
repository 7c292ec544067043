"""Checkpoints of a run: written whole or not at all, rotated, found again.

    OUTPUT/
      log.jsonl
      checkpoint/          the best step so far (`best_by`), the last one while none was judged: what the folder stands for
      last/                the last step
        model.safetensors  plan.json  tokenizer.json  closed_sets/       what answers (ofa_models)
        run.json                                                         the TrainPlan
      checkpoints/         what a run goes on from
        step-000400/       the best
        step-000500/       the newest
          (as above, and)
          state.json  state.safetensors                                  step, stream, optimisers, random numbers

A folder is written under a hidden name, flushed, and renamed (:func:`ofa_models.save_checkpoint`); a kill at any moment leaves
the checkpoints that were there.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch
from ofa_instruction import Catalog
from ofa_instruction.telling import named
from ofa_models.checkpoint import CheckpointError, replace_directory
from ofa_models.checkpoint import check_checkpoint as check_model_files
from ofa_models.files import file_error, read_plan
from ofa_models.weights import load_tensors
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file
from torch import Tensor

from ofa_trainer.reporting.events import Figure
from ofa_trainer.stream import StreamState
from ofa_trainer.train_plan import TrainPlan
from ofa_trainer.verdict import ValidationPoint

CHECKPOINTS = "checkpoints"
CHECKPOINT = "checkpoint"
"""What the folder of a run, or of a demo, stands for."""
LAST = "last"
STATE_FILE = "state.json"
TENSORS_FILE = "state.safetensors"
RUN_FILE = "run.json"
MODEL_FILE = "plan.json"

_NAME = re.compile(r"step-(\d{6,12})")
_TENSOR_NAME = re.compile(r"optimizer/\w+/\d{1,9}/\w+|criterion/\d{1,9}/.+|rng/(cpu|cuda)")


class RunState(BaseModel):
    """Where a run stands, but for its tensors. ``total_steps``: of the schedule, None while it is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    schema_version: Literal[1] = 1
    step: int = Field(ge=0)
    total_steps: int | None = Field(ge=0)
    stream: StreamState
    elapsed_s: float
    validating_s: float = 0.0
    """The part of ``elapsed_s`` that validations took."""
    points: tuple[ValidationPoint, ...] = ()
    """Validations so far."""
    best_step: int | None = None
    best_loss: float | None = None
    best_score: float | None = None
    best_by: str | None = None
    """What the best step is the best by."""
    best_figures: dict[str, dict[str, Figure]] = {}
    cuts: dict[str, int] = {}
    """Rows drawn so far with values longer than their limits, by ``task/column``."""
    empty: dict[str, int] = {}
    """Rows drawn so far with empty cells, by ``task/column``."""
    numbers: dict[str, float] = {}
    """What the optimisers keep beside tensors."""


def step_folder(output: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return output / CHECKPOINTS / f"step-{step:06d}"


def saved_steps(output: Path) -> list[int]:
    """Steps that were saved, ascending. A folder takes its name once it is whole; later damage is found when it is read."""
    folder = output / CHECKPOINTS
    if not folder.is_dir():
        return []
    found = [(_NAME.fullmatch(entry.name), entry) for entry in folder.iterdir()]
    return sorted(int(match[1]) for match, entry in found if match and entry.is_dir())


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
    for entry in _leftovers(output):
        whole = entry.with_name(entry.name[1:].split(".")[0])
        if entry.name.endswith(".previous") and not whole.exists():
            os.replace(entry, whole)
        else:
            shutil.rmtree(entry, ignore_errors=True)


def _leftovers(output: Path) -> Iterable[Path]:
    yield from (output / CHECKPOINTS).glob(".step-*")
    for name in (CHECKPOINT, LAST):
        yield from output.glob(f".{name}.new-*")
        yield from output.glob(f".{name}.previous")


def publish(step: Path, place: Path) -> None:
    """Have ``place`` hold what answers of a step's checkpoint, in place of what it held. Raises CheckpointError."""

    def fill(fresh: Path) -> None:
        for path in sorted(step.rglob("*")):
            to = fresh / path.relative_to(step)
            if path.is_dir():
                to.mkdir()
            elif path.name not in (STATE_FILE, TENSORS_FILE):
                shutil.copyfile(path, to)

    replace_directory(place, fill)


def rewrite_state(folder: Path, state: RunState) -> None:
    """Replace ``state.json`` of a checkpoint, whole or not at all. Raises CheckpointError."""
    partial = folder / f".{STATE_FILE}.partial"
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(state.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, folder / STATE_FILE)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"`{folder / STATE_FILE}` cannot be written: {reason}; what was there is unchanged") from error


def write_state(folder: Path, state: RunState, tensors: dict[str, Tensor]) -> None:
    """Write ``state.json`` and ``state.safetensors``."""
    plain = {name: tensor.detach().to("cpu").contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, folder / TENSORS_FILE)
    (folder / STATE_FILE).write_text(state.model_dump_json(indent=1), encoding="utf-8")


def read_run_state(folder: Path) -> RunState:
    """Where the run of a checkpoint stands. Raises CheckpointError."""
    return read_plan(folder, STATE_FILE, RunState)


def read_state(folder: Path) -> tuple[RunState, dict[str, Tensor]]:
    """Read what :func:`write_state` wrote. Raises CheckpointError."""
    state = read_run_state(folder)
    tensors = load_tensors(folder, TENSORS_FILE)
    for name in tensors:
        if not _TENSOR_NAME.fullmatch(name):
            raise file_error(folder / TENSORS_FILE, f"holds {named(name)}, which is no part of a training state")
    try:
        _check_random_state(tensors)
    except ValueError as error:
        raise file_error(folder / TENSORS_FILE, f"is no training state: {error}") from error
    return state, tensors


def check_checkpoint(folder: Path, catalog: Catalog | None = None) -> None:
    """Check every file of a step's folder without making its model. Raises CheckpointError that names the first damaged one."""
    check_model_files(folder, catalog=catalog)
    read_state(folder)
    read_plan(folder, RUN_FILE, TrainPlan)


def find_checkpoint(path: str | Path, which: Literal["best", "newest"] = "best") -> Path:
    """The checkpoint folder that a path means: itself, or the best or newest one of a run's output folder, or a demo's.

    Raises CheckpointError where there is none.
    """
    path = Path(path)
    steps = saved_steps(path)
    newest = [step_folder(path, steps[-1])] if steps else []
    whole = [path, path / CHECKPOINT] if which == "best" else [path, *newest, path / LAST, path / CHECKPOINT]
    for place in whole:
        if os.path.lexists(place / MODEL_FILE):
            return place
    if not newest:
        what = "holds no checkpoint" if path.is_dir() else "is not a folder"
        if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
            what = f"is a run file, and no checkpoint; `ofa train {shlex.quote(str(path))}` makes one"
        raise CheckpointError(f"`{path}` {what}: expected `{MODEL_FILE}`, `{CHECKPOINT}` or `{CHECKPOINTS}/step-…` in it")
    best = read_run_state(newest[0]).best_step
    return step_folder(path, best) if best is not None and best in steps else newest[0]


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The generators that dropout draws from."""
    found = {"rng/cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["rng/cuda"] = torch.cuda.get_rng_state(device)
    return found


def _check_random_state(tensors: dict[str, Tensor]) -> None:
    now, saved = torch.get_rng_state(), tensors.get("rng/cpu")
    if saved is None or saved.shape != now.shape or saved.dtype != now.dtype:
        raise ValueError("`rng/cpu` is no state of the random numbers")


def restore_random_state(tensors: dict[str, Tensor], device: torch.device) -> None:
    """Take up what :func:`random_state` gave. Raises ValueError where it is something else."""
    _check_random_state(tensors)
    torch.set_rng_state(tensors["rng/cpu"])
    if device.type == "cuda" and "rng/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["rng/cuda"], device)
