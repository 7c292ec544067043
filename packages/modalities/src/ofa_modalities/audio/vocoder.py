"""A neural vocoder in place of Griffin-Lim: SpeechT5HifiGan of transformers, out of a local folder.

Weights and configuration become arrays of an asset, so that a checkpoint stands alone and the folder may go. A vocoder was
trained on frames of one kind, so its configuration must agree with the slot's. The published SpeechT5 vocoder is that of
``sample_rate=16000, num_mels=80, hop_ms=16, window_ms=64``.

    # T frames, M mel bands
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.audio.mel import Float32, MelSettings

_CONFIG = "config.json"


def vocoder_arrays(folder: str) -> dict[str, NDArray[Any]]:
    """The vocoder in ``folder`` (config.json, model.safetensors) as arrays.

    Raises ValueError where there is none; nothing is fetched.
    """
    library = _library()
    if not (Path(folder) / _CONFIG).is_file():
        raise ValueError(f"`{folder}` is no folder of a vocoder: it has no {_CONFIG}")
    try:
        model = library.SpeechT5HifiGan.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"`{folder}` holds no SpeechT5HifiGan: {error}") from error
    text = json.dumps(model.config.to_dict(), sort_keys=True, default=str).encode()
    weights = {
        f"model.{key}": np.ascontiguousarray(tensor.detach().float().numpy()) for key, tensor in model.state_dict().items()
    }
    return weights | {_CONFIG: np.frombuffer(text, np.uint8).copy()}


@lru_cache(maxsize=2)
def load_vocoder(folder: str) -> Vocoder:
    """The vocoder in ``folder``. Raises ValueError where there is none."""
    return Vocoder(vocoder_arrays(folder), name=folder)


class Vocoder:
    """The vocoder of arrays that :func:`vocoder_arrays` gave. Its model is made when the first sound is asked for."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], *, name: str) -> None:
        """name: the folder, for messages. Raises ValueError where the arrays are not those of a vocoder."""
        if _CONFIG not in arrays:
            raise ValueError(f"the arrays of `{name}` are not those of a vocoder: they have no configuration")
        self.name = name
        self._arrays = arrays
        self._config: dict[str, Any] = json.loads(arrays[_CONFIG].tobytes())
        self._model: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}

    def check(self, settings: MelSettings) -> None:
        """Raises ValueError where the vocoder's frames are not those of ``settings``."""
        config = self._config
        theirs = (config["sampling_rate"], config["model_in_dim"], math.prod(config["upsample_rates"]))
        ours = (settings.sample_rate_hz, settings.num_mels, settings.hop)
        if theirs != ours:
            raise ValueError(
                f"the vocoder `{self.name}` reads frames of sample_rate={theirs[0]}, num_mels={theirs[1]},"
                f" hop_ms={1000 * theirs[2] / theirs[0]:g}; the slot has {ours[0]}, {ours[1]}, {1000 * ours[2] / ours[0]:g}"
            )

    def vocode(self, mel: Float32, settings: MelSettings) -> Float32:
        """log10 mel ``[T, M]`` → samples ``[T · hop]`` in -1 .. 1. Raises ValueError as :meth:`check` does."""
        import torch

        self.check(settings)
        if not len(mel):
            return np.zeros(0, np.float32)
        if self._model is None:
            self._model = self._make()
        with torch.no_grad():
            samples = self._model(torch.from_numpy(np.array(mel, np.float32)))
        found: Float32 = samples.float().cpu().numpy().reshape(-1).clip(-1, 1)
        return found

    def _make(self) -> Any:
        import torch

        library = _library()
        model = library.SpeechT5HifiGan(library.SpeechT5HifiGanConfig.from_dict(self._config))
        state = {key[6:]: torch.from_numpy(np.array(array)) for key, array in self._arrays.items() if key.startswith("model.")}
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"the arrays of `{self.name}` are not those of a SpeechT5HifiGan: {error}") from error
        return model.requires_grad_(False).eval()


def _library() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ImportError(f"a vocoder needs `transformers`: pip install 'ofa-modalities[audio]' ({error})") from error
    return transformers
