"""A neural vocoder in place of Griffin-Lim: SpeechT5HifiGan of transformers, out of a local folder.

A vocoder was trained on frames of one kind, so its configuration must agree with the slot's. The published SpeechT5 vocoder
is that of ``sample_rate=16000, num_mels=80, hop_ms=16, window_ms=64``.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ofa_modalities.audio.mel import Float32, MelSettings


@lru_cache(maxsize=2)
def load_vocoder(folder: str) -> Any:
    """The vocoder in ``folder`` (config.json, model.safetensors). Raises ValueError where there is none; nothing is fetched."""
    try:
        from transformers import SpeechT5HifiGan
    except ImportError as error:
        raise ImportError(f"a vocoder needs `transformers`: pip install 'ofa-modalities[audio]' ({error})") from error
    if not (Path(folder) / "config.json").is_file():
        raise ValueError(f"`{folder}` is no folder of a vocoder: it has no config.json")
    try:
        vocoder: Any = SpeechT5HifiGan.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"`{folder}` holds no SpeechT5HifiGan: {error}") from error
    return vocoder.eval()


def check_vocoder(folder: str, settings: MelSettings) -> None:
    """Raises ValueError where the vocoder's frames are not those of ``settings``; reads its configuration alone."""
    try:
        from transformers import SpeechT5HifiGanConfig
    except ImportError as error:
        raise ImportError(f"a vocoder needs `transformers`: pip install 'ofa-modalities[audio]' ({error})") from error
    if not (Path(folder) / "config.json").is_file():
        raise ValueError(f"`{folder}` is no folder of a vocoder: it has no config.json")
    config = SpeechT5HifiGanConfig.from_pretrained(folder, local_files_only=True)
    theirs = (config.sampling_rate, config.model_in_dim, math.prod(config.upsample_rates))
    ours = (settings.sample_rate_hz, settings.num_mels, settings.hop)
    if theirs != ours:
        raise ValueError(
            f"the vocoder `{folder}` reads frames of sample_rate={theirs[0]}, num_mels={theirs[1]},"
            f" hop_ms={1000 * theirs[2] / theirs[0]:g}; the slot has {ours[0]}, {ours[1]}, {1000 * ours[2] / ours[0]:g}"
        )


def vocode(mel: Float32, folder: str, settings: MelSettings) -> Float32:
    """log10 mel ``[T, M]`` → samples ``[T · hop]`` in -1 .. 1. Raises ValueError as :func:`check_vocoder` does."""
    import torch

    check_vocoder(folder, settings)
    if not len(mel):
        return np.zeros(0, np.float32)
    with torch.no_grad():
        samples = load_vocoder(folder)(torch.from_numpy(np.array(mel, np.float32)))
    found: Float32 = samples.float().cpu().numpy().reshape(-1).clip(-1, 1)
    return found
