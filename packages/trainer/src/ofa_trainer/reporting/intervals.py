"""How an interval is shown, wherever one is: on few rows it says so, since three equal rows bound nothing. No numpy.

>>> interval_text(0.5, 0.75, rows=40)
'[0.500, 0.750]'
>>> interval_text(1.0, 1.0, rows=3)
'(3 rows: too few for an interval)'
"""

from __future__ import annotations

LEAST_ROWS = 10
"""Rows below which a percentile bootstrap is no interval of what other rows would give."""


def has_interval(rows: int) -> bool:
    """Whether so many rows are enough for one."""
    return rows >= LEAST_ROWS


def interval_text(low: float, high: float, *, rows: int, form: str = "[{low:.3f}, {high:.3f}]") -> str:
    """The interval as ``form`` says, or that there are too few rows for one."""
    if has_interval(rows):
        return form.format(low=low, high=high)
    return f"({rows} row{'' if rows == 1 else 's'}: too few for an interval)"
