"""Metrics of answers that are looked at or listened to: pictures, clips, sound, motion.

# R rows, T frames, C cepstral coefficients, J joints

A reference is of the same form as the answer: a picture of its size, a clip of its frames, a sound in its mel bands, a motion of
its skeleton and rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ofa_trainer.metrics.metric import Judged, Scores, mean_scores

if TYPE_CHECKING:
    from ofa_modalities.audio.output import Audio
    from ofa_modalities.motion.output import Motion

    from ofa_trainer.metrics.specs import CepstralOptions, NoOptions

Float64 = NDArray[np.float64]

_DECIBELS = 10 / np.log(10)
_LEAST_ERROR = 1e-10


def psnr(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Peak signal-to-noise ratio in dB of pictures and clips: ``10 log10(255² / mean squared difference)``, mean over rows.

    0 dB, that of black for white, where nothing was answered.
    """
    return mean_scores([_signal_to_noise(row.answer, row.reference) for row in rows])


def _signal_to_noise(answer: object, reference: object) -> float:
    if answer is None:
        return 0.0
    error = max(float(np.square(_pixels(answer) - _pixels(reference)).mean()), _LEAST_ERROR)
    return float(10 * np.log10(255.0**2 / error))


def _pixels(value: Any) -> Float64:
    """float64 ``[H, W, 3]`` of a picture, ``[F, H, W, 3]`` of a clip."""
    frames = getattr(value, "frames", None)
    return np.asarray(value.convert("RGB") if frames is None else frames, np.float64)


def mel_cepstral_distortion(rows: Sequence[Judged], options: CepstralOptions) -> Scores:
    """Mel-cepstral distortion in dB (Kubichek 1993), the frames of answer and reference aligned by dynamic time warping.

    ``10 / ln 10 · sqrt(2 Σ (c - c')²)`` over the first coefficients but the zeroth, which is the loudness; mean over the
    path, then over rows. Coefficients are the cosine transform of the natural logarithm of the answer's own mel bands.
    """
    return mean_scores([_distortion(row, options.coefficients) for row in rows])


def _distortion(row: Judged, coefficients: int) -> float:
    said, true = (cepstra(cast("Audio", sound).mel, coefficients) for sound in (row.answer, row.reference))
    apart = np.sqrt(np.maximum(np.square(said).sum(1)[:, None] + np.square(true).sum(1) - 2 * said @ true.T, 0))
    return float(_DECIBELS * np.sqrt(2) * warped_mean(apart))


def cepstra(mel: NDArray[Any], coefficients: int) -> Float64:
    """log10 mel frames ``[T, M]`` → coefficients 1 … C of the orthonormal cosine transform of natural logarithms ``[T, C]``."""
    basis = _cosines(mel.shape[1], coefficients)
    found: Float64 = (np.asarray(mel, np.float64) * np.log(10)) @ basis.T
    return found


@lru_cache(maxsize=8)
def _cosines(num_mels: int, coefficients: int) -> Float64:
    """Rows 1 … C of the orthonormal DCT-II, float64 ``[C, M]``."""
    orders = np.arange(1, min(coefficients, num_mels - 1) + 1)[:, None]
    basis: Float64 = np.sqrt(2 / num_mels) * np.cos(np.pi * orders * (np.arange(num_mels) + 0.5) / num_mels)
    return basis


def warped_mean(apart: Float64) -> float:
    """Mean distance along the path through ``[T, T']`` with the least sum: steps right, down or both (Sakoe and Chiba 1978).

    >>> warped_mean(np.array([[0.0, 9.0], [9.0, 2.0]]))
    1.0
    """
    rows, columns = apart.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for diagonal in range(rows + columns - 1):  # cells of one diagonal depend on the two before it alone
        row = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        column = diagonal - row
        before = np.minimum(np.minimum(total[row, column + 1], total[row + 1, column]), total[row, column])
        total[row + 1, column + 1] = before + apart[row, column]
    row_, column_, steps = rows, columns, 0
    while row_ and column_:
        steps += 1
        choices = (total[row_ - 1, column_ - 1], total[row_ - 1, column_], total[row_, column_ - 1])
        step = int(np.argmin(choices))
        row_, column_ = row_ - (step != 2), column_ - (step != 1)
    return float(total[rows, columns] / steps)


def joint_error(rows: Sequence[Judged], options: NoOptions) -> Scores:
    """Mean distance between the joints of answer and reference, both seen from their roots, over the size of the skeleton.

    The shorter of the two is held still at its end.
    """
    return mean_scores([_joints_apart(cast("Motion", row.answer), cast("Motion", row.reference)) for row in rows])


def _joints_apart(said: Motion, true: Motion) -> float:
    if true.skeleton.names != said.skeleton.names:
        raise ValueError("answer and reference have different skeletons: their joints cannot be compared")
    places = [motion.positions() for motion in (said, true)]
    length = max(map(len, places))
    held = [np.concatenate([part, np.repeat(part[-1:], length - len(part), axis=0)]) for part in places]
    one, other = (part - part[:, :1] for part in held)
    return float(np.linalg.norm(one - other, axis=-1).mean() / said.skeleton.size)
