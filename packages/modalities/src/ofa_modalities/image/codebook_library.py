"""A code book out of a VQ model directory that transformers wrote: Emu3's or Janus', encoder and decoder.

Weights and configuration become arrays of the asset, so that a checkpoint stands alone and the directory may go.

    # N pictures, S side in pixels, G side of the grid of codes
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ofa_modalities.image.codebook import to_floats, to_pixels
from ofa_modalities.image.spec import CodeBookOptions

_CONFIG, _MEAN, _STD = "config.json", "image_mean", "image_std"
_CLASSES = {"emu3_vqgan": ("Emu3VQVAE", "codebook_size"), "janus_vqgan": ("JanusVQVAE", "num_embeddings")}
"""By the ``model_type`` of a configuration: the class, and the field that counts its codes."""


def library_arrays(directory: str, options: CodeBookOptions) -> dict[str, NDArray[Any]]:
    """The model of a directory as arrays. Raises ValueError where there is none, or it does not have what the options say."""
    path = Path(directory)
    try:
        config = json.loads((path / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"`{directory}` is not a model directory of transformers: {error}") from error
    name, counts = _class_of(str(config.get("model_type")), directory)
    try:
        model = getattr(_library(), name).from_pretrained(path, local_files_only=True, use_safetensors=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"the model in `{directory}` cannot be loaded: {error}") from error
    _check(model.config, int(getattr(model.config, counts)), directory, options)
    mean, std = _normalisation(path)
    arrays: dict[str, NDArray[Any]] = {
        f"model.{key}": np.ascontiguousarray(tensor.detach().float().numpy() if tensor.is_floating_point() else tensor.numpy())
        for key, tensor in model.state_dict().items()
    }
    text = json.dumps(model.config.to_dict(), sort_keys=True, default=str).encode()
    return arrays | {_CONFIG: np.frombuffer(text, np.uint8).copy(), _MEAN: mean, _STD: std}


def _class_of(model_type: str, directory: str) -> tuple[str, str]:
    if model_type not in _CLASSES:
        known = ", ".join(f"`{kind}`" for kind in _CLASSES)
        raise ValueError(f"`{directory}` holds a `{model_type}`, not a VQ model with encoder and decoder: {known}")
    return _CLASSES[model_type]


def _check(config: Any, codes: int, directory: str, options: CodeBookOptions) -> None:
    downsample = 2 ** (len(config.channel_multiplier) - 1)
    for name, theirs in (("codes", codes), ("downsample", downsample)):
        if getattr(options, name) != theirs:
            raise ValueError(f"the model in `{directory}` needs {name}={theirs}; the slot says {getattr(options, name)}")
    if config.model_type == "janus_vqgan" and options.side != config.num_patches:
        size = config.num_patches * downsample
        raise ValueError(f"the model in `{directory}` needs size={size}; the slot says {options.size}")


def _normalisation(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and spread of pixels in 0 .. 1, as the directory's preprocessor says; 0.5 where it says nothing."""
    try:
        said = json.loads((path / "preprocessor_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        said = {}
    mean, std = (np.broadcast_to(np.asarray(said.get(name, 0.5), np.float32), 3).copy() for name in (_MEAN, _STD))
    return mean, std


def _library() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ImportError("VQ models of a directory need transformers: pip install 'ofa-modalities[codebook]'") from error
    return transformers


class LibraryCodeBook:
    """The model of arrays that :func:`library_arrays` gave."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Raises ValueError where the arrays are not those of such a model."""
        if _CONFIG not in arrays:
            raise ValueError("the arrays are not those of a model directory: they have no configuration")
        config = json.loads(arrays[_CONFIG].tobytes())
        self.kind = str(config["model_type"])
        implementation = getattr(_library(), _class_of(self.kind, "the asset")[0])
        self.model = implementation(implementation.config_class.from_dict(config))
        state = {key[6:]: torch.from_numpy(np.array(array)) for key, array in arrays.items() if key.startswith("model.")}
        try:
            self.model.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"the arrays are not those of a {self.kind}: {error}") from error
        self.model.requires_grad_(False).eval()
        # to_floats and to_pixels speak of -1 .. 1
        self._mean, self._std = (torch.from_numpy(np.array(arrays[name])).view(3, 1, 1) for name in (_MEAN, _STD))

    def encode(self, pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
        """uint8 ``[N, S, S, 3]`` → ``[N, G, G]``, one picture at a time."""
        return np.stack([self._encode_one(picture[None]) for picture in pictures])

    def _encode_one(self, picture: NDArray[np.uint8]) -> NDArray[np.int64]:
        with torch.inference_mode():
            pixels = ((to_floats(picture) + 1) / 2 - self._mean) / self._std
            side = torch.tensor([pixels.shape[-2:]])
            out = self.model.encode(pixels, image_sizes=side) if self.kind == "emu3_vqgan" else self.model.encode(pixels)
            tokens: Tensor = out.image_tokens[0] if self.kind == "emu3_vqgan" else out.image_tokens
        grid: NDArray[np.int64] = tokens.long().reshape(-1).numpy()
        side_codes = int(np.sqrt(len(grid)))
        return grid.reshape(side_codes, side_codes)

    def decode(self, codes: NDArray[np.int64]) -> NDArray[np.uint8]:
        """``[N, G, G]`` → uint8 ``[N, S, S, 3]``, one picture at a time."""
        return np.concatenate([self._decode_one(grid) for grid in codes])

    def _decode_one(self, grid: NDArray[np.int64]) -> NDArray[np.uint8]:
        with torch.inference_mode():
            tokens = torch.from_numpy(np.ascontiguousarray(grid))[None]
            made: Tensor = self.model.decode(tokens if self.kind == "emu3_vqgan" else tokens.flatten(1))
            return to_pixels((made.float() * self._std + self._mean) * 2 - 1)
