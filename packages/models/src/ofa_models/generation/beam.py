"""Beam search inside one slot.

    # R rows, B beams (the lanes of a row), A allowed tokens

Of the 2 B best continuations of a row, those that end and rank among the first B are kept as finished; the others go on.
A row is done when it has B finished answers and none on its way scores above the worst of them at its present length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ofa_models.generation.lanes import Lanes
from ofa_models.generation.scores import Choices, process
from ofa_models.generation.steps import Hypothesis
from ofa_models.plans import GenerationOptions


@dataclass(frozen=True, slots=True)
class _Beam:
    """units: local numbers. total: what beams are compared by; log_probability: before any processor."""

    units: tuple[int, ...]
    total: float
    log_probability: float
    lane: int


@dataclass(slots=True)
class _Row:
    """One row's search."""

    number: int
    live: list[_Beam]
    finished: list[Hypothesis] = field(default_factory=list)


def beam_search(
    lanes: Lanes, rows: Sequence[int], states: Tensor, choices: Choices, options: GenerationOptions
) -> list[tuple[Hypothesis, ...]]:
    """The ``num_return`` best answers of every row, best first; their primary lanes stand right behind the begin token.

    states ``[R, D]``: after it. An open slot that met its longest length gives unfinished answers. With one beam this is
    the greedy answer.
    """
    assert choices.tree is None, "closed sets are searched exactly"
    num_beams = max(options.num_beams, options.num_return)
    searches = [_Row(row, [_Beam((), 0.0, 0.0, row * lanes.copies)]) for row in rows]
    for length in range(1, choices.most_tokens + 1):
        live = [search for search in searches if search.live]
        if not live:
            break
        if length > 1:
            states = lanes.flush([beam.lane for search in live for beam in search.live])
        _step(lanes, live, states, choices, num_beams, options.length_penalty, length)
    for search in searches:
        for beam in search.live:
            _finish(search, beam, choices, options.length_penalty, choices.most_tokens, finished=choices.end is None)
    return [tuple(_best(search.finished, options.num_return)) for search in searches]


def _step(
    lanes: Lanes,
    live: Sequence[_Row],
    states: Tensor,
    choices: Choices,
    num_beams: int,
    penalty: float,
    length: int,
) -> None:
    """One more token for every live beam."""
    beams = [beam for search in live for beam in search.live]
    logits = choices.logits(states, [])
    norm = logits.logsumexp(-1, keepdim=True)
    raw = logits - norm
    # Processors see logits, as they do on the greedy path: on log-probabilities a repetition weighs otherwise.
    scores = process(choices.processors, [beam.units for beam in beams], logits) - norm
    totals = scores + torch.tensor([beam.total for beam in beams], dtype=raw.dtype, device=raw.device)[:, None]
    origins: dict[int, int] = {}
    added: list[tuple[int, int]] = []
    start = 0
    for search in live:
        stop = start + len(search.live)
        flat = totals[start:stop].flatten()
        best = flat.topk(min(2 * num_beams, len(flat)))
        following: list[_Beam] = []
        for rank, (total, index) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            origin, local = divmod(index, totals.shape[1])
            if total == -np.inf or len(following) == num_beams:
                break
            before = search.live[origin]
            log_probability = before.log_probability + float(raw[start + origin, local])
            if local == choices.end:
                if rank < num_beams:
                    ended = _Beam(before.units, total, log_probability, before.lane)
                    _finish(search, ended, choices, penalty, length, finished=True)
                continue
            lane = search.number * lanes.copies + len(following)
            origins[lane] = before.lane
            added.append((lane, int(choices.tokens[local])))
            following.append(_Beam((*before.units, local), total, log_probability, lane))
        search.live = [] if _is_done(search, following, num_beams, penalty, length) else following
        start = stop
    _move(lanes, {beam.lane for search in live for beam in search.live}, origins, added)


def _move(lanes: Lanes, kept: set[int], origins: dict[int, int], added: Sequence[tuple[int, int]]) -> None:
    lanes.reorder({lane: origin for lane, origin in origins.items() if lane in kept})
    for lane, token in added:
        if lane in kept:
            lanes.append(lane, [token])


def _is_done(search: _Row, following: Sequence[_Beam], num_beams: int, penalty: float, length: int) -> bool:
    if len(search.finished) < num_beams or not following:
        return False
    worst = sorted((hypothesis.score for hypothesis in search.finished), reverse=True)[num_beams - 1]
    return bool(worst >= max(beam.total for beam in following) / length**penalty)


def _finish(search: _Row, beam: _Beam, choices: Choices, penalty: float, length: int, *, finished: bool) -> None:
    search.finished.append(
        Hypothesis(
            units=choices.tokens[np.array(beam.units, np.int64)],
            log_probability=beam.log_probability,
            score=beam.total / length**penalty,
            finished=finished,
        )
    )


def _best(hypotheses: Sequence[Hypothesis], number: int) -> list[Hypothesis]:
    """Different beams are different answers, so none occurs twice."""
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[:number]
