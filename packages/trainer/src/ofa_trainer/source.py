"""The source seam: rows by index, each with an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Source(Protocol):
    """Rows that can be read in any order, in any process (a source is picklable).

    A row is a mapping from column to raw value. ``epoch`` lets a source that makes rows make new ones; others ignore it.
    A source whose columns can be read in one cheap pass may have ``scan(names)``, an iterator over a tuple of values a row; the
    split into training and validation rows then keeps rows of one picture together.
    """

    def __len__(self) -> int: ...

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """Row ``index`` of ``0 .. len - 1``. Raises SampleError for a row that cannot be read."""

    def address(self, index: int) -> str:
        """Where the row came from, as a person would look it up: ``my.csv:row 12``."""

    def fingerprint(self) -> str:
        """Digest that changes when the rows do; a resumed run asks for the same."""
