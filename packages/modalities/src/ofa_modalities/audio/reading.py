"""A raw value → one channel of samples at the rate that is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.audio.decoding import DecodeCount, Float32, Span, decode_audio
from ofa_modalities.media import media_source, read_object
from ofa_modalities.processor import SampleError
from ofa_modalities.reading import Reading, shown

MAX_FILE_BYTES = 4 * 2**30
"""Files are not read whole, so they may be long recordings of which a part is wanted."""
_MAX_OBJECT_BYTES = 10**9
"""Of an open file, which is read whole."""
_MAGIC = (b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff", b"\x1aE\xdf\xa3", b"#!AMR", b"riff", b"wvpk", b"MAC ", b"0&\xb2u")
_LOUDEST = 16.0
"""Floats beyond this are samples in another scale than -1 .. 1."""


def is_audio(head: bytes) -> bool:
    """Whether the first bytes are those of a sound file (or of a video, whose sound can be read)."""
    if head.startswith(_MAGIC) or head[4:8] == b"ftyp":
        return True
    if head[:4] in (b"RIFF", b"RF64", b"RIFX"):
        return head[8:12] in (b"WAVE", b"AVI ")
    # The sync words of MPEG audio frames and of AAC's.
    return len(head) > 3 and head[0] == 0xFF and (head[1] & 0xF6 == 0xF0 or (head[1] & 0xE0 == 0xE0 and head[1] & 0x06 != 0))


def read_audio(
    value: object,
    column: str = "audio",
    *,
    sample_rate: int = 16_000,
    max_duration_s: float = 30.0,
    min_duration_s: float = 0.0,
    root: Path | None = None,
    hosts: frozenset[str] = frozenset(),
    count: DecodeCount | None = None,
) -> Float32:
    """The sound as float32 ``[n]``, in -1 .. 1 but for peaks, n ≥ 1, at ``sample_rate``.

    value: path, bytes, base64 or ``data:`` URI of a file, or a binary file object; Hugging Face ``{"bytes", "path"}``, which may
    also say ``start_s`` and ``stop_s``; samples with their rate as ``(samples, rate)``, ``(rate, samples)`` of a whole number and
    an array, ``{"array", "sampling_rate"}`` or ``{"array", "sample_rate"}``, or a decoder of datasets; an
    :class:`ofa_modalities.audio.output.Audio`. Samples are ``[n]`` or channels beside each other either way, floats in -1 .. 1 or
    integers in their full range. root, hosts: see :func:`ofa_modalities.media.media_source`.
    count: told how many samples of a file are decoded.
    Raises SampleError for what cannot be read, has NaN, is empty, or shorter or longer than the limits.
    """
    with Reading(column, "sound"):
        if value is None:
            raise SampleError(column, "the audio is missing")
        value = read_object(value, column, "audio", _MAX_OBJECT_BYTES)
        found = _given_samples(value, column)
        if found is not None:
            samples, rate = found
            Span(column=column, max_s=max_duration_s).check(len(samples) / max(rate, 1), rate, 1)
        else:
            samples, rate = _from_file(value, column, max_duration_s, root, hosts, count or DecodeCount())
        _check_samples(samples, rate, column, min_duration_s, max_duration_s)
        return resample(samples, rate, sample_rate)


def _check_samples(samples: Float32, rate: int, column: str, min_s: float, max_s: float) -> None:
    if not len(samples):
        raise SampleError(column, "the audio has no samples")
    if not np.isfinite(samples).all():
        raise SampleError(column, "the audio has samples that are NaN or infinite")
    peak = float(np.abs(samples).max())
    if peak > _LOUDEST:
        raise SampleError(column, f"samples of audio lie in -1 .. 1; these go up to {peak:g}")
    duration = len(samples) / rate
    if duration > max_s + 1e-6:
        raise Span(column=column, max_s=max_s).too_long()
    if duration < min_s - 1e-6:
        raise SampleError(column, f"the audio is {duration:.3f} s long, less than min_duration_s={min_s:g}")


def resample(samples: Float32, rate: int, wanted: int) -> Float32:
    """float32 ``[n]`` at ``rate`` → ``[round(n · wanted / rate)]`` at ``wanted``, at least 1, by soxr at its high quality."""
    if rate == wanted:
        return np.ascontiguousarray(samples)
    try:
        soxr = importlib.import_module("soxr")
    except ImportError as error:
        raise ImportError(f"audio of another rate needs `soxr`: pip install 'ofa-modalities[audio]' ({error})") from error
    length = max(1, round(len(samples) * wanted / rate))
    changed: Float32 = np.asarray(soxr.resample(samples, rate, wanted, quality="HQ"), np.float32)[:length]
    return np.pad(changed, (0, length - len(changed)))


def _from_file(
    value: object, column: str, max_s: float, root: Path | None, hosts: frozenset[str], count: DecodeCount
) -> tuple[Float32, int]:
    start, stop = 0.0, None
    if isinstance(value, Mapping):
        value = dict(value)
        start = _seconds(value.pop("start_s", None), "start_s", column) or 0.0
        stop = _seconds(value.pop("stop_s", None), "stop_s", column)
        if stop is not None and stop <= start:
            raise SampleError(column, f"stop_s={stop:g} is not after start_s={start:g}")
    source = media_source(value, column, root=root, known=is_audio, what="audio", max_bytes=MAX_FILE_BYTES, hosts=hosts)
    if source is None:
        kind = f"{{{', '.join(map(str, value))}}}" if isinstance(value, Mapping) else type(value).__name__
        raise SampleError(
            column, f"audio is a path, bytes, an open file, or samples with their rate as (array, rate), not {kind}"
        )
    return decode_audio(source, Span(column=column, start_s=start, stop_s=stop, max_s=max_s), count)


def _seconds(value: object, name: str, column: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < 1e9:
        raise SampleError(column, f"`{name}` is a number of seconds, not {shown(value)}")
    return float(value)


def _given_samples(value: object, column: str) -> tuple[Float32, int] | None:
    """Samples of one channel and their rate, where the value holds samples; None where it stands for a file."""
    given: Any = value
    if hasattr(given, "get_all_samples"):
        given = given.get_all_samples()
        return _mono(_array(given.data, column), column), _rate(given.sample_rate, column)
    if hasattr(given, "waveform") and hasattr(given, "sample_rate_hz"):
        return _mono(_array(given.waveform, column), column), _rate(given.sample_rate_hz, column)
    if isinstance(given, Mapping) and given.get("array") is not None:
        return _mono(_array(given["array"], column), column), _stated_rate(given, column)
    if _is_pair(given):
        return _mono(_array(given[0], column), column), _rate(given[1], column)
    if _is_pair_of_scipy(given):
        return _mono(_array(given[1], column), column), _rate(given[0], column)
    if isinstance(given, np.ndarray | list | tuple) or hasattr(given, "detach"):
        raise SampleError(column, "samples need their rate: give (array, rate) or {'array', 'sampling_rate'}")
    return None


def _is_pair(value: object) -> bool:
    """Whether it is (samples, rate), and not two samples."""
    number = int | float | np.number
    return (
        isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[1], number) and not isinstance(value[0], number)
    )


def _is_pair_of_scipy(value: object) -> bool:
    """Whether it is (rate, samples), as ``scipy.io.wavfile.read`` gives."""
    if not isinstance(value, tuple | list) or len(value) != 2 or isinstance(value[0], bool):
        return False
    return isinstance(value[0], int | np.integer) and (isinstance(value[1], np.ndarray | list) or hasattr(value[1], "detach"))


def _stated_rate(value: Mapping[str, object], column: str) -> int:
    """The rate beside ``array``, under the name of datasets or that of torchaudio."""
    stated = {_rate(value[name], column) for name in ("sampling_rate", "sample_rate") if value.get(name) is not None}
    if not stated:
        raise SampleError(column, "samples need their rate: give {'array', 'sampling_rate'} or {'array', 'sample_rate'}")
    if len(stated) > 1:
        raise SampleError(column, f"`sampling_rate` and `sample_rate` differ: {sorted(stated)}")
    return stated.pop()


def _rate(value: object, column: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < 2**31 or value != int(value):
        raise SampleError(column, f"the rate of samples is a whole number of Hz, not {shown(value)}")
    return int(value)


def _array(value: object, column: str) -> NDArray[Any]:
    given: Any = value
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.float().numpy() if given.is_floating_point() else given.numpy()
    try:
        array = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise SampleError(column, f"samples are numbers: {error}") from error
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
        raise SampleError(column, f"samples are [n] or [n, channels] numbers, not {list(array.shape)} of {array.dtype}")
    if array.ndim == 2 and 0 in array.shape:
        raise SampleError(column, f"the audio has 0 channels or no samples: {list(array.shape)}")
    return array


def _mono(array: NDArray[Any], column: str) -> Float32:
    """Channels mixed to one; they are the shorter axis. Integers are brought to -1 .. 1."""
    kind, dtype = array.dtype.kind, array.dtype
    if kind == "u":
        half = float(2 ** (8 * dtype.itemsize - 1))
        array = (array.astype(np.float32) - np.float32(half)) / np.float32(half)
    elif kind == "i":
        if dtype.itemsize == 8:
            # Numbers out of JSON or a plain list have no width of their own.
            raise SampleError(column, "64-bit integers are no samples: give floats in -1 .. 1, or 8, 16 or 32 bits")
        array = array.astype(np.float32) / np.float32(2 ** (8 * dtype.itemsize - 1))
    elif array.dtype == np.float64 and array.size and np.isfinite(array).all() and np.abs(array).max() > _LOUDEST:
        raise SampleError(column, f"samples of audio lie in -1 .. 1; these go up to {np.abs(array).max():g}")
    samples = array.astype(np.float32)
    if samples.ndim == 2:
        samples = samples.mean(int(np.argmin(samples.shape)), dtype=np.float32)
    return samples
