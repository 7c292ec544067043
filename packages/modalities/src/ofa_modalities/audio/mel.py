"""Waveform ⇄ log-mel frames.

    # n samples, T frames, B bins of the Fourier transform, M mel bands

Frames are those of transformers' ``audio_utils`` (SpeechT5's settings: magnitude, Slaney's bands, log10), laid so that
``T · hop`` samples give exactly ``T`` frames, each centred on its hop. The way back is the bands' least squares with
non-negative magnitudes, then the fast Griffin-Lim algorithm for the phases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Complex = NDArray[np.complexfloating[Any, Any]]

FLOOR = -5.0
"""The least log-mel: bands that are more silent are taken as this."""
CEILING = 3.0
"""No log-mel of samples in -1 .. 1 is larger under windows of up to 400 ms."""
_CHUNK = 4096
_TINY = np.float32(1e-12)
_GROUP = 10
"""Bands that are multiplied together."""
_ONE_THREAD = 200_000
"""Multiplications of a product that OpenBLAS does not share among threads; it does from 2^18 on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MelSettings:
    """What a log-mel frame is. hop and window are in samples; bands lie between min_hz and max_hz."""

    sample_rate_hz: int
    num_mels: int
    hop: int
    window: int
    min_hz: float
    max_hz: float

    @classmethod
    def of(cls, *, sample_rate: int, num_mels: int, hop_ms: float, window_ms: float, min_hz: float, max_hz: float) -> MelSettings:
        """The nearest whole samples of times in ms; bands end at half the sample rate at most."""
        hop = max(1, round(sample_rate * hop_ms / 1000))
        return cls(
            sample_rate_hz=sample_rate,
            num_mels=num_mels,
            hop=hop,
            window=max(2, hop, round(sample_rate * window_ms / 1000)),
            min_hz=min_hz,
            max_hz=min(max_hz, sample_rate / 2),
        )

    @property
    def fft(self) -> int:
        """Length of the Fourier transform: the next power of two."""
        return 1 << (self.window - 1).bit_length()

    def num_frames(self, num_samples: int) -> int:
        """Frames of so many samples: the last one may be part silence."""
        return -(-num_samples // self.hop)


@lru_cache(maxsize=16)
def mel_filters(settings: MelSettings) -> Float32:
    """float32 ``[B, M]``. Raises ValueError where a band is narrower than the bins of the Fourier transform."""
    filters = np.asarray(_audio_utils("mel_filter_bank")(
        num_frequency_bins=settings.fft // 2 + 1,
        num_mel_filters=settings.num_mels,
        min_frequency=settings.min_hz,
        max_frequency=settings.max_hz,
        sampling_rate=settings.sample_rate_hz,
        norm="slaney",
        mel_scale="slaney",
    ), np.float32)  # fmt: skip
    filters.setflags(write=False)
    return filters


@lru_cache(maxsize=16)
def _inverse_filters(settings: MelSettings) -> Float32:
    """float32 ``[M, B]``: the pseudo-inverse of the bands."""
    inverse = np.linalg.pinv(mel_filters(settings)).astype(np.float32)
    inverse.setflags(write=False)
    return inverse


class _Group(NamedTuple):
    """Neighbouring bands, and the bins that they see. filters: float32 ``[bins, bands]``."""

    bands: slice
    bins: slice
    filters: Float32


@lru_cache(maxsize=16)
def _groups(settings: MelSettings) -> tuple[_Group, ...]:
    """The filters without most of their zeros: a sixth of the work, in products that are small."""
    filters = mel_filters(settings)
    found = []
    for first in range(0, settings.num_mels, _GROUP):
        some = filters[:, first : first + _GROUP]
        seen = np.flatnonzero(some.any(1))
        bins = slice(int(seen[0]), int(seen[-1]) + 1) if len(seen) else slice(0, 0)
        found.append(_Group(slice(first, first + some.shape[1]), bins, np.ascontiguousarray(some[bins])))
    return tuple(found)


def _to_bands(magnitude: Float32, settings: MelSettings) -> Float32:
    """``[T, B]`` → ``[T, M]``: the product with the filters."""
    bands = np.empty((len(magnitude), settings.num_mels), np.float32)
    for group in _groups(settings):
        bands[:, group.bands] = _product(magnitude[:, group.bins], group.filters)
    return bands


def _from_bands(bands: Float32, settings: MelSettings) -> Float32:
    """``[T, M]`` → ``[T, B]``: the product with the filters, transposed."""
    magnitude = np.zeros((len(bands), settings.fft // 2 + 1), np.float32)
    for group in _groups(settings):
        magnitude[:, group.bins] += _product(bands[:, group.bands], group.filters.T)
    return magnitude


def _product(left: Float32, right: Float32) -> Float32:
    """``left @ right`` by so few rows at a time that BLAS stays on this thread.

    Its threads spin while they wait, and a loader worker that shares its core with others waits longer than it computes.
    """
    rows = max(1, _ONE_THREAD // max(1, right.size))
    if len(left) <= rows:
        return left @ right
    made = np.empty((len(left), right.shape[1]), np.float32)
    for start in range(0, len(left), rows):
        made[start : start + rows] = left[start : start + rows] @ right
    return made


@lru_cache(maxsize=16)
def hann(settings: MelSettings) -> Float32:
    """float32 ``[window]``: the periodic Hann window."""
    window = np.asarray(_audio_utils("window_function")(settings.window, "hann", periodic=True), np.float32)
    window.setflags(write=False)
    return window


def _audio_utils(name: str) -> Callable[..., Any]:
    try:
        from transformers import audio_utils
    except ImportError as error:
        raise ImportError(f"log-mel frames need `transformers`: pip install 'ofa-modalities[audio]' ({error})") from error
    function: Callable[..., Any] = getattr(audio_utils, name)
    return function


def waveform_to_mel(waveform: Float32, settings: MelSettings) -> Float32:
    """Samples ``[n]`` → log10 of mel magnitudes, float32 ``[ceil(n / hop), M]`` in -5 .. 3; silence follows the last sample."""
    num_frames = settings.num_frames(len(waveform))
    mel = np.empty((num_frames, settings.num_mels), np.float32)
    padded = _padded(waveform, num_frames, settings)
    for start in range(0, num_frames, _CHUNK):
        stop = min(num_frames, start + _CHUNK)
        piece = padded[start * settings.hop : (stop - 1) * settings.hop + settings.window]
        mel[start:stop] = _to_bands(np.abs(_transform(piece, settings)), settings)
    return np.maximum(np.log10(np.maximum(mel, _TINY)), np.float32(FLOOR))


def _padded(waveform: NDArray[Any], num_frames: int, settings: MelSettings) -> Float32:
    """Silence on both sides, so that frame t is centred on samples ``t · hop .. (t + 1) · hop``."""
    left = (settings.window - settings.hop) // 2
    padded = np.zeros((num_frames - 1) * settings.hop + settings.window, np.float32)
    padded[left : left + len(waveform)] = waveform[: len(padded) - left]
    return padded


def _transform(padded: NDArray[Any], settings: MelSettings) -> Complex:
    """Padded samples → ``[T, B]``."""
    frames = np.lib.stride_tricks.sliding_window_view(padded, settings.window)[:: settings.hop]
    found: Complex = np.fft.rfft(frames * hann(settings), settings.fft, axis=1)
    return found


def _inverse(spectrum: Complex, norm: Float32, settings: MelSettings) -> Float32:
    """``[T, B]`` → padded samples: windowed overlap-add, divided by the sum of squared windows."""
    frames = np.fft.irfft(spectrum, settings.fft, axis=1)[:, : settings.window] * hann(settings)
    padded: Float32 = _overlap_add(np.asarray(frames, np.float32), settings.hop) / norm
    return padded


def _overlap_add(frames: Float32, hop: int) -> Float32:
    """``[T, W]`` added up, each ``hop`` after the one before: ``[(T - 1) · hop + W]``."""
    count, window = frames.shape
    pieces = -(-window // hop)
    laid = np.zeros((count, pieces * hop), np.float32)
    laid[:, :window] = frames
    added = np.zeros((count + pieces - 1, hop), np.float32)
    for piece in range(pieces):
        added[piece : piece + count] += laid[:, piece * hop : (piece + 1) * hop]
    return added.reshape(-1)[: (count - 1) * hop + window]


def mel_to_magnitude(mel: Float32, settings: MelSettings, steps: int = 24) -> Float32:
    """log10 mel ``[T, M]`` → magnitudes ``[T, B]`` ≥ 0 whose bands come near it.

    The pseudo-inverse is where multiplicative updates for non-negative least squares start (Lee and Seung 2000).
    """
    bands = np.power(np.float32(10), np.clip(mel, FLOOR, CEILING).astype(np.float32))
    magnitude = np.maximum(_product(bands, _inverse_filters(settings)), np.float32(10**FLOOR))
    wanted = _from_bands(bands, settings)
    for _ in range(steps):
        magnitude *= wanted / (_from_bands(_to_bands(magnitude, settings), settings) + _TINY)
    return np.asarray(magnitude, np.float32)


def griffin_lim(magnitude: Float32, settings: MelSettings, steps: int = 32, momentum: float = 0.99) -> Float32:
    """Magnitudes ``[T, B]`` → samples ``[T · hop]`` whose spectrum comes near them; the same ones every time.

    Griffin and Lim 1984 with the momentum of Perraudin, Balazs and Søndergaard 2013 ("A fast Griffin-Lim algorithm").
    """
    num_frames = len(magnitude)
    window = hann(settings)
    norm = np.maximum(_overlap_add(np.tile(window * window, (num_frames, 1)), settings.hop), np.float32(1e-3))
    turns = np.random.default_rng(0).random(magnitude.shape, np.float32)
    phases = np.asarray(np.exp(np.complex64(2j * np.pi) * turns), np.complex64)
    before: Complex | None = None
    for _ in range(steps):
        rebuilt = _transform(_inverse(magnitude * phases, norm, settings), settings)
        pushed = rebuilt if before is None else rebuilt - np.float32(momentum / (1 + momentum)) * before
        phases = np.asarray(pushed / np.maximum(np.abs(pushed), _TINY), np.complex64)
        before = rebuilt
    left = (settings.window - settings.hop) // 2
    return _inverse(magnitude * phases, norm, settings)[left : left + num_frames * settings.hop]


def mel_to_waveform(mel: Float32, settings: MelSettings, steps: int = 32) -> Float32:
    """log10 mel ``[T, M]`` → samples ``[T · hop]`` in -1 .. 1."""
    if not len(mel):
        return np.zeros(0, np.float32)
    return np.clip(griffin_lim(mel_to_magnitude(mel, settings), settings, steps), -1, 1)
