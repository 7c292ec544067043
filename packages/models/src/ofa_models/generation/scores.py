"""Scores of next tokens: logits over what a slot allows, the library's processors, draws that belong to a row.

# n lanes, A tokens of a slot (in local numbers), D model width, t units so far
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ofa_models.generation.steps import TokenStep
from ofa_models.plans import GenerationOptions
from ofa_models.precision import multiplies_fast

Processor: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(local units so far ``[n, t]``, scores ``[n, A]``) → scores ``[n, A]``."""


_MOST_GAPS = 64
"""So many ids between the allowed ones, and a quarter more, are scored with them: weights of a whole stretch are no copy."""
_BLOCK_ELEMENTS = 1 << 20
"""Elements of the weights that are multiplied at once on a CPU."""
_SECTION = 256
"""Scores whose best is found first where the best of many are looked for."""


class Choices:
    """The tokens that one slot may answer, in local numbers.

    tokens: int64 ``[A]`` vocabulary ids, ascending. end: local number of ``<end>`` in an open slot. most_tokens: choices at most.
    processors: what ``options`` ask for. Weights are made ready once: a view where the ids lie close together, else a copy.
    """

    def __init__(self, step: TokenStep, end: int, token_weight: Tensor, options: GenerationOptions) -> None:
        rule, device = step.rule, token_weight.device
        self.tree = rule.tree
        is_open = rule.tree is None and rule.length is None
        if rule.tree is not None:
            allowed = np.unique(rule.tree.token[1:])
            self.most_tokens = int(rule.tree.depth[-1])
        else:
            allowed = np.insert(step.allowed, np.searchsorted(step.allowed, end), end) if is_open else step.allowed
            self.most_tokens = step.max_length if rule.length is None else rule.length
        first, stop = int(allowed[0]), int(allowed[-1]) + 1
        whole = stop - first <= 1.25 * len(allowed) + _MOST_GAPS
        self.tokens = np.arange(first, stop) if whole else allowed
        gap = np.ones(len(self.tokens), np.bool_)
        gap[np.searchsorted(self.tokens, allowed)] = False
        self.gaps = torch.from_numpy(np.flatnonzero(gap)).to(device) if gap.any() else None
        self.end = int(np.searchsorted(self.tokens, end)) if is_open else None
        self.shortest = options.min_length or 0
        self.processors = _processors(options, self.end)
        self._weight = token_weight.detach()[first:stop] if whole else token_weight[torch.from_numpy(allowed).to(device)].detach()

    def logits(self, hidden: Tensor, nodes: Sequence[int]) -> Tensor:
        """``[n, A]`` in float32 or wider; -inf for what may not come, at all or behind the lanes' nodes of the closed set."""
        if not multiplies_fast(hidden.dtype, hidden.device):
            hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        self._weight = self._weight.to(hidden.dtype)
        logits = _product(hidden, self._weight)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.gaps is not None:
            logits.index_fill_(1, self.gaps, -torch.inf)
        if self.tree is None:
            return logits
        open_ = torch.zeros_like(logits, dtype=torch.bool)
        for lane, node in enumerate(nodes):
            following = self.tree.token[self.tree.child_start[node] : self.tree.child_start[node + 1]]
            open_[lane, torch.from_numpy(np.searchsorted(self.tokens, following)).to(open_.device)] = True
        return logits.masked_fill(~open_, -torch.inf)

    def scores(self, logits: Tensor, history: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Scores ``[n, A]`` to choose by, and log-probabilities before any processor; history: local units so far of each lane.

        Processors see logits, whatever the strategy: on log-probabilities a repetition weighs otherwise. Where an answer is too
        short to end, the log-probability of its end is not kept.
        """
        log_probs = logits.log_softmax(-1)
        scores = log_probs
        if self.processors:
            units = torch.tensor(history, dtype=torch.int64, device=logits.device).view(len(logits), -1)
            scores = logits
            for processor in self.processors:
                scores = processor(units, scores)
            scores = scores + (log_probs.amax(-1, keepdim=True) - logits.amax(-1, keepdim=True))
        if self.end is not None and len(history[0]) < self.shortest:
            scores[:, self.end] = -torch.inf
        return scores, log_probs

    def follow(self, node: int, local: int) -> int:
        """The node of the closed set behind ``node`` by a token."""
        assert self.tree is not None
        start, stop = int(self.tree.child_start[node]), int(self.tree.child_start[node + 1])
        return start + int(np.searchsorted(self.tree.token[start:stop], self.tokens[local]))


def _processors(options: GenerationOptions, end: int | None) -> list[Processor]:
    """The processors that ``options`` ask for, as transformers has them; none are imported where none are asked for.

    Those on repetition hold for open slots only: a closed set and a fixed length say themselves what may come.
    """
    found: list[Processor] = []
    if end is not None:
        if options.repetition_penalty is not None:
            found.append(_library("RepetitionPenaltyLogitsProcessor")(penalty=options.repetition_penalty))
        if options.no_repeat_ngram_size is not None:
            found.append(_library("NoRepeatNGramLogitsProcessor")(options.no_repeat_ngram_size))
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


def _product(hidden: Tensor, weight: Tensor) -> Tensor:
    """hidden ``[n, D]`` · weight ``[A, D]`` → ``[n, A]``.

    A BLAS copies all of a tall matrix into an order of its own for a few rows; of a block, the copy stays in the cache: at a
    width of 768 that saves a quarter of the time.
    """
    if hidden.device.type != "cpu" or hidden.dtype != torch.float32:
        return F.linear(hidden, weight)
    logits = hidden.new_empty(len(hidden), len(weight))
    step = max(1, _BLOCK_ELEMENTS // weight.shape[1])
    for start in range(0, len(weight), step):
        torch.mm(hidden, weight[start : start + step].T, out=logits[:, start : start + step])
    return logits


def best_columns(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest of each line of ``[n, A]``, best first, and their columns, both ``[n, count]``.

    A long line is cut into sections, and only those with the best maxima are looked at.
    """
    n, width = scores.shape
    cut = width // _SECTION * _SECTION
    num_sections = cut // _SECTION
    if num_sections <= 4 * count:
        return _largest(scores, count)
    sections = scores[:, :cut].reshape(n, num_sections, _SECTION)
    section = _largest(sections.amax(-1), count)[1]
    rest = scores[:, cut:]
    found = torch.cat([sections.gather(1, section[..., None].expand(-1, -1, _SECTION)).flatten(1), rest], 1)
    first = (section * _SECTION)[..., None] + torch.arange(_SECTION, device=scores.device)
    columns = torch.cat([first.flatten(1), torch.arange(cut, width, device=scores.device).expand(n, -1)], 1)
    values, at = _largest(found, count)
    return values, columns.gather(1, at)


def _largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    if count == 1:
        best = scores.max(-1, keepdim=True)
        return best.values, best.indices
    top = scores.topk(count)
    return top.values, top.indices


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
        best: list[int] = best_columns(scores, 1)[1][:, 0].tolist()
        return best
    probabilities = scores.double().softmax(-1).cpu().numpy()
    return [draw.pick(line) for draw, line in zip(draws, probabilities, strict=True)]
