"""A raw value that may be changed: whoever gets it (a transform, a processor) works on its own and not on the user's object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_UNCHANGING = frozenset({str, int, float, bool, bytes, complex, type(None)})
_MOST_PIXELS = 50_000_000


def own_copy(value: Any) -> Any:
    """A copy of what can be changed: mappings, lists and sets with all they hold, arrays, tensors, frames, pictures.

    Anything else (a text, a path, an open file, an object of another library) comes back as it is; so does a picture that cannot
    be loaded, or is too large to be, of which its reader says what is wrong.

    >>> row = {"a": [[1, 2]], "b": "x"}
    >>> copy = own_copy(row)
    >>> copy["a"][0].append(3)
    >>> row["a"]
    [[1, 2]]
    """
    kind = type(value)
    if kind in _UNCHANGING:
        return value
    if isinstance(value, Mapping):
        return {key: own_copy(part) for key, part in value.items()}
    if kind in (list, tuple, set):
        return kind(part if type(part) in _UNCHANGING else own_copy(part) for part in value)
    if isinstance(value, bytearray):
        return bytearray(value)
    if isinstance(value, np.ndarray):
        return value.copy() if value.dtype.kind != "O" else _objects(value)
    if hasattr(value, "detach") and hasattr(value, "clone"):
        return value.detach().clone()
    if hasattr(value, "getbands") and hasattr(value, "load"):
        return _picture(value)
    if hasattr(value, "iloc") and hasattr(value, "copy"):
        return value.copy(deep=True)
    return value


def _objects(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    made = np.empty_like(array)
    for place, part in np.ndenumerate(array):
        made[place] = own_copy(part)
    return made


def _picture(picture: Any) -> Any:
    if picture.width * picture.height > _MOST_PIXELS:
        return picture
    try:
        return picture.copy()
    except Exception:  # noqa: BLE001  (a decoder raises what it likes; the reader meets it again and says so)
        return picture
