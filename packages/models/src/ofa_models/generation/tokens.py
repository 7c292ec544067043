"""Answers of one slot of ids: closed sets exactly, else greedy or sampled (here) or by beams (beam.py).

    # R rows, n lanes in work, A allowed tokens

Every function expects the rows' primary lanes with everything before the answer appended, its begin token last, and
leaves there what a decoder reads of the best answer: all its units, but not the last where no ``<end>`` follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ofa_models.generation.beam import beam_search
from ofa_models.generation.closed import ClosedSetScorer
from ofa_models.generation.lanes import Lanes
from ofa_models.generation.scores import Choices, Draws, choose
from ofa_models.generation.steps import Hypothesis, TokenStep
from ofa_models.plans import GenerationOptions


def answer_tokens(
    lanes: Lanes,
    rows: Sequence[int],
    step: TokenStep,
    end: int,
    options: GenerationOptions,
    draws: Sequence[Draws],
    choices_of: dict[int, Choices],
) -> list[tuple[Hypothesis, ...]]:
    """Answers of a slot for ``rows``, best first, ``options.num_return`` of them where the strategy has so many.

    draws: of every lane. choices_of: by slot, kept for the other items of its repeat; what is missing is put there.
    Greedy finds one answer of an open slot; beams and samples that are equal count once.
    """
    if step.rule.tree is not None and options.strategy != "sample":
        return _closed(lanes, rows, step, options.num_return)
    if step.slot not in choices_of:
        choices_of[step.slot] = Choices(step, end, lanes.backend.token_weight(), options)
    choices = choices_of[step.slot]
    states = lanes.flush(lanes.primary(rows))
    if options.strategy == "greedy":
        paths = [_Path(lane=lane) for lane in lanes.primary(rows)]
        _run(lanes, paths, states, step, choices, None)
        return [(path.hypothesis(choices),) for path in paths]
    if options.strategy == "sample":
        lanes.spread(rows)
    mark = lanes.mark()
    if options.strategy == "beam":
        found = beam_search(lanes, rows, states, choices, options)
    else:
        paths = [_Path(lane=row * lanes.copies + copy) for row in rows for copy in range(options.num_return)]
        _run(lanes, paths, states.repeat_interleave(options.num_return, 0), step, choices, draws)
        answers = [path.hypothesis(choices) for path in paths]
        found = [ranked(answers[start : start + options.num_return]) for start in range(0, len(paths), options.num_return)]
    lanes.back_to(mark, rows)
    for row, hypotheses in zip(rows, found, strict=True):
        lanes.append(row * lanes.copies, inputs_of(hypotheses[0], step))
    return found


def inputs_of(hypothesis: Hypothesis, step: TokenStep) -> list[int]:
    """What the decoder reads of an answer behind its begin token: the last unit only where an ``<end>`` could follow it."""
    units: list[int] = hypothesis.units.tolist()
    return units if step.rule.length is None else units[:-1]


def _closed(lanes: Lanes, rows: Sequence[int], step: TokenStep, num_return: int) -> list[tuple[Hypothesis, ...]]:
    tree = step.rule.tree
    assert tree is not None
    primary = lanes.primary(rows)
    scorer = ClosedSetScorer(
        backend=lanes.backend,
        state=lanes.state,
        tree=tree,
        lanes=torch.tensor(primary, device=lanes.device),
        root_hidden=lanes.flush(primary),
        coordinates=torch.tensor([lanes.next_place[lane] for lane in primary], device=lanes.device),
    )
    answers = []
    for lane, scored in zip(primary, scorer.best(num_return), strict=True):
        hypotheses = []
        for candidate, log_probability in scored:
            tokens = tree.token[tree.path(candidate)[1:]]
            units = tokens if step.rule.length is not None else tokens[:-1]
            hypotheses.append(
                Hypothesis(units=units, log_probability=log_probability, score=log_probability, candidate=candidate)
            )
        answers.append(tuple(hypotheses))
        lanes.append(lane, inputs_of(hypotheses[0], step))
    return answers


@dataclass(slots=True, kw_only=True)
class _Path:
    """One answer on its way. units: local numbers, without ``<end>``."""

    lane: int
    units: list[int] = field(default_factory=list)
    node: int = 0
    log_probability: float = 0.0
    finished: bool = False

    def take(self, local: int, step: TokenStep, choices: Choices) -> bool:
        """Take one more token; True where it is an input of what follows."""
        if choices.tree is not None:
            self.node = choices.follow(self.node, local)
            self.finished = bool(choices.tree.candidate[self.node] >= 0)
            if not self.finished or step.rule.length is not None:
                self.units.append(local)
        elif local == choices.end:
            self.finished = True
        else:
            self.units.append(local)
            self.finished = len(self.units) == step.rule.length
        return not self.finished

    def hypothesis(self, choices: Choices) -> Hypothesis:
        """The answer in vocabulary ids."""
        candidate = int(choices.tree.candidate[self.node]) if choices.tree is not None else None
        return Hypothesis(
            units=choices.tokens[np.array(self.units, np.int64)],
            log_probability=self.log_probability,
            score=self.log_probability,
            candidate=candidate,
            finished=self.finished,
        )


def _run(
    lanes: Lanes,
    paths: Sequence[_Path],
    states: Tensor,
    step: TokenStep,
    choices: Choices,
    draws: Sequence[Draws] | None,
) -> None:
    """Walk all paths until each has ended or met its limit; states ``[n, D]`` are those of the begin tokens."""
    live = list(paths)
    for number in range(choices.most_tokens):
        if number:
            states = lanes.flush([path.lane for path in live])
        logits = choices.logits(states, [path.node for path in live])
        scores, log_probs = choices.scores(logits, [path.units for path in live])
        chosen = choose(scores, None if draws is None else [draws[path.lane] for path in live])
        gained = log_probs.gather(1, torch.tensor(chosen, device=logits.device)[:, None])[:, 0].tolist()
        for path, local, gain in zip(live, chosen, gained, strict=True):
            path.log_probability += gain
            if path.take(local, step, choices):
                lanes.append(path.lane, [int(choices.tokens[local])])
        live = [path for path in live if not path.finished]
        if not live:
            return


def ranked(hypotheses: Iterable[Hypothesis]) -> tuple[Hypothesis, ...]:
    """Best first, equal answers once."""
    best: dict[bytes, Hypothesis] = {}
    for hypothesis in sorted(hypotheses, key=lambda one: -one.score):
        best.setdefault(hypothesis.units.tobytes(), hypothesis)
    return tuple(best.values())
