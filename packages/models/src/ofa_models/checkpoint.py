"""Checkpoints: a directory that holds all that inference needs, and nothing that could run code.

    model.safetensors           weights; tensors that share memory are stored once
    plan.json                   the InferPlan: model, tasks, vocabulary, generation defaults, versions
    tokenizer.json              the tokenizer
    closed_sets/NAME-DIGEST.json  candidates of each closed set, once however many tasks use it
    assets/NAME-DIGEST.safetensors  what processors have fitted to the rows of the run (code books, means), where there is some

A directory is written beside its place, flushed, and renamed into it: whoever is killed in between leaves the old one.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from ofa_instruction import Catalog
from ofa_instruction.plans import ClosedSetPlan
from ofa_modalities.closed_set import read_closed_set, write_closed_set
from ofa_modalities.program import Assets
from ofa_modalities.tokenizer import load_tokenizer
from ofa_modalities.vocabulary import Vocabulary
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ofa_models.assets import asset_digests, load_assets, save_assets
from ofa_models.plans import InferPlan
from ofa_models.zoo import build_model

WEIGHTS, PLAN, CLOSED_SETS = "model.safetensors", "plan.json", "closed_sets"
_DISTRIBUTIONS = ("ofa-instruction", "ofa-modalities", "ofa-models", "torch")

ClosedSets = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Task name → name of the closed set → candidates."""


class CheckpointError(ValueError):
    """A directory that is no checkpoint, or one whose parts do not fit each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint, loaded: the model is on its device and in evaluation mode."""

    plan: InferPlan
    model: nn.Module
    vocabulary: Vocabulary
    closed_sets: ClosedSets
    assets: Assets = field(default_factory=dict)

    def __repr__(self) -> str:
        million = sum(parameter.numel() for parameter in self.model.parameters()) / 1e6
        names = ", ".join(task.name for task in self.plan.tasks)
        tasks = names if len(names) <= 60 else f"{len(self.plan.tasks)} tasks"
        return f"Checkpoint({self.plan.model.backend} {self.plan.model.size}, {million:.2f} M parameters; {tasks})"


def save_checkpoint(
    directory: str | Path,
    *,
    plan: InferPlan,
    model: nn.Module,
    vocabulary: Vocabulary,
    closed_sets: ClosedSets,
    assets: Assets | None = None,
    extra: Callable[[Path], None] | None = None,
) -> None:
    """Write a checkpoint atomically; an older one at the same place is replaced.

    extra: writes further files (of a trainer) into the directory it is given, before it takes its place.
    Raises CheckpointError where the directory exists and is not a checkpoint, or cannot be written.
    """

    def fill(fresh: Path) -> None:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in _weights(model).items()}, fresh / WEIGHTS)
        complete = plan.model_copy(update={"versions": _versions() | plan.versions, "assets": asset_digests(assets or {})})
        (fresh / PLAN).write_text(complete.model_dump_json(indent=2) + "\n", encoding="utf-8")
        vocabulary.tokenizer.save(str(fresh))
        _save_closed_sets(fresh / CLOSED_SETS, plan, closed_sets)
        save_assets(fresh, assets or {})
        if extra is not None:
            extra(fresh)

    replace_directory(directory, fill)


def replace_directory(directory: str | Path, fill: Callable[[Path], None]) -> None:
    """Have ``fill`` write a checkpoint into an empty directory, which then takes its place whole; an older one is replaced.

    Raises CheckpointError where the directory exists and is not a checkpoint, or cannot be written: the older one stays.
    """
    directory = Path(directory).absolute()
    if directory.exists() and not (directory / PLAN).exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise CheckpointError(f"`{directory}` exists and is not a checkpoint; choose another directory or empty it")
    fresh: Path | None = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{directory.name}.new-", dir=directory.parent))
        fill(fresh)
        _flush(fresh)
        fresh.chmod(0o755)
        _take_place(fresh, directory)
    except (OSError, SafetensorError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        kept = "; what was there is unchanged" if directory.exists() else ""
        raise CheckpointError(f"`{directory}` cannot be written: {reason}{kept}") from error
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)


def load_plan(directory: str | Path) -> InferPlan:
    """The plan of a checkpoint alone. Raises CheckpointError."""
    directory = find_directory(directory)
    try:
        return InferPlan.model_validate_json((directory / PLAN).read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise CheckpointError(f"`{directory / PLAN}` is not a plan that this version reads: {error}") from error


def load_checkpoint(directory: str | Path, *, catalog: Catalog | None = None, device: torch.device | str = "cpu") -> Checkpoint:
    """Load a checkpoint.

    Raises CheckpointError where there is none, or where weights are missing, unexpected or of another shape (all listed).
    """
    directory = find_directory(directory)
    plan = load_plan(directory)
    model = build_model(plan.model, catalog)
    load_weights(model, directory / WEIGHTS)
    try:
        vocabulary = Vocabulary(plan.vocabulary, load_tokenizer(directory))
        closed_sets = _load_closed_sets(directory / CLOSED_SETS, plan)
        assets = load_assets(directory, plan.assets)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"checkpoint `{directory}`: {error}") from error
    return Checkpoint(plan=plan, model=model.to(device).eval(), vocabulary=vocabulary, closed_sets=closed_sets, assets=assets)


def load_weights(model: nn.Module, file: str | Path) -> None:
    """Fill a model from a safetensors file. Raises CheckpointError that lists every weight that does not fit."""
    try:
        stored = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"`{file}` cannot be read: {error}") from error
    expected = _weights(model)
    wrong = [f"missing: {name} {_shape(expected[name])}" for name in expected if name not in stored]
    wrong += [f"unexpected: {name} {_shape(stored[name])}" for name in stored if name not in expected]
    wrong += [
        f"mis-shaped: {name} is {_shape(stored[name])}, the model's {_shape(tensor)}"
        for name, tensor in expected.items()
        if name in stored and stored[name].shape != tensor.shape
    ]
    if wrong:
        raise CheckpointError(f"`{file}` does not fit the model in {len(wrong)} weights:\n  " + "\n  ".join(wrong))
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(stored[name])


def find_directory(directory: str | Path) -> Path:
    """The checkpoint's directory; one whose replacement was cut off is put back. Raises CheckpointError."""
    path = Path(directory).absolute()
    if not path.exists() and _previous(path).exists():
        _previous(path).rename(path)
    if not path.is_dir():
        raise CheckpointError(f"no checkpoint at `{directory}`: there is no such directory")
    absent = [name for name in (PLAN, WEIGHTS) if not (path / name).is_file()]
    if absent:
        raise CheckpointError(f"`{directory}` is not a checkpoint: it has no {' and no '.join(f'`{name}`' for name in absent)}")
    return path


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """The state of a model without the second and later names of one tensor."""
    seen: set[tuple[int, torch.Size, tuple[int, ...]]] = set()
    unique: dict[str, Tensor] = {}
    for name, tensor in model.state_dict(keep_vars=False).items():
        key = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.numel() and key in seen:
            continue
        seen.add(key)
        unique[name] = tensor
    return unique


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"


def _versions() -> dict[str, str]:
    versions: dict[str, str] = {}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _closed_set_file(directory: Path, plan: ClosedSetPlan) -> Path:
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", plan.name)[:60]
    return directory / f"{readable}-{plan.digest[:12]}.json"


def _save_closed_sets(directory: Path, plan: InferPlan, closed_sets: ClosedSets) -> None:
    for task in plan.tasks:
        for line in task.closed_sets:
            candidates = closed_sets.get(task.name, {}).get(line.name)
            if candidates is None:
                raise CheckpointError(f"task `{task.name}` has a closed set `{line.name}`, and its candidates were not given")
            directory.mkdir(exist_ok=True)
            write_closed_set(_closed_set_file(directory, line), candidates)


def _load_closed_sets(directory: Path, plan: InferPlan) -> dict[str, dict[str, tuple[str, ...]]]:
    return {
        task.name: {line.name: read_closed_set(_closed_set_file(directory, line), line) for line in task.closed_sets}
        for task in plan.tasks
    }


def _flush(directory: Path) -> None:
    """Have every file and directory below reach the disk."""
    for path in [*directory.rglob("*"), directory]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _previous(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.previous")


def _take_place(fresh: Path, directory: Path) -> None:
    previous = _previous(directory)
    if directory.exists():
        shutil.rmtree(previous, ignore_errors=True)
        directory.rename(previous)
    fresh.rename(directory)
    shutil.rmtree(previous, ignore_errors=True)
    handle = os.open(directory.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
