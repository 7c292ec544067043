"""A part of the rows is a spread part: a seeded choice of n of N rows, so that a sorted file gives every class its share.

The rows are cut into n stretches of equal length and one row is drawn from each. The choice comes in the order of the rows,
which files are read in fastest, costs nothing but its indices, and is the same for the same seed on every machine.

>>> spread_indices(10, 3)
[2, 5, 7]
>>> list(spread_indices(3, 10))
[0, 1, 2]
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from ofa_modalities.processor import SampleError

from ofa_trainer.source import Source

MOST_ROWS_FOR_COLUMNS = 10_000
_LONG_TEXT_SHARE = 64
"""A text of more than this part of all characters is represented by its beginning."""


def spread_indices(total: int, count: int, seed: int = 0) -> Sequence[int]:
    """``min(total, count)`` of the rows ``0 .. total - 1``, ascending: all of them, or one of each stretch."""
    if count >= total:
        return range(total)
    draw = random.Random(seed).random
    edges = [place * total // count for place in range(count + 1)]
    return [start + int(draw() * (stop - start)) for start, stop in pairwise(edges)]


def spread_rows(source: Source, most: int, seed: int = 0) -> Iterator[Mapping[str, object]]:
    """Those of ``most`` spread rows that can be read; others are passed over, encoding reports them."""
    for index in spread_indices(len(source), most, seed):
        try:
            yield source.read(index, 0)
        except SampleError:
            continue


def unseen_columns(source: Source, wanted: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those of the wanted columns that no row has, and the columns that some row has.

    One row is enough for a table; rows of JSON may each leave out keys, so some spread rows are looked at. Where none
    can be read, no column is missed: encoding says what is wrong with them.
    """
    missing, seen = list(wanted), dict[str, None]()
    for row in spread_rows(source, MOST_ROWS_FOR_COLUMNS):
        seen.update(dict.fromkeys(map(str, row)))
        missing = [column for column in missing if column not in row]
        if not missing:
            break
    return (missing if seen else []), list(seen)


def spread_texts(rows: Iterable[Iterable[str]], most: int, seed: int = 0) -> list[str]:
    """The texts of as many rows as hold ``most`` characters: all, or a seeded choice over all of them, in their order.

    No more than that stays in memory, however many rows there are.
    """
    longest = max(1, most // _LONG_TEXT_SHARE)
    rng = random.Random(seed)
    kept: list[tuple[float, int, int, list[str]]] = []  # a heap: the row that goes first has the smallest draw
    used = 0
    for number, row in enumerate(rows):
        texts = [text[:longest] for text in row]
        length = sum(map(len, texts))
        heapq.heappush(kept, (rng.random(), number, length, texts))
        used += length
        while used > most and len(kept) > 1:
            used -= heapq.heappop(kept)[2]
    return [text for _, _, _, texts in sorted(kept, key=lambda one: one[1]) for text in texts]
