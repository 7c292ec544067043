"""The stream of a run: the rows of each step in order, with the state after them.

A step takes rows until the next one would pass the token budget; that row opens the next step. Its rows are cut into parts
afterwards, so how many parts there are changes nothing about the rows. Workers run ahead, the state does not: it is that
of the last row taken, and a resumed run asks for the rows after it again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from ofa_modalities.segment import Example
from pydantic import BaseModel, ConfigDict, Field

from ofa_trainer.mixture import Draw, Mixture, MixtureState
from ofa_trainer.workers import BadRow, RowReader, encode_in_order

STEPS_AHEAD = 2
"""Workers encode the rows of about so many steps before they are needed."""
JUDGE_SHARE_AFTER = 200
EXAMPLES_OF_BAD_ROWS = 20


class StreamState(BaseModel):
    """Where a stream stands; a few numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    position: int = Field(ge=0, lt=2**63)
    counts: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...]
    bad: int = Field(default=0, ge=0)
    bad_in_a_row: int = Field(default=0, ge=0)

    @property
    def mixture(self) -> MixtureState:
        """The mixture's part of it."""
        return MixtureState(self.position, self.counts)


class TooManyBadRows(RuntimeError):
    """Too many rows in a row, or too large a share of them, could not be used. ``rows``: the last of them."""

    def __init__(self, reason: str, rows: Sequence[BadRow]) -> None:
        self.reason, self.rows = reason, tuple(rows)
        shown = "\n".join(f"  {row}" for row in dict.fromkeys(self.rows))
        super().__init__(f"{reason}; the last of them:\n{shown}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRows:
    """The rows of one step. state: of the stream after them. bad, unanswered: skipped on the way, these for an empty answer."""

    examples: list[Example]
    num_tokens: int
    state: StreamState
    bad: tuple[BadRow, ...] = ()
    unanswered: tuple[BadRow, ...] = ()
    epochs: tuple[int, ...] = ()


@dataclass(slots=True)
class RowStream:
    """Steps without end, from a state on.

    budget: tokens of a step. max_bad_in_a_row, max_bad_share: when to give up.
    """

    reader: RowReader
    mixture: Mixture
    budget: int
    workers: int = 0
    max_bad_in_a_row: int = 20
    max_bad_share: float = 0.1
    recent_bad: list[BadRow] = field(default_factory=list)

    def start(self) -> StreamState:
        """Before the first row."""
        return StreamState(position=0, counts=self.mixture.start().counts)

    def steps(self, state: StreamState) -> Generator[StepRows, None, None]:
        """The steps after ``state``. Close the iterator to end the workers. Raises TooManyBadRows."""
        results = encode_in_order(self.reader, self._draws(state.mixture), self.workers, STEPS_AHEAD * self.budget)
        examples: list[Example] = []
        skipped: list[BadRow] = []
        tokens = 0
        unanswered = _Unanswered(self.mixture)
        try:
            for draw, result in results:
                after = self._after(state, draw, result)
                unanswered.note(draw.task, result)
                if isinstance(result, BadRow):
                    skipped.append(result)
                    if not result.no_answer:
                        self._judge(after, result)
                else:
                    if examples and tokens + result.num_tokens > self.budget:
                        yield _step_rows(examples, tokens, state, skipped)
                        examples, skipped, tokens = [], [], 0
                    examples.append(result)
                    tokens += result.num_tokens
                state = after
        finally:
            results.close()

    def _draws(self, state: MixtureState) -> Iterator[Draw]:
        while True:
            draw, state = self.mixture.draw(state)
            yield draw

    def _after(self, state: StreamState, draw: Draw, result: Example | BadRow) -> StreamState:
        counts = list(state.counts)
        counts[draw.task] += 1
        failed = isinstance(result, BadRow) and not result.no_answer
        in_a_row = state.bad_in_a_row if isinstance(result, BadRow) else 0
        return StreamState.model_construct(
            position=state.position + 1, counts=tuple(counts), bad=state.bad + failed, bad_in_a_row=in_a_row + failed
        )

    def _judge(self, state: StreamState, row: BadRow) -> None:
        self.recent_bad = [*self.recent_bad, row][-EXAMPLES_OF_BAD_ROWS:]
        if state.bad_in_a_row >= self.max_bad_in_a_row:
            raise TooManyBadRows(f"{state.bad_in_a_row} rows in a row could not be used", self.recent_bad)
        if state.position >= JUDGE_SHARE_AFTER and state.bad > self.max_bad_share * state.position:
            raise TooManyBadRows(f"{state.bad} of {state.position} rows could not be used", self.recent_bad)


def _step_rows(examples: list[Example], tokens: int, state: StreamState, skipped: Sequence[BadRow]) -> StepRows:
    return StepRows(
        examples=examples,
        num_tokens=tokens,
        state=state,
        bad=tuple(row for row in skipped if not row.no_answer),
        unanswered=tuple(row for row in skipped if row.no_answer),
    )


class _Unanswered:
    """Ends a run that would look for an answer for ever.

    Between the first row of one epoch and the last of the next lie fewer than two epochs' rows; so many without one are all.
    """

    def __init__(self, mixture: Mixture) -> None:
        self._mixture = mixture
        self._in_a_row = [0] * len(mixture.names)

    def note(self, task: int, result: Example | BadRow) -> None:
        """Take one row. Raises TooManyBadRows."""
        if not (isinstance(result, BadRow) and result.no_answer):
            self._in_a_row[task] = 0
            return
        self._in_a_row[task] += 1
        if self._in_a_row[task] >= 2 * self._mixture.rows[task] - 1:
            raise TooManyBadRows(f"task `{result.task}`: no row has an answer", [result])


def cut(examples: Sequence[Example], parts: int) -> list[list[Example]]:
    """Cut a step's rows into at most ``parts`` runs of about equally many tokens; none is empty."""
    total = sum(example.num_tokens for example in examples)
    pieces: list[list[Example]] = [[]]
    seen = 0
    for example in examples:
        if pieces[-1] and len(pieces) < parts and seen + example.num_tokens / 2 > total * len(pieces) / parts:
            pieces.append([])
        pieces[-1].append(example)
        seen += example.num_tokens
    return pieces
