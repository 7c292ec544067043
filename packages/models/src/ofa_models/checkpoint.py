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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from ofa_instruction import Catalog, default_catalog
from ofa_instruction.plans import ClosedSetPlan
from ofa_modalities.closed_set import parse_closed_set, write_closed_set
from ofa_modalities.program import Assets
from ofa_modalities.tokenizer import TOKENIZER_FILE, TextTokenizer
from ofa_modalities.tokenizer_rules import MOST_BYTES
from ofa_modalities.vocabulary import Vocabulary
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from ofa_models.assets import asset_digests, load_assets, save_assets
from ofa_models.files import CheckpointError, file_error, read_bytes, read_plan
from ofa_models.plan_check import check_tasks
from ofa_models.plans import InferPlan
from ofa_models.weights import WEIGHTS, check_weights, load_model, load_weights, meta_model, saved_tensors

__all__ = [
    "PLAN",
    "WEIGHTS",
    "Checkpoint",
    "CheckpointError",
    "Fitted",
    "check_checkpoint",
    "find_directory",
    "load_checkpoint",
    "load_fitted",
    "load_plan",
    "load_weights",
    "replace_directory",
    "save_checkpoint",
]

PLAN, CLOSED_SETS = "plan.json", "closed_sets"
_SPARE_BYTES, _CANDIDATE_BYTES, _TOKEN_BYTES = 1 << 20, 4096, 512
_DISTRIBUTIONS = ("ofa-instruction", "ofa-modalities", "ofa-models", "torch")

ClosedSets = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Task name → name of the closed set → candidates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint, loaded: the model is on its device and in evaluation mode."""

    plan: InferPlan
    model: nn.Module
    vocabulary: Vocabulary
    closed_sets: ClosedSets
    assets: Assets = field(default_factory=dict)
    folder: Path | None = None
    """Where it was read from, for messages."""

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
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in saved_tensors(model).items()}, fresh / WEIGHTS)
        complete = plan.model_copy(update={"versions": _versions() | plan.versions, "assets": asset_digests(assets or {})})
        (fresh / PLAN).write_text(complete.model_dump_json(indent=2) + "\n", encoding="utf-8")
        vocabulary.tokenizer.save(str(fresh))
        _save_closed_sets(fresh, plan, closed_sets)
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
    """The plan of a checkpoint alone. Raises CheckpointError that names the file and the first field that is wrong."""
    return read_plan(find_directory(directory), PLAN, InferPlan)


def load_checkpoint(directory: str | Path, *, catalog: Catalog | None = None, device: torch.device | str = "cpu") -> Checkpoint:
    """Load a checkpoint: its parts are checked against each other before the model is made.

    Raises CheckpointError, of two lines at most, where there is none, where a file is missing, damaged or not the plan's, or
    where weights are missing, unexpected or of another shape.
    """
    directory = find_directory(directory)
    catalog = catalog or default_catalog()
    plan = load_plan(directory)
    fitted = load_fitted(directory, plan, catalog)
    with _naming(directory / PLAN, "`model`"):
        model = load_model(plan.model, directory, catalog)
    return Checkpoint(
        plan=plan,
        model=model.to(device).eval(),
        vocabulary=fitted.vocabulary,
        closed_sets=fitted.closed_sets,
        assets=fitted.assets,
        folder=directory,
    )


def check_checkpoint(directory: str | Path, *, catalog: Catalog | None = None) -> InferPlan:
    """Check all that :func:`load_checkpoint` checks without making the model; weights are judged by their header.

    Raises CheckpointError.
    """
    directory = find_directory(directory)
    catalog = catalog or default_catalog()
    plan = load_plan(directory)
    load_fitted(directory, plan, catalog)
    with _naming(directory / PLAN, "`model`"), suppress(NotImplementedError, RuntimeError, TypeError):
        check_weights(meta_model(plan.model, catalog), directory)
    return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a checkpoint has beside its plan and its weights."""

    vocabulary: Vocabulary
    closed_sets: ClosedSets
    assets: Assets


def load_fitted(directory: Path, plan: InferPlan, catalog: Catalog) -> Fitted:
    """Tokenizer, closed sets and assets of a checkpoint, and whether its tasks fit them. Raises CheckpointError."""
    vocabulary = _load_vocabulary(directory, plan)
    closed_sets = _load_closed_sets(directory, plan)
    assets = load_assets(directory, plan.assets)
    check_tasks(plan, catalog, closed_sets, assets, directory / PLAN)
    return Fitted(vocabulary=vocabulary, closed_sets=closed_sets, assets=assets)


def find_directory(directory: str | Path) -> Path:
    """The checkpoint's directory; one whose replacement was cut off is put back. Raises CheckpointError."""
    path = Path(directory).absolute()
    if not path.exists() and _previous(path).exists():
        _previous(path).rename(path)
    if not path.is_dir():
        raise CheckpointError(f"no checkpoint at `{directory}`: there is no such directory")
    absent = [name for name in (PLAN, WEIGHTS) if not os.path.lexists(path / name)]
    if absent:
        raise CheckpointError(f"`{directory}` is not a checkpoint: it has no {' and no '.join(f'`{name}`' for name in absent)}")
    return path


def _versions() -> dict[str, str]:
    versions: dict[str, str] = {}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _closed_set_file(plan: ClosedSetPlan) -> str:
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", plan.name)[:60]
    return f"{CLOSED_SETS}/{readable}-{plan.digest[:12]}.json"


def _save_closed_sets(directory: Path, plan: InferPlan, closed_sets: ClosedSets) -> None:
    for task in plan.tasks:
        for line in task.closed_sets:
            candidates = closed_sets.get(task.name, {}).get(line.name)
            if candidates is None:
                raise CheckpointError(f"task `{task.name}` has a closed set `{line.name}`, and its candidates were not given")
            (directory / CLOSED_SETS).mkdir(exist_ok=True)
            write_closed_set(directory / _closed_set_file(line), candidates)


def _load_closed_sets(directory: Path, plan: InferPlan) -> dict[str, dict[str, tuple[str, ...]]]:
    return {task.name: {line.name: _load_closed_set(directory, line) for line in task.closed_sets} for task in plan.tasks}


def _load_closed_set(directory: Path, plan: ClosedSetPlan) -> tuple[str, ...]:
    """The candidates of one set; the file is as large as so many candidates may make it."""
    name = _closed_set_file(plan)
    data = read_bytes(directory, name, most=_SPARE_BYTES + plan.size * _CANDIDATE_BYTES)
    with _naming(directory / name):
        return parse_closed_set(data, plan)


def _load_vocabulary(directory: Path, plan: InferPlan) -> Vocabulary:
    """The tokenizer, whose file is as large as the ids of the plan's text block may make it."""
    size = next(block.size for block in plan.vocabulary.blocks if block.name == "text")
    data = read_bytes(directory, TOKENIZER_FILE, most=min(MOST_BYTES, _SPARE_BYTES + size * _TOKEN_BYTES))
    with _naming(directory / TOKENIZER_FILE):
        return Vocabulary(plan.vocabulary, TextTokenizer(str(data, "utf-8-sig")))


@contextmanager
def _naming(path: Path, field: str = "") -> Iterator[None]:
    """What is wrong with the content of a file, said with its name."""
    try:
        yield
    except CheckpointError as error:
        if str(error).startswith("`"):
            raise
        raise file_error(path, f"{field}: {error}") from error
    except UnicodeDecodeError as error:
        raise file_error(path, f"is not UTF-8 (byte {error.start:,})") from error
    except ValueError as error:
        raise file_error(path, f"cannot be used: {error}") from error


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
