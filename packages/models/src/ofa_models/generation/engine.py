"""The walk over an instruction's target nodes, for a batch of rows of one instruction.

    # R rows, N = R · copies lanes

Forced text is appended and goes through the decoder together with what follows it; a slot is answered for all rows side
by side; a repeat is walked item by item by the rows that chose ``<next>``. The framing is that of training, so the packed
teacher-forced decoder gives the same states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import torch
from ofa_modalities.segment import EncodedSegment
from torch import Tensor

from ofa_models.backend import Memory, ModelBackend
from ofa_models.generation.frames import answer_frames
from ofa_models.generation.lanes import Lanes
from ofa_models.generation.scores import Choices, Draws, choose
from ofa_models.generation.steps import (
    Controls,
    DiffusionStep,
    FixedStep,
    ForcedStep,
    FrameStep,
    Hypothesis,
    Path,
    RepeatStep,
    RowAnswer,
    Step,
    TokenStep,
    forced_slots,
    repeat_numbers,
)
from ofa_models.generation.tokens import answer_tokens
from ofa_models.plans import GenerationOptions

Forced = Mapping[tuple[int, Path], EncodedSegment]
"""Segments of one row's slots without a loss, by slot index and path."""

MAX_CAPACITY = 4096
"""Tokens of a lane that repeats may fill; a single answer may be longer."""


def num_copies(options: GenerationOptions) -> int:
    """Lanes that one row needs."""
    match options.strategy:
        case "greedy":
            return 1
        case "beam":
            return max(options.num_beams, options.num_return)
        case "sample":
            return options.num_return
        case _:
            assert_never(options.strategy)


def longest_target(steps: Sequence[Step], forced: Sequence[Forced], max_items: int) -> int:
    """Most tokens that ``steps`` can need."""
    total = 0
    for step in steps:
        match step:
            case FixedStep():
                total += len(step.ids)
            case ForcedStep():
                parts = (part for row in forced for (slot, _), part in row.items() if slot == step.slot)
                total += max((part.num_tokens for part in parts), default=0)
            case TokenStep():
                total += 1 + _most_inputs(step)
            case FrameStep():
                total += step.max_frames
            case DiffusionStep():
                raise ValueError("an answer by diffusion has no cache: see generation/diffusion.py")
            case RepeatStep():
                given = [count for row in forced if (count := _forced_items(step, row, ())) is not None]
                items = max(given) if given else max_items
                total += 1 + items * (1 + longest_target(step.body, forced, max_items))
    return total


def lane_capacity(steps: Sequence[Step], forced: Sequence[Forced], max_items: int) -> int:
    """Tokens that a lane has room for, at least one: what ``steps`` need with repeats that fill no more than MAX_CAPACITY."""
    least = longest_target(steps, forced, min(1, max_items))
    return max(1, min(longest_target(steps, forced, max_items), max(MAX_CAPACITY, least)))


def _most_inputs(step: TokenStep) -> int:
    if step.rule.tree is not None:
        return int(step.rule.tree.depth[-1])
    return step.max_length if step.rule.length is None else step.rule.length


def _forced_items(step: RepeatStep, forced: Forced, path: Path) -> int | None:
    """How many items the forced slots of a repeat have below ``path``; None where it has no forced slot."""
    slots = set(forced_slots(step.body))
    if not slots:
        return None
    depth = len(path)
    below = [place[depth] for slot, place in forced if slot in slots and len(place) > depth and place[:depth] == path]
    return max(below, default=-1) + 1


@torch.no_grad()
def generate(
    backend: ModelBackend,
    memory: Memory,
    steps: tuple[Step, ...],
    *,
    controls: Controls,
    options: GenerationOptions,
    forced: Sequence[Forced],
    row_keys: Sequence[int],
) -> list[RowAnswer]:
    """Answer every row of ``memory``.

    forced: of each row, what its slots without a loss hold. row_keys: int of each row that its random numbers are drawn
    by together with ``options.seed``; what else is in the batch does not matter.
    """
    copies = num_copies(options)
    lanes = Lanes(backend, memory, copies=copies, capacity=lane_capacity(steps, forced, options.max_items))
    draws = [Draws(options.seed, key, copy) for key in row_keys for copy in range(copies)]
    walk = _Walk(
        lanes=lanes,
        controls=controls,
        options=options,
        forced=forced,
        draws=draws,
        repeats=repeat_numbers(steps),
        slots=[{} for _ in row_keys],
        counts=[{} for _ in row_keys],
        choices=[0.0 for _ in row_keys],
        stopped=[set() for _ in row_keys],
    )
    walk.run(steps, list(range(len(row_keys))), (), 0)
    return [
        RowAnswer(slots=slots, counts=counts, choices=total, stopped=frozenset(stopped))
        for slots, counts, total, stopped in zip(walk.slots, walk.counts, walk.choices, walk.stopped, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """Everything the steps share. ``slots``, ``counts``, ``choices`` and ``stopped`` are filled on the way, one entry a row.

    choices_of: what each slot may answer, by slot, filled on the way as well.
    """

    lanes: Lanes
    controls: Controls
    options: GenerationOptions
    forced: Sequence[Forced]
    draws: Sequence[Draws]
    repeats: Mapping[int, int]
    slots: list[dict[tuple[int, Path], tuple[Hypothesis, ...]]]
    counts: list[dict[tuple[int, Path], int]]
    choices: list[float]
    stopped: list[set[int]]
    choices_of: dict[int, Choices] = field(default_factory=dict)

    def run(self, steps: Sequence[Step], rows: Sequence[int], path: Path, reserve: int) -> None:
        """Walk ``steps`` for ``rows``; ``reserve`` tokens of every lane are kept for what comes after them."""
        for number, step in enumerate(steps):
            match step:
                case FixedStep():
                    for lane in self.lanes.primary(rows):
                        self.lanes.append(lane, step.ids)
                case ForcedStep():
                    for row, lane in zip(rows, self.lanes.primary(rows), strict=True):
                        self.lanes.append_segment(lane, self.forced[row][step.slot, path])
                case TokenStep():
                    self._tokens(step, rows, path)
                case FrameStep():
                    for row, hypothesis in zip(rows, answer_frames(self.lanes, rows, step, self.draws), strict=True):
                        self.slots[row][step.slot, path] = (hypothesis,)
                case DiffusionStep():
                    raise ValueError("an answer by diffusion is not walked: see generation/diffusion.py")
                case RepeatStep():
                    self._repeat(step, rows, path, reserve + self._least(steps[number + 1 :]))
                case _:
                    assert_never(step)

    def _least(self, steps: Sequence[Step]) -> int:
        """Tokens that ``steps`` may need with at most one item in each repeat."""
        return longest_target(steps, self.forced, min(1, self.options.max_items))

    def _tokens(self, step: TokenStep, rows: Sequence[int], path: Path) -> None:
        for lane in self.lanes.primary(rows):
            if step.rule.shape is not None:
                self.lanes.open_grid(lane, step.rule.shape)
            self.lanes.append(lane, [step.begin])
        answers = answer_tokens(self.lanes, rows, step, self.controls.end, self.options, self.draws, self.choices_of)
        for row, hypotheses in zip(rows, answers, strict=True):
            self.slots[row][step.slot, path] = hypotheses

    def _repeat(self, step: RepeatStep, rows: Sequence[int], path: Path, reserve: int) -> None:
        number = self.repeats[id(step)]
        given = {row: _forced_items(step, self.forced[row], path) for row in rows}
        need = self._least(step.body) + 1 + reserve
        live, item = list(rows), 0
        while live:
            for lane in self.lanes.primary(live):
                self.lanes.append(lane, [self.controls.choose])
            free = [row for row in live if given[row] is None]
            going = dict.fromkeys(live, False) | {row: item < (given[row] or 0) for row in live if given[row] is not None}
            open_ = [row for row in free if item < self.options.max_items and self.lanes.room(row * self.lanes.copies) >= need]
            for row in set(free) - set(open_):
                self.stopped[row].add(number)
            if open_:
                going |= dict(zip(open_, self._choose(open_), strict=True))
            for row in live:
                self.counts[row][number, path] = item + int(going[row])
            live = [row for row in live if going[row]]
            if live:
                self.run(step.body, live, (*path, item), reserve + 1)
            item += 1

    def _choose(self, rows: Sequence[int]) -> list[bool]:
        """Whether each row goes on with another item."""
        lanes = self.lanes.primary(rows)
        ids = torch.tensor([self.controls.next, self.controls.end], device=self.lanes.device)
        weight = self.lanes.backend.token_weight()[ids]
        logits: Tensor = self.lanes.flush(lanes).to(weight.dtype) @ weight.T
        sampled = [self.draws[lane] for lane in lanes] if self.options.strategy == "sample" else None
        chosen = choose(logits, sampled)
        for row, line, choice in zip(rows, logits.double().log_softmax(-1), chosen, strict=True):
            self.choices[row] += float(line[choice])
        return [choice == 0 for choice in chosen]
