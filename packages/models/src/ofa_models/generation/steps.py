"""What generation walks: the target nodes of one instruction, in order, with everything decided that a decoder must know.

    # U units of an answer, F unit features

A step either forces tokens (fixed words, slots without a loss, whose values belong to a row) or asks for an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from ofa_modalities.processor import TokenRule

from ofa_models.specs import NoiseOptions

Path: TypeAlias = tuple[int, ...]
"""Where an item stands: its number in each enclosing repeat, outermost first; () outside of repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedStep:
    """Fixed words: the same tokens for every row, without a begin token."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedStep:
    """A slot without a loss: its segment (begin token or vector included) comes with the row, one for each path."""

    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStep:
    """A slot answered by vocabulary ids.

    allowed: int64 ids its units may be, ascending. length: exactly so many units and no ``<end>``; None: until ``<end>``.
    """

    slot: int
    begin: int
    rule: TokenRule
    allowed: NDArray[np.int64]
    max_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameStep:
    """A slot answered by float rows of F features, one after the other until the stop head says so."""

    slot: int
    adaptor: str
    max_frames: int
    stop_threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionStep:
    """A slot answered by float rows that are denoised together: the only slot of its target side.

    length: as asked for; None: it follows from the row. noise: what the model was trained against.
    """

    slot: int
    adaptor: str
    num_steps: int
    guidance: float
    length: int | None
    noise: NoiseOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatStep:
    """Items of ``body``, each behind a choice of ``<next>`` or ``<end>``; with a forced slot inside, as many as it has."""

    body: tuple[Step, ...]


Step: TypeAlias = FixedStep | ForcedStep | TokenStep | FrameStep | DiffusionStep | RepeatStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One answer of a slot.

    units: int64 ids ``[U]`` without ``<end>``, or float32 ``[U, F]``. log_probability: sum over its steps, normalised over
    the tokens that were allowed, before any processor of scores. score: what answers are ranked by.
    candidate: its number in the closed set. finished: it ended by itself, not at a limit.
    """

    units: NDArray[Any]
    log_probability: float
    score: float
    candidate: int | None = None
    finished: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAnswer:
    """Everything that was generated for one row.

    slots: by slot index and path, the hypotheses, best first; the walk went on from the first.
    counts: by repeat (number of its step among the repeats, in reading order) and path, how many items there are.
    choices: log-probability of all choices of ``<next>`` or ``<end>`` together.
    stopped: repeats (by number) that met their most items, or the end of the cache, before they ended by themselves.
    """

    slots: dict[tuple[int, Path], tuple[Hypothesis, ...]]
    counts: dict[tuple[int, Path], int]
    choices: float = 0.0
    stopped: frozenset[int] = frozenset()

    @property
    def log_probability(self) -> float:
        """Of the whole row: every slot's first hypothesis and every choice of a repeat."""
        return self.choices + sum(hypotheses[0].log_probability for hypotheses in self.slots.values() if hypotheses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Ids of the control tokens that generation reads or writes."""

    end: int
    next: int
    choose: int


def forced_slots(steps: tuple[Step, ...]) -> Iterator[int]:
    """Slots without a loss below ``steps``."""
    for step in steps:
        if isinstance(step, ForcedStep):
            yield step.slot
        elif isinstance(step, RepeatStep):
            yield from forced_slots(step.body)


def repeat_numbers(steps: tuple[Step, ...]) -> dict[int, int]:
    """Number of each repeat in reading order, by ``id`` of its step."""
    numbers: dict[int, int] = {}

    def visit(inside: tuple[Step, ...]) -> None:
        for step in inside:
            if isinstance(step, RepeatStep):
                numbers[id(step)] = len(numbers)
                visit(step.body)

    visit(steps)
    return numbers
