"""Weights of a checkpoint: what a plan implies is known before anything is built, and what the file holds before it is read.

The model is built for its shapes alone, and these are compared with the file's header. Then the file's tensors take the place of
the model's: no weight is drawn, and none is copied. They are mapped, so that pages are read when they are used; whoever changes a
weight changes a copy of its page, never the file. A file that is replaced, as checkpoints are, stays for who has it mapped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ofa_instruction import Catalog
from ofa_instruction.errors import CatalogError
from ofa_instruction.telling import told
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ofa_models.files import CheckpointError, file_error, open_inside
from ofa_models.plans import ModelPlan
from ofa_models.shapes import shapes_alone
from ofa_models.zoo import build_model

WEIGHTS = "model.safetensors"
_MOST_HEADER_BYTES = 16 << 20
_MOST_LISTED = 3
_FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class StoredTensor(NamedTuple):
    """A tensor of a file, by its header. kind: as the format spells it, ``F32``."""

    shape: tuple[int, ...]
    kind: str


def saved_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The state of a model without the second and later names of one tensor."""
    seen: set[tuple[Any, ...]] = set()
    unique: dict[str, Tensor] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        key = (tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.shape, tensor.stride())
        if tensor.numel() and key in seen:
            continue
        seen.add(key)
        unique[name] = tensor
    return unique


def read_header(folder: Path, name: str) -> dict[str, StoredTensor]:
    """What a safetensors file says it holds; its data are not read. Raises CheckpointError."""
    path = folder / name
    with open(open_inside(folder, name), "rb", buffering=0) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MOST_HEADER_BYTES:
            raise file_error(path, f"is no safetensors file: its header would have {length:,} bytes")
    try:
        with safe_open(path, framework="numpy") as stored:
            slices = {key: stored.get_slice(key) for key in stored.keys()}  # noqa: SIM118 - it is no mapping
            return {key: StoredTensor(tuple(one.get_shape()), str(one.get_dtype())) for key, one in slices.items()}
    except (OSError, SafetensorError) as error:
        raise file_error(path, f"cannot be read as safetensors: {error}") from error


def meta_model(plan: ModelPlan, catalog: Catalog | None) -> nn.Module:
    """The model of a plan without memory. Raises CheckpointError for a plan that no model can be built from."""
    try:
        with shapes_alone():
            return build_model(plan, catalog)
    except (CatalogError, ValueError, ArithmeticError) as error:
        raise CheckpointError(told(str(error))) from error


def check_weights(model: nn.Module, folder: Path, name: str = WEIGHTS) -> None:
    """Compare a model, which may be on the meta device, with a file's header.

    Raises CheckpointError that counts the weights that are missing, unexpected or of another shape, and lists the first.
    """
    stored = read_header(folder, name)
    expected = saved_tensors(model)
    wrong = [f"missing: {key} {_shape(expected[key].shape)}" for key in expected if key not in stored]
    wrong += [f"unexpected: {told(key, 80)} {_shape(stored[key].shape)}" for key in stored if key not in expected]
    for key, tensor in expected.items():
        if key in stored and stored[key].shape != tuple(tensor.shape):
            wrong.append(f"mis-shaped: {key} is {_shape(stored[key].shape)}, the model's {_shape(tensor.shape)}")
        elif key in stored and (stored[key].kind in _FLOATS) != tensor.is_floating_point():
            wrong.append(f"of another kind: {key} is {told(stored[key].kind)}, the model's {tensor.dtype}")
    if wrong:
        more = f"; and {len(wrong) - _MOST_LISTED:,} more" if len(wrong) > _MOST_LISTED else ""
        listed = "; ".join(told(one, 100) for one in wrong[:_MOST_LISTED])
        raise file_error(folder / name, f"does not fit the model of its plan in {len(wrong):,} weights: {listed}{more}")


def load_model(plan: ModelPlan, folder: Path, catalog: Catalog | None = None) -> nn.Module:
    """The model of a plan with the weights of ``model.safetensors``. Raises CheckpointError where they do not fit."""
    try:
        model = meta_model(plan, catalog)
    except (NotImplementedError, RuntimeError, TypeError):  # a plugin whose module looks at numbers while it is made
        return _built_first(plan, folder, catalog)
    check_weights(model, folder)
    with safe_open(folder / WEIGHTS, framework="pt") as stored:
        _adopt(model, {name: stored.get_tensor(name) for name in saved_tensors(model)})
    if any(tensor.is_meta for tensor in _held(model)):  # a table that is no part of the state: it is made with the module alone
        return _built_first(plan, folder, catalog)
    return model


def load_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """The tensors of a file, mapped. Raises CheckpointError."""
    names = read_header(folder, name)
    try:
        with safe_open(folder / name, framework="pt") as stored:
            return {key: stored.get_tensor(key) for key in names}
    except (OSError, SafetensorError) as error:
        raise file_error(folder / name, f"cannot be read as safetensors: {error}") from error


def load_weights(model: nn.Module, file: str | Path) -> None:
    """Copy the weights of a file into a model that is built. Raises CheckpointError where they do not fit."""
    file = Path(file)
    check_weights(model, file.parent, file.name)
    with torch.no_grad(), safe_open(file, framework="pt") as stored:
        for key, tensor in saved_tensors(model).items():
            tensor.copy_(stored.get_tensor(key))


def _built_first(plan: ModelPlan, folder: Path, catalog: Catalog | None) -> nn.Module:
    model = build_model(plan, catalog)
    load_weights(model, folder / WEIGHTS)
    return model


def _adopt(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors in the places of the model's own, under every name that each of these has."""
    fresh: dict[int, Any] = {}
    for name, old in saved_tensors(model).items():
        new = tensors[name].to(old.dtype)
        fresh[id(old)] = nn.Parameter(new, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else new
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            held.update({key: fresh[id(old)] for key, old in held.items() if id(old) in fresh})


def _held(model: nn.Module) -> Iterable[Tensor]:
    """Every tensor that the modules of a model hold: parameters, buffers, and plain attributes."""
    for module in model.modules():
        for value in (*module._parameters.values(), *module._buffers.values(), *vars(module).values()):
            for one in value if isinstance(value, list | tuple) else (value,):
                if isinstance(one, Tensor):
                    yield one


def _shape(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"
