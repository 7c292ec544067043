"""What processors have fitted to the rows of a run, as files of a checkpoint: ``assets/NAME-DIGEST.safetensors``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.telling import named
from ofa_modalities.program import Assets
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from ofa_models.files import file_error, read_bytes

FOLDER = "assets"
MOST_ASSET_BYTES = 256 << 20


def asset_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def asset_digests(assets: Assets) -> dict[str, str]:
    """Digest of each asset by its name, as a plan keeps them."""
    return {name: asset_digest(arrays) for name, arrays in sorted(assets.items())}


def save_assets(checkpoint: Path, assets: Assets) -> None:
    """Write one file an asset below ``checkpoint``."""
    for name, digest in asset_digests(assets).items():
        path = checkpoint / _file(name, digest)
        path.parent.mkdir(exist_ok=True)
        save_file({key: np.ascontiguousarray(array) for key, array in assets[name].items()}, path)


def load_assets(checkpoint: Path, digests: Mapping[str, str]) -> dict[str, Mapping[str, NDArray[Any]]]:
    """The assets of a checkpoint. Raises CheckpointError for one that is missing, unreadable or changed."""
    found: dict[str, Mapping[str, NDArray[Any]]] = {}
    for name, digest in digests.items():
        file = _file(name, digest)
        data = read_bytes(checkpoint, file, most=MOST_ASSET_BYTES)
        try:
            arrays = load(data)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:  # the last ones of kinds that numpy does not have
            raise file_error(checkpoint / file, f"cannot be read as safetensors: {error}") from error
        if asset_digest(arrays) != digest:
            raise file_error(checkpoint / file, f"is not the asset {named(name)} that the plan names: its content differs")
        found[name] = arrays
    return found


def _file(name: str, digest: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:60]
    return f"{FOLDER}/{readable}-{digest[:12]}.safetensors"
