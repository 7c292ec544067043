"""How a number is spelled: as a person would write what was meant, whatever width it is kept in.

A float32 of 0.1 is 0.10000000149011612 as a double; it is spelled ``0.1``, the shortest text that means it in its own width.
Whole numbers stay whole where a library made floats of them because some are missing.

>>> spell_number(np.float32(0.1)), spell_number(np.int64(7)), spell_number(Decimal("1.50")), spell_number(0.30000000000000004)
('0.1', '7', '1.50', '0.30000000000000004')
"""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PLAIN = (str, int, float, bool, bytes, type(None))
_SPELLED = (int, float, Decimal, datetime.date, datetime.time, datetime.timedelta, uuid.UUID)
_NARROW = (np.dtype(np.float16), np.dtype(np.float32))
_EXACT_POWER = 22
"""Largest power of ten that a double holds exactly."""
_EXACT_WHOLE = 2**53


def spell_number(value: object) -> str | None:
    """The text of a number, bool, date, time or UUID, of Python, NumPy, torch or Arrow; None: it is none, or it is missing.

    Raises ValueError for a whole number of more digits than Python spells (4,300).
    """
    value = plain(value)
    if not isinstance(value, _SPELLED) or is_missing(value):
        return None
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < 40:
        return format(value, "f")  # 0E-10, as a column of ten places holds nought, is 0.0000000000
    return str(value)


def is_missing(value: object) -> bool:
    """Whether a value stands for nothing: None, NaN, pandas' NA and NaT.

    >>> is_missing(np.float32("nan")), is_missing(Decimal("nan")), is_missing(0), is_missing("")
    (True, True, False, False)
    """
    value = plain(value)
    if isinstance(value, float | Decimal):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def plain(value: Any) -> Any:
    """A scalar of NumPy, torch or Arrow (also an array without axes) as Python's; anything else as it is.

    Floats narrower than a double become the double with the shortest spelling that means them: ``0.1``.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.ndarray):
        return plain(value[()]) if value.ndim == 0 else value
    if isinstance(value, np.generic):
        return _plain_numpy(value)
    if hasattr(value, "detach") and getattr(value, "ndim", 1) == 0:
        return _plain_tensor(value)
    if hasattr(value, "as_py"):
        found, width = value.as_py(), {"float": np.float32, "halffloat": np.float16}.get(str(value.type))
        return found if width is None or found is None else _plain_numpy(width(found))
    return value


def plain_list(values: Any) -> Any:
    """Nested lists of what :func:`plain` makes of each item; of an array or tensor with axes, lists of its numbers.

    >>> plain_list(np.array([[0.1, 2.0]], np.float32))
    [[0.1, 2.0]]
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if values.is_floating_point() and values.element_size() < 4:
            return _tensor_lists(values)
        values = values.numpy()
    if isinstance(values, np.ndarray) and values.ndim:
        if values.dtype in _NARROW:
            return shortest(values).tolist()
        if values.dtype.kind in "MmO":
            return [plain_list(part) for part in values]
        return values.tolist()
    if isinstance(values, list | tuple):
        return [plain_list(part) for part in values]
    return plain(values)


def shortest(values: NDArray[Any]) -> NDArray[np.float64]:
    """Doubles with the spelling of float16 or float32 numbers, of any shape; doubles as they are.

    >>> shortest(np.array([0.1, 16777216, 1e-30], np.float32)).tolist()
    [0.1, 16777216.0, 1e-30]
    """
    if values.dtype not in _NARROW:
        return np.asarray(values, np.float64)
    flat = values.reshape(-1)
    wide = flat.astype(np.float64)
    found = wide.copy()
    pending = np.flatnonzero(np.isfinite(wide) & (wide != 0))
    exponents = np.floor(np.log10(np.abs(wide[pending]))).astype(np.int64)
    near = (exponents >= 8 - _EXACT_POWER) & (exponents <= _EXACT_POWER) & (values.dtype == np.float32)
    others, pending, exponents = pending[~near], pending[near], exponents[near]
    for digits in range(1, 10):  # nine tell any two numbers apart
        places = digits - 1 - exponents
        scale = 10.0 ** np.abs(places)
        numbers = wide[pending]
        # A whole number times or by an exact power of ten is the double nearest to the decimal, so it has its spelling.
        tried = np.where(places >= 0, np.rint(numbers * scale) / scale, np.rint(numbers / scale) * scale)
        fits = tried.astype(np.float32).astype(np.float64) == numbers
        found[pending[fits]] = tried[fits]
        pending, exponents = pending[~fits], exponents[~fits]
    for place in (*others.tolist(), *pending.tolist()):
        found[place] = float(str(flat[place]))
    return found.reshape(values.shape)


def column_values(series: Any) -> list[Any]:
    """The values of a column of a pandas frame as Python's, missing ones None.

    Whole numbers that became floats because some are missing, as pandas makes them, are whole again.
    """
    dtype = series.dtype
    missing = np.asarray(series.isna(), bool)
    if getattr(dtype, "kind", "O") == "f":
        width = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))
        numbers = np.asarray(series.to_numpy(dtype=width, na_value=np.nan))
        values = whole_numbers(numbers) or shortest(numbers).tolist()
    else:
        values = series.astype(object).tolist()
    return [None if gone else value for value, gone in zip(values, missing.tolist(), strict=True)]


def whole_numbers(numbers: NDArray[Any]) -> list[int | None] | None:
    """Floats as whole numbers where some are missing (NaN) and all others whole and exact, as a library makes them that knows no
    missing whole number; None where they are not.

    >>> whole_numbers(np.array([1.0, np.nan])), whole_numbers(np.array([1.0, 2.0])), whole_numbers(np.array([1.5, np.nan]))
    ([1, None], None, None)
    """
    gone = np.isnan(numbers)
    there = numbers[~gone]
    if not gone.any() or not len(there) or not ((np.abs(there) < _EXACT_WHOLE) & (np.trunc(there) == there)).all():
        return None
    return [None if math.isnan(number) else int(number) for number in numbers.tolist()]


def _plain_numpy(value: Any) -> Any:
    if isinstance(value, np.floating):
        return float(str(value)) if value.dtype in _NARROW else float(value)
    if isinstance(value, np.datetime64):
        unit = np.datetime_data(value.dtype)[0]
        return value.astype("datetime64[us]").item() if unit in ("ns", "ps", "fs", "as") else value.item()
    if isinstance(value, np.timedelta64):
        return value.astype("timedelta64[us]").item()
    return value.item()


def _plain_tensor(value: Any) -> Any:
    number = value.item()
    if not value.is_floating_point() or not math.isfinite(number):
        return number
    if value.element_size() == 4:
        return _plain_numpy(np.float32(number))
    return number if value.element_size() == 8 else _search(number, lambda tried: float(value.new_tensor(tried)))


def _tensor_lists(values: Any) -> Any:
    """Lists of a tensor of a narrow type, of which NumPy need not know."""
    return plain(values) if values.ndim == 0 else [_tensor_lists(part) for part in values]


def _search(number: float, narrow: Callable[[float], float]) -> float:
    """The double of fewest digits that ``narrow`` takes for ``number``."""
    tries: Sequence[float] = [float(f"{number:.{digits}e}") for digits in range(9)]
    return next((tried for tried in tries if narrow(tried) == number), number)
