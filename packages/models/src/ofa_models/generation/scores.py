"""Scores of next tokens: logits over what a slot allows, the library's processors, draws that belong to a row.

# n lanes, A allowed tokens (in local numbers, an ``<end>`` last), D model width, t units so far
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ofa_models.generation.steps import TokenStep
from ofa_models.plans import GenerationOptions

Processor: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(local units so far ``[n, t]``, scores ``[n, A]``) → scores ``[n, A]``."""


class Choices:
    """The tokens that one slot may answer, in local numbers.

    tokens: int64 ``[A]`` vocabulary ids. end: local number of ``<end>`` in an open slot. most_tokens: choices at most.
    processors: what ``options`` ask for.
    """

    def __init__(self, step: TokenStep, end: int, token_weight: Tensor, options: GenerationOptions) -> None:
        rule = step.rule
        self.tree = rule.tree
        if rule.tree is not None:
            tokens = np.unique(rule.tree.token[1:])
        elif rule.length is None:
            tokens = np.append(step.allowed, end)
        else:
            tokens = step.allowed
        self.tokens = tokens
        if rule.tree is not None:
            self.most_tokens = int(rule.tree.depth[-1])
        else:
            self.most_tokens = step.max_length if rule.length is None else rule.length
        self.end = len(tokens) - 1 if rule.tree is None and rule.length is None else None
        self.processors = _processors(options, self.end, token_weight.device)
        self._weight = token_weight[torch.from_numpy(tokens).to(token_weight.device)].detach()

    def logits(self, hidden: Tensor, nodes: Sequence[int]) -> Tensor:
        """``[n, A]`` in float32 or wider; -inf for what does not follow the lanes' nodes of the closed set."""
        wide = torch.promote_types(hidden.dtype, torch.float32)
        logits = (hidden.to(self._weight.dtype) @ self._weight.T).to(wide)
        if self.tree is None:
            return logits
        open_ = torch.zeros_like(logits, dtype=torch.bool)
        for lane, node in enumerate(nodes):
            following = self.tree.token[self.tree.child_start[node] : self.tree.child_start[node + 1]]
            open_[lane, torch.from_numpy(np.searchsorted(self.tokens, following)).to(open_.device)] = True
        return logits.masked_fill(~open_, -torch.inf)

    def follow(self, node: int, local: int) -> int:
        """The node of the closed set behind ``node`` by a token."""
        assert self.tree is not None
        start, stop = int(self.tree.child_start[node]), int(self.tree.child_start[node + 1])
        return start + int(np.searchsorted(self.tree.token[start:stop], self.tokens[local]))


def _processors(options: GenerationOptions, end: int | None, device: torch.device) -> list[Processor]:
    """The processors that ``options`` ask for, as transformers has them; none are imported where none are asked for.

    Those on repetition and length hold for open slots only: a closed set and a fixed length say themselves what may come.
    """
    found: list[Processor] = []
    if end is not None:
        if options.repetition_penalty is not None:
            found.append(_library("RepetitionPenaltyLogitsProcessor")(penalty=options.repetition_penalty))
        if options.no_repeat_ngram_size is not None:
            found.append(_library("NoRepeatNGramLogitsProcessor")(options.no_repeat_ngram_size))
        if options.min_length is not None:
            shortest = _library("MinNewTokensLengthLogitsProcessor")
            found.append(shortest(0, options.min_length, end, device=str(device)))
    if options.strategy == "sample":
        if options.temperature != 1.0:
            found.append(_library("TemperatureLogitsWarper")(options.temperature))
        if options.top_k is not None:
            found.append(_library("TopKLogitsWarper")(top_k=options.top_k))
        if options.top_p is not None and options.top_p < 1:
            found.append(_library("TopPLogitsWarper")(top_p=options.top_p))
    return found


def _library(name: str) -> Callable[..., Any]:
    from transformers.generation import logits_process

    made: Callable[..., Any] = getattr(logits_process, name)
    return made


def process(processors: Sequence[Processor], history: Sequence[Sequence[int]], scores: Tensor) -> Tensor:
    """Scores ``[n, A]`` after all processors; history: local units so far of each lane, equally many."""
    if not processors:
        return scores
    units = torch.tensor(history, dtype=torch.int64, device=scores.device).view(len(scores), -1)
    for processor in processors:
        scores = processor(units, scores)
    return scores


class Draws:
    """Random numbers of one lane: they depend on the seed, the row's own key and the copy, not on the batch around it."""

    def __init__(self, seed: int, row_key: int, copy: int) -> None:
        mask = (1 << 64) - 1
        key = np.array([(seed + 0x9E3779B97F4A7C15 * copy) & mask, row_key & mask], np.uint64)
        self._generator = np.random.Generator(np.random.Philox(key=key))

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Standard normal numbers of that shape."""
        return self._generator.standard_normal(shape, np.float32)

    def even(self, count: int) -> NDArray[np.float32]:
        """``[count]`` numbers, evenly in 0 … 1."""
        return self._generator.random(count, np.float32)

    def pick(self, probabilities: NDArray[np.float64]) -> int:
        """Draw an index by inverting the cumulative sum of ``probabilities [A]``."""
        total = np.cumsum(probabilities)
        index = int(np.searchsorted(total, self._generator.random() * total[-1], side="right"))
        return min(index, int(np.flatnonzero(probabilities)[-1]))


def choose(scores: Tensor, draws: Sequence[Draws] | None) -> list[int]:
    """The best of each line of ``scores [n, A]``, or, with draws, one drawn by its softmax."""
    if draws is None:
        best: list[int] = scores.argmax(-1).tolist()
        return best
    probabilities = scores.double().softmax(-1).cpu().numpy()
    return [draw.pick(line) for draw, line in zip(draws, probabilities, strict=True)]
