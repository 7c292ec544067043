"""Answers that are lists, those of a repeat, judged item by item by metrics that judge one.

Items are paired by place. One that was not answered has no answer (None), one too many no reference, and counts as wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from ofa_trainer.metrics.metric import Judged, Scores


def items_of(rows: Sequence[Judged]) -> tuple[list[Judged], list[int]]:
    """The pairs of items of all rows, each with the number of its row."""
    pairs = [
        (number, replace(row, answer=answer, reference=reference))
        for number, row in enumerate(rows)
        for answer, reference in _pairs(row.answer, row.reference)
    ]
    return [pair for _, pair in pairs], [number for number, _ in pairs]


def _pairs(answer: object, reference: object) -> Iterator[tuple[object, object]]:
    """Repeats may stand in repeats."""
    if not isinstance(answer, list) and not isinstance(reference, list):
        yield answer, reference
        return
    for one, other in zip_longest(_list(answer), _list(reference)):
        yield from _pairs(one, other)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def by_row(scores: Scores, owners: Sequence[int], num_rows: int) -> Scores:
    """The scores of items as those of their rows: a row adds what its items add."""
    sums = np.zeros((num_rows, scores.sums.shape[-1]))
    np.add.at(sums, np.asarray(owners, np.int64), scores.sums)
    return Scores(sums=sums, figure=scores.figure)
