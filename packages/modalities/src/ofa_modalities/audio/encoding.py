"""Log-mel frames ⇄ units, and what is done to them in training.

# T frames, M mel bands, K frames of a unit, U units, F = K · M floats of a unit
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.audio.mel import CEILING, FLOOR, Float32

MIDDLE, SPREAD = -2.5, 1.25
"""The fixed scale: about the mean and the standard deviation of speech in log10 mel."""
_LEAST_SPREAD = 1e-3
FILL = np.float32(0)
"""What stands where something is hidden: the mean."""


def stack_frames(mel: Float32, frames_per_step: int) -> Float32:
    """``[T, M]`` → ``[T / K, K · M]``; T is a multiple of K."""
    return mel.reshape(len(mel) // frames_per_step, frames_per_step * mel.shape[1])


def unstack_frames(units: NDArray[np.floating], num_mels: int) -> Float32:
    """``[U, K · M]`` → ``[U · K, M]``."""
    return np.asarray(units, np.float32).reshape(-1, num_mels)


def to_fixed_scale(mel: Float32) -> Float32:
    """log10 mel → about mean 0 and variance 1 on speech."""
    return np.asarray((mel - np.float32(MIDDLE)) / np.float32(SPREAD), np.float32)


def from_fixed_scale(values: Float32) -> Float32:
    """The way back, within what a log-mel can be; what is no number is silence."""
    mel = np.nan_to_num(values * np.float32(SPREAD) + np.float32(MIDDLE), nan=FLOOR, posinf=CEILING, neginf=FLOOR)
    return np.asarray(np.clip(mel, FLOOR, CEILING), np.float32)


def normalize_utterance(mel: Float32) -> Float32:
    """Mean 0 and variance 1 of every band over the frames ``[T, M]``; a band that never changes becomes 0."""
    return np.asarray((mel - mel.mean(0)) / np.maximum(mel.std(0), np.float32(_LEAST_SPREAD)), np.float32)


def augment_spectrum(mel: Float32, policy: str, rng: np.random.Generator) -> Float32:
    """SpecAugment without the time warp: ``mild`` hides one stretch of bands and one of time, ``strong`` two of each.

    The LD policy of Park et al. 2019 hides up to 27 of 80 bands and 100 frames (here at most a tenth of the utterance); mild
    hides a third of it at a time.
    """
    rounds, share = (2, 1.0) if policy == "strong" else (1, 1 / 3)
    num_frames, num_mels = mel.shape
    hidden = mel.copy()
    for _ in range(rounds):
        width = int(rng.integers(0, math.floor(share * 27 / 80 * num_mels) + 1))
        start = int(rng.integers(0, num_mels - width + 1))
        hidden[:, start : start + width] = FILL
        length = int(rng.integers(0, math.floor(share * min(100, num_frames / 10)) + 1))
        start = int(rng.integers(0, num_frames - length + 1))
        hidden[start : start + length] = FILL
    return hidden


def mask_spans(units: Float32, ratio: float, span: int, rng: np.random.Generator) -> Float32:
    """Units ``[U, F]`` of which ``ceil(ratio · U)`` are hidden, in spans of ``span`` that may touch."""
    wanted = min(len(units), math.ceil(ratio * len(units) - 1e-9))
    hidden = np.zeros(len(units), bool)
    while (missing := wanted - int(hidden.sum())) > 0:
        free = np.flatnonzero(~hidden)
        start = int(free[rng.integers(len(free))])
        run = np.arange(start, min(start + min(span, missing), len(units)))
        hidden[run] = True
    masked = units.copy()
    masked[hidden] = FILL
    return masked
