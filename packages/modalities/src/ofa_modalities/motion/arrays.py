"""A motion as arrays by name: an npz file, or a mapping.

    rotations      [T, J, 3, 3] matrices, [T, J, 4] quaternions (w, x, y, z) or [T, J, 3] axis-angles in radians, each joint
                   relative to its parent
    root_position  [T, 3]
    parents        [J] number of each joint's parent, before it; -1 for the root, which is joint 0
    offsets        [J, 3] from the parent, in its frame
    fps            a number
    names          [J] texts; optional, but sides and other skeletons are told by them
    end_parents    [E], end_offsets [E, 3]  tips of bones; optional
    up             "y" or "z"; optional

Nothing is unpickled, and nothing is allocated that the file's own bytes do not fill.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ofa_modalities.motion.output import Motion, Up
from ofa_modalities.motion.rotations import Float64, axis_angles_to_matrices, quaternions_to_matrices
from ofa_modalities.motion.skeleton import MAX_JOINTS, Skeleton

_NEEDED = ("rotations", "root_position", "parents", "offsets", "fps")
_KEYS = (*_NEEDED, "names", "end_parents", "end_offsets", "up")
_TEXTS = ("names", "up")
_MAX_ENTRIES = 64
_MAX_TEXT_BYTES = 4096
_MAX_HEADER_BYTES = 10_000
"""Of an array's header, as in numpy; it is read whole before numpy measures it."""


class ArraysError(ValueError):
    """What is wrong with the arrays or their file."""


def is_npz(head: bytes) -> bool:
    """Whether the first bytes are those of a zip file, which an npz is."""
    return head[:4] == b"PK\x03\x04"


def read_npz(source: Path | bytes, *, up: Up = "y", max_numbers: int) -> Motion:
    """The motion in an npz file. Raises ArraysError; what an array's header asks for is checked before it is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            entries = archive.infolist()
            if len(entries) > _MAX_ENTRIES:
                raise ArraysError(f"it holds {len(entries)} arrays")
            found = {}
            for entry in entries:
                name = entry.filename.removesuffix(".npy")
                if name in _KEYS:
                    found[name] = _read_entry(archive, entry, name, max_numbers)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise ArraysError(f"it cannot be unpacked: {error}") from error
    return motion_from_arrays(found, up=up, max_numbers=max_numbers)


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, max_numbers: int) -> NDArray[Any]:
    with archive.open(entry) as stream:
        try:
            version = npy.read_magic(stream)
            if version not in ((1, 0), (2, 0)):
                raise ArraysError(f"`{name}` is an array of format {version}")
            read, width = (npy.read_array_header_1_0, 2) if version == (1, 0) else (npy.read_array_header_2_0, 4)
            length = stream.read(width)
            if (size := int.from_bytes(length, "little")) > _MAX_HEADER_BYTES:
                raise ArraysError(f"the header of `{name}` has {size:,} bytes; at most {_MAX_HEADER_BYTES:,} are read")
            shape, by_columns, dtype = read(io.BytesIO(length + stream.read(size)))
        except (ValueError, TypeError, OverflowError, SyntaxError) as error:
            if isinstance(error, ArraysError):
                raise
            raise ArraysError(f"`{name}` is no array: {error}") from error
        _check_header(name, shape, dtype, max_numbers)
        size = math.prod(shape) * dtype.itemsize
        content = stream.read(size + 1)
    if len(content) != size:
        raise ArraysError(f"`{name}` says {list(shape)} of {dtype} and has other bytes: it is cut off or broken")
    try:
        return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")
    except (ValueError, OverflowError) as error:
        raise ArraysError(f"`{name}` is no array: {error}") from error


def _check_header(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], max_numbers: int) -> None:
    """Raises ArraysError for an array of another kind, or of more items or bytes, than its name may stand for."""
    kinds, what = ("US", "texts") if name in _TEXTS else ("fiu", "numbers")
    if dtype.hasobject:
        raise ArraysError(f"`{name}` holds Python objects, which are not read")
    if dtype.kind not in kinds or min(shape, default=0) < 0:
        raise ArraysError(f"`{name}` is {list(shape)} of {dtype}, not {what}")
    match name:
        case "rotations":
            most = 3 * max_numbers  # a matrix has 9 numbers for 3 angles
        case "names" | "parents":
            most = MAX_JOINTS
        case "offsets":
            most = 3 * MAX_JOINTS
        case "fps" | "up":
            most = 1
        case _:
            most = max_numbers
    if math.prod(shape) > most:
        raise ArraysError(f"`{name}` is {list(shape)} of {dtype}; at most {most:,} {what} are read")
    most_bytes = _MAX_TEXT_BYTES * most if name in _TEXTS else max(16, 8 * most)
    if math.prod(shape) * dtype.itemsize > most_bytes:
        raise ArraysError(f"`{name}` is {list(shape)} of {dtype}; at most {most_bytes:,} bytes are read")


def motion_from_arrays(arrays: Mapping[str, Any], *, up: Up = "y", max_numbers: int) -> Motion:
    """The motion that arrays (or nested lists) by name say; see the module. Raises ArraysError."""
    missing = [key for key in _NEEDED if arrays.get(key) is None]
    if missing:
        raise ArraysError(f"a motion needs {', '.join(f'`{key}`' for key in _NEEDED)}; missing: {' '.join(missing)}")
    rotations = _rotations(arrays["rotations"], max_numbers)
    number = rotations.shape[1]
    names = arrays.get("names")
    try:
        skeleton = Skeleton(
            names=tuple(f"joint_{joint}" for joint in range(number)) if names is None else _names(names),
            parents=_whole(arrays["parents"], "parents"),
            offsets=_floats(arrays["offsets"], "offsets"),
            end_parents=_whole(arrays.get("end_parents", ()), "end_parents"),
            end_offsets=_floats(arrays.get("end_offsets", ()), "end_offsets").reshape(-1, 3),
        )
        said = arrays.get("up")
        return Motion(
            rotations=rotations,
            root_position=_floats(arrays["root_position"], "root_position"),
            skeleton=skeleton,
            fps=_floats(arrays["fps"], "fps").item(),
            up=up if said is None else cast("Up", str(np.asarray(said))),
        )
    except ArraysError:
        raise
    except (ValueError, OverflowError) as error:
        raise ArraysError(str(error)) from error


def write_npz(motion: Motion) -> bytes:
    """An npz file with every key of the module's list; float64, so that it is read back exactly."""
    skeleton = motion.skeleton
    content = io.BytesIO()
    np.savez_compressed(
        content,
        rotations=motion.rotations,
        root_position=motion.root_position,
        fps=np.float64(motion.fps),
        names=np.array(skeleton.names),
        parents=skeleton.parents,
        offsets=skeleton.offsets,
        end_parents=skeleton.end_parents,
        end_offsets=skeleton.end_offsets,
        up=np.array(motion.up),
    )
    return content.getvalue()


def _rotations(value: object, max_numbers: int) -> Float64:
    raw = _array(value, "rotations")
    kinds = {(4, (3, 3)): 9, (3, (4,)): 4, (3, (3,)): 3}
    if raw.ndim < 3 or (raw.ndim, raw.shape[2:]) not in kinds:
        raise ArraysError(f"`rotations` is [T, J, 3, 3], [T, J, 4] or [T, J, 3], not {list(raw.shape)}")
    frames, joints = raw.shape[:2]
    if not frames or not 1 <= joints <= MAX_JOINTS:
        raise ArraysError(f"`rotations` has {frames} frames of {joints} joints; there is 1 frame or more of 1 to {MAX_JOINTS}")
    if frames * joints * 3 > max_numbers:
        raise ArraysError(f"`rotations` has {frames:,} frames of {joints} joints; at most {max_numbers:,} angles are read")
    numbers = _floats(raw, "rotations")
    if not np.isfinite(numbers).all():
        raise ArraysError(f"frame {int(np.flatnonzero(~np.isfinite(numbers.reshape(frames, -1)).all(1))[0])} is not finite")
    if raw.ndim == 4:
        return numbers
    if raw.shape[2] == 3:
        return axis_angles_to_matrices(numbers)
    if bool((np.abs(np.linalg.norm(numbers, axis=-1) - 1) > 1e-2).any()):
        raise ArraysError("`rotations` holds quaternions whose length is not 1")
    return quaternions_to_matrices(numbers)


def _array(value: object, name: str) -> NDArray[Any]:
    tensor: Any = value
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu().numpy()
    try:
        return np.asarray(tensor)
    except ValueError as error:
        raise ArraysError(f"`{name}` is no array: its parts differ in length") from error


def _floats(value: object, name: str) -> Float64:
    raw = _array(value, name)
    if raw.dtype.kind not in "fiu" and raw.size:
        raise ArraysError(f"`{name}` holds {raw.dtype}, not numbers")
    return raw.astype(np.float64)


def _whole(value: object, name: str) -> NDArray[np.int64]:
    numbers = _floats(value, name)
    if numbers.ndim != 1 or not (np.isfinite(numbers).all() and bool((numbers == np.rint(numbers)).all())):
        raise ArraysError(f"`{name}` is a line of whole numbers")
    return np.clip(numbers, -(2**31), 2**31).astype(np.int64)


def _names(value: object) -> tuple[str, ...]:
    raw = _array(value, "names")
    if raw.ndim != 1 or raw.dtype.kind not in "US" or raw.size > MAX_JOINTS:
        raise ArraysError(f"`names` is a line of at most {MAX_JOINTS} texts, not {list(raw.shape)} of {raw.dtype}")
    return tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in raw.tolist())
