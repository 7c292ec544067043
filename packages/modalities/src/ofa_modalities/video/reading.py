"""A raw value → the frames of it that are needed, RGB, upright and small.

# F frames asked for, n frames given
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ofa_modalities.image.reading import is_picture, read_image
from ofa_modalities.media import media_source, read_object
from ofa_modalities.processor import SampleError
from ofa_modalities.reading import Reading, shown
from ofa_modalities.suffixes import PICTURES
from ofa_modalities.video.animated import read_animated
from ofa_modalities.video.clip import Clip, Frames, Limits, MirroredVideo, Shrink, Size
from ofa_modalities.video.container import is_container, read_container
from ofa_modalities.video.sampling import Times, nearest

_MAX_FRAMES = 1_000_000
MIN_FPS, MAX_FPS = 1e-4, 1e5
_MAX_FILE_BYTES = 1 << 46
"""Of a file, which is never read whole; what reading costs is limited by :class:`Limits`."""


def read_video(
    value: object,
    column: str = "video",
    *,
    times: Times,
    shrink: Shrink,
    limits: Limits | None = None,
    frame_rate: float = 25.0,
    root: Path | None = None,
    hosts: frozenset[str] = frozenset(),
) -> Clip:
    """The frames of a clip that are nearest to the moments asked for.

    value: a file that PyAV or PIL opens, whatever its suffix (as path, ``data:`` URI, URL, base64, bytes, a binary file object
    or Hugging Face ``{"bytes", "path"}``); a folder of pictures, in the natural order of their names; an array or tensor
    ``[n, H, W, 3]`` or ``[n, 3, H, W]`` (uint8, or floats in 0 .. 1); a list of pictures, each as
    :func:`ofa_modalities.read_image` takes it; or anything with ``frames`` and ``fps``, such as
    :class:`ofa_modalities.video.output.Video` and ``{"frames": …, "fps": …}``.
    times: moments by the clip's duration. shrink: size of the frames by the original size. frame_rate: of folders, arrays and
    lists. root and hosts: see :func:`ofa_modalities.media.media_source`.
    Raises SampleError for what cannot be read or exceeds the limits.
    """
    limits = limits or Limits()
    if isinstance(value, MirroredVideo):
        clip = read_video(
            value.video, column, times=times, shrink=shrink, limits=limits, frame_rate=frame_rate, root=root, hosts=hosts
        )
        return replace(clip, frames=np.ascontiguousarray(clip.frames[:, :, ::-1]))
    with Reading(column, "video"):
        if value is None:
            raise SampleError(column, "the video is missing")
        value = read_object(value, column, "video", limits.max_bytes)
        frames, rate = _frames_and_rate(value, column)
        if frames is None:
            source = _source(value, column, limits, root, hosts)
            if isinstance(source, Path) and source.is_dir():
                return _read_folder(source, column, times, shrink, limits, frame_rate, root)
            if source is not None:
                read = read_animated if is_picture(_head(source, column)) else read_container
                return read(source, column, times=times, shrink=shrink, limits=limits)
        else:
            value, frame_rate = frames, rate or frame_rate
        count, picture = _pictures(value, column, limits, root, hosts)
        return _read_pictures(count, picture, column, times, shrink, limits, frame_rate)


def _pictures(
    value: object, column: str, limits: Limits, root: Path | None, hosts: frozenset[str]
) -> tuple[int, Callable[[int], Image.Image]]:
    """How many frames a list or an array has, and how to read one."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        pictures = value
        _check_bytes(sum(map(_held_bytes, pictures)) if isinstance(pictures, list | tuple) else 0, column, limits)
        return len(pictures), lambda number: read_image(
            pictures[number], column, root=root, max_pixels=limits.max_pixels, hosts=hosts
        )[0]
    array = _as_frames(value, column, limits)
    return len(array), lambda number: read_image(array[number], column)[0]


def _frames_and_rate(value: object, column: str) -> tuple[Any, float | None]:
    """Frames and rate of a value that has both, or None. Raises SampleError for a rate that no clip has."""
    if isinstance(value, Mapping) and "frames" in value and value.keys() <= {"frames", "fps"}:
        frames, rate = value["frames"], value.get("fps")
    else:
        frames, rate = getattr(value, "frames", None), getattr(value, "fps", None)
    if frames is None:
        return None, None
    if rate is None:
        return frames, None
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not MIN_FPS <= rate <= MAX_FPS:
        raise SampleError(column, f"`fps` is a number of frames a second from {MIN_FPS:g} to {MAX_FPS:g}, not {shown(rate)}")
    return frames, float(rate)


def _source(value: object, column: str, limits: Limits, root: Path | None, hosts: frozenset[str]) -> Path | bytes | None:
    return media_source(
        value,
        column,
        root=root,
        known=lambda head: is_container(head) or is_picture(head),
        what="video",
        max_bytes=_MAX_FILE_BYTES,
        max_fetched_bytes=limits.max_bytes,
        hosts=hosts,
        folders=True,
    )


def _head(source: Path | bytes, column: str) -> bytes:
    if isinstance(source, bytes):
        return source[:256]
    try:
        with source.open("rb") as file:
            return file.read(256)
    except OSError as error:
        raise SampleError(column, f"cannot read `{source}`: {error}") from error


def _read_folder(
    folder: Path, column: str, times: Times, shrink: Shrink, limits: Limits, frame_rate: float, root: Path | None
) -> Clip:
    """The pictures of a folder; what is hidden, or a picture by neither its suffix nor its first bytes, is passed over."""
    try:
        with os.scandir(folder) as entries:
            shown = [entry.name for entry in entries if entry.is_file() and not entry.name.startswith(".")]
        names = [name for name in shown if Path(name).suffix.lower() in PICTURES or is_picture(_head(folder / name, column))]
    except OSError as error:
        raise SampleError(column, f"cannot read `{folder}`: {error}") from error
    files = [folder / name for name in sorted(names, key=natural_key)]
    if not files:
        raise SampleError(column, f"the folder `{folder}` holds no pictures")
    return _read_pictures(
        len(files),
        lambda number: read_image(files[number], column, root=root, max_pixels=limits.max_pixels)[0],
        column,
        times,
        shrink,
        limits,
        frame_rate,
    )


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Orders names as a person would: numbers inside them count as numbers.

    >>> sorted(["f10.png", "f9.png", "F1.png"], key=natural_key)
    ['F1.png', 'f9.png', 'f10.png']
    """
    parts = re.split(r"(\d+)", name.lower())
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def _read_pictures(
    count: int,
    picture: Callable[[int], Image.Image],
    column: str,
    times: Times,
    shrink: Shrink,
    limits: Limits,
    frame_rate: float,
) -> Clip:
    """Frames at a constant rate, of which only the needed ones are made."""
    if not 0 < count <= _MAX_FRAMES:
        raise SampleError(column, f"a clip has 1 to {_MAX_FRAMES:,} frames, not {count:,}")
    duration = count / frame_rate
    if duration > limits.max_duration_s:
        raise SampleError(column, f"the clip lasts {duration:,.0f} s, more than {limits.max_duration_s:,.0f} s")
    asked = np.asarray(times(duration), np.float64)
    picks = nearest(np.arange(count) / frame_rate, asked).tolist()
    found: dict[int, Frames] = {}
    original: Size | None = None
    size: Size | None = None
    for number in dict.fromkeys(picks):
        image = picture(number)
        original = original or image.size
        size = size or shrink(*original)
        found[number] = np.asarray(image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0), np.uint8)
    assert original is not None
    return Clip(
        frames=np.stack([found[number] for number in picks]),
        asked_s=asked,
        times_s=np.array(picks) / frame_rate,
        size_px=original,
        duration_s=duration,
        num_decoded=len(found),
    )


def _held_bytes(picture: Any) -> int:
    """Bytes of memory that a picture of a list holds; one in a file, or not loaded yet (``tile``), holds none."""
    match picture:
        case bytes() | str():
            return len(picture)
        case Image.Image():
            return 0 if getattr(picture, "tile", None) else picture.width * picture.height * len(picture.getbands())
        case Mapping():
            return sum(map(_held_bytes, picture.values()))
    size = getattr(picture, "nbytes", 0)
    return size if isinstance(size, int) else 0


def _check_bytes(size: int, column: str, limits: Limits) -> None:
    if size > limits.max_bytes:
        raise SampleError(column, f"the video has {size:,} bytes; at most {limits.max_bytes:,} are taken")


def _as_frames(value: object, column: str, limits: Limits) -> NDArray[Any]:
    """An array or tensor as ``[n, H, W, C]`` or ``[n, C, H, W]`` or ``[n, H, W]``, not copied where it need not be."""
    tensor: Any = value
    if hasattr(tensor, "detach") and hasattr(tensor, "cpu"):
        tensor = tensor.detach().cpu()
        value = tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()
    if not isinstance(value, np.ndarray):
        kind = type(value).__name__
        raise SampleError(column, f"a video is a path, a folder, bytes, an open file, an array or a list of pictures, not {kind}")
    if value.ndim not in (3, 4) or 0 in value.shape:
        raise SampleError(column, f"a video is [frames, H, W, 3] or [frames, 3, H, W], not {list(value.shape)}")
    _check_bytes(value.nbytes, column, limits)
    height, width = value.shape[1:3]
    if height * width > limits.max_pixels:
        raise SampleError(column, f"the video is {width} × {height} pixels, more than {limits.max_pixels} in all")
    return value
