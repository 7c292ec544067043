"""A raw value → :class:`Motion`: a BVH or npz file in any guise, arrays by name, or a motion already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ofa_modalities.media import media_source, read_object
from ofa_modalities.motion.arrays import is_npz, motion_from_arrays, read_npz
from ofa_modalities.motion.bvh import MAX_NUMBERS, is_bvh, read_bvh
from ofa_modalities.motion.output import Motion, Up
from ofa_modalities.processor import SampleError
from ofa_modalities.reading import Reading

MAX_BYTES = 64_000_000


def read_motion(
    value: object,
    column: str = "motion",
    *,
    up: Up = "y",
    root: Path | None = None,
    hosts: frozenset[str] = frozenset(),
    max_bytes: int = MAX_BYTES,
    max_numbers: int = MAX_NUMBERS,
) -> Motion:
    """The motion that ``value`` stands for, at its own rate.

    value: path, ``data:`` URI, URL, base64 or bytes of a BVH or npz file (told apart by their first bytes), Hugging Face
    ``{"bytes", "path"}``, a mapping of arrays (see :mod:`ofa_modalities.motion.arrays`), or a :class:`Motion`.
    up: of what does not say it. root and hosts: see :func:`ofa_modalities.media.media_source`.
    Raises SampleError for what cannot be read, is larger than ``max_bytes`` or has more than ``max_numbers`` angles.
    """
    if isinstance(value, Motion):
        return value
    with Reading(column, "motion"):
        if value is None:
            raise SampleError(column, "the motion is missing")
        value = read_object(value, column, "motion", max_bytes)
        if isinstance(value, Mapping) and "rotations" in value:
            return motion_from_arrays(value, up=up, max_numbers=max_numbers)
        source = media_source(value, column, root=root, known=_is_motion, what="motion", max_bytes=max_bytes, hosts=hosts)
        if source is None:
            keys = ", ".join(map(str, value)) if isinstance(value, Mapping) else ""
            what = f"a mapping of {keys}" if keys else type(value).__name__
            raise SampleError(column, f"a motion is a BVH or npz file, arrays by name or a Motion, not {what[:80]}")
        return _read_file(source, column, up, max_bytes, max_numbers)


def _read_file(source: Path | bytes, column: str, up: Up, max_bytes: int, max_numbers: int) -> Motion:
    content = source.read_bytes() if isinstance(source, Path) else source
    if len(content) > max_bytes:
        raise SampleError(column, f"the motion has {len(content):,} bytes; at most {max_bytes:,} are read")
    if is_npz(content):
        return read_npz(content, up=up, max_numbers=max_numbers)
    if is_bvh(content):
        return read_bvh(content, up=up, max_numbers=max_numbers)
    raise SampleError(column, f"not a readable motion: neither BVH nor npz; it begins with {content[:16]!r}")


def _is_motion(head: bytes) -> bool:
    return is_bvh(head) or is_npz(head)
