"""Beam search inside one slot.

    # R rows, B beams (the lanes of a row), A allowed tokens

Of the 2 B best continuations of a row, those that end and rank among the first B are kept as finished; the others go on.
A row is done when it has B finished answers and none on its way scores above the worst of them at its present length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from ofa_models.generation.lanes import Lanes
from ofa_models.generation.scores import Choices, best_columns
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
    scores, log_probs = choices.scores(choices.logits(states, []), [beam.units for beam in beams])
    values, columns = best_columns(scores, min(2 * num_beams, scores.shape[1]))
    following = _Following(values.tolist(), columns.tolist(), log_probs.gather(1, columns).tolist())
    origins: dict[int, int] = {}
    added: list[tuple[int, int]] = []
    start = 0
    for search in live:
        stop = start + len(search.live)
        ended, going = _continue(following.best(beams, start, stop, 2 * num_beams), choices.end, num_beams)
        for beam in ended:
            _finish(search, beam, choices, penalty, length, finished=True)
        search.live = []
        if not _is_done(search, going, num_beams, penalty, length):
            for copy, beam in enumerate(going):
                lane = search.number * lanes.copies + copy
                origins[lane] = beam.lane
                added.append((lane, int(choices.tokens[beam.units[-1]])))
                search.live.append(replace(beam, lane=lane))
        start = stop
    lanes.reorder(origins)
    for lane, token in added:
        lanes.append(lane, [token])


@dataclass(frozen=True, slots=True)
class _Following:
    """The best continuations of each beam, best first: scores, local tokens and log-probabilities of the step."""

    scores: list[list[float]]
    tokens: list[list[int]]
    log_probabilities: list[list[float]]

    def best(self, beams: Sequence[_Beam], start: int, stop: int, count: int) -> list[_Beam]:
        """The best of beams ``start`` .. ``stop - 1`` together, their last unit new, their lane that of the beam before."""
        found = [
            (beams[line].total + score, line, place)
            for line in range(start, stop)
            for place, score in enumerate(self.scores[line])
            if score > -np.inf
        ]
        found.sort(key=lambda one: -one[0])
        return [
            _Beam(
                units=(*beams[line].units, self.tokens[line][place]),
                total=total,
                log_probability=beams[line].log_probability + self.log_probabilities[line][place],
                lane=beams[line].lane,
            )
            for total, line, place in found[:count]
        ]


def _continue(following: Sequence[_Beam], end: int | None, num_beams: int) -> tuple[list[_Beam], list[_Beam]]:
    """Of the best continuations, those that end and rank among the first, without their ``<end>``, and those that go on."""
    ended: list[_Beam] = []
    going: list[_Beam] = []
    for rank, beam in enumerate(following):
        if len(going) == num_beams:
            break
        if beam.units[-1] != end:
            going.append(beam)
        elif rank < num_beams:
            ended.append(replace(beam, units=beam.units[:-1]))
    return ended, going


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
