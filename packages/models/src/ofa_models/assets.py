"""What processors have fitted to the rows of a run, as files of a checkpoint: ``assets/NAME-DIGEST.safetensors``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_modalities.program import Assets
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

FOLDER = "assets"


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
        path = _file(checkpoint, name, digest)
        path.parent.mkdir(exist_ok=True)
        save_file({key: np.ascontiguousarray(array) for key, array in assets[name].items()}, path)


def load_assets(checkpoint: Path, digests: Mapping[str, str]) -> dict[str, Mapping[str, NDArray[Any]]]:
    """The assets of a checkpoint. Raises ValueError for one that is missing, unreadable or changed."""
    found: dict[str, Mapping[str, NDArray[Any]]] = {}
    for name, digest in digests.items():
        path = _file(checkpoint, name, digest)
        try:
            arrays = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"the asset `{name}` cannot be read from `{path}`: {error}") from error
        if asset_digest(arrays) != digest:
            raise ValueError(f"`{path}` is not the asset `{name}` that the plan names: its content differs")
        found[name] = arrays
    return found


def _file(checkpoint: Path, name: str, digest: str) -> Path:
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:60]
    return checkpoint / FOLDER / f"{readable}-{digest[:12]}.safetensors"
