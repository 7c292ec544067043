"""Frames of animated pictures (GIF, WebP, PNG), through PIL.

Their frames build on each other, so all up to the last one that is needed are decoded; how long each is shown stands in the file
outside of the compressed data and is read first.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ofa_modalities.image.reading import check_pixels, gif_delays, load_picture, open_picture, to_rgb
from ofa_modalities.media import MAX_FILE_BYTES
from ofa_modalities.processor import SampleError
from ofa_modalities.reading import Reading
from ofa_modalities.video.clip import Clip, Frames, Limits, Shrink
from ofa_modalities.video.sampling import Times, nearest

_UNTIMED_S = 0.1
"""How long a frame is shown whose file says 0, as in browsers."""


def read_animated(source: Path | bytes, column: str, *, times: Times, shrink: Shrink, limits: Limits) -> Clip:
    """The frames nearest to the moments that ``times`` asks for; a picture that does not move is a clip of one frame.

    Raises SampleError for what is no picture, is truncated, or exceeds the limits.
    """
    with Reading(column, "animated picture"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = _content(source, column, min(limits.max_bytes, MAX_FILE_BYTES))
        with open_picture(content) as image:
            check_pixels(image.size, column, limits.max_pixels)
            return _read(image, content, column, times, shrink, limits)


def _content(source: Path | bytes, column: str, max_bytes: int) -> bytes:
    """All of the file, which PIL decodes from memory. Raises SampleError for one that is larger, and reads none of it."""
    if isinstance(source, bytes):
        _check_bytes(len(source), column, max_bytes)
        return source
    try:
        _check_bytes(source.stat().st_size, column, max_bytes)
        return source.read_bytes()
    except OSError as error:
        raise SampleError(column, f"cannot read `{source}`: {error}") from error


def _check_bytes(size: int, column: str, max_bytes: int) -> None:
    if size > max_bytes:
        raise SampleError(column, f"the animated picture has {size:,} bytes; at most {max_bytes:,} are read")


def _read(image: Image.Image, content: bytes, column: str, times: Times, shrink: Shrink, limits: Limits) -> Clip:
    shown = frame_durations(content) or [_UNTIMED_S] * getattr(image, "n_frames", 1)
    starts = np.cumsum([0.0, *shown])
    duration = float(starts[-1])
    if duration > limits.max_duration_s:
        raise SampleError(column, f"the clip lasts {duration:,.0f} s, more than {limits.max_duration_s:,.0f} s")
    asked = np.asarray(times(duration), np.float64)
    picks = nearest(starts[:-1], asked).tolist()
    wanted, last = set(picks), max(picks)
    found: dict[int, Frames] = {}
    size = shrink(*image.size)
    for number in range(last + 1):
        image.seek(number)
        load_picture(image)
        if number in wanted:
            found[number] = np.asarray(to_rgb(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0), np.uint8)
    return Clip(
        frames=np.stack([found[number] for number in picks]),
        asked_s=asked,
        times_s=starts[picks],
        size_px=image.size,
        duration_s=duration,
        num_decoded=last + 1,
    )


def frame_durations(content: bytes) -> list[float]:
    """For how many seconds each frame of a GIF, WebP or PNG is shown; empty where the file does not say.

    Frames that say 0 are shown for 0.1 s.
    """
    if content.startswith(b"GIF8"):
        found = [hundredths / 100 for hundredths in gif_delays(content)]
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        parts = (body for name, body in _riff_chunks(content) if name == b"ANMF" and len(body) >= 16)
        found = [int.from_bytes(body[12:15], "little") / 1000 for body in parts]
    elif content.startswith(b"\x89PNG"):
        controls = (struct.unpack(">HH", body[20:24]) for name, body in _png_chunks(content) if name == b"fcTL")
        found = [numerator / (denominator or 100) for numerator, denominator in controls]
    else:
        found = []
    return [duration or _UNTIMED_S for duration in found]


def _riff_chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    place, view = 12, memoryview(content)
    while place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        yield content[place : place + 4], view[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    place, view = 8, memoryview(content)
    while place + 12 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], view[place + 8 : place + 8 + size]
        place += 12 + size
