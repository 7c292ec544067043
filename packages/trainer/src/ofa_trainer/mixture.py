"""The mixture: which row comes next, as a function of a position.

Position p of a run draws a task; the n-th draw of a task is row ``n mod rows`` of epoch ``n div rows``, through a
permutation of that epoch. Nothing is shuffled in memory: the state of a run is its position and one counter a task, and a
resumed run goes on from there without a replay.

>>> mixture = Mixture({"a": 3, "b": 1}, seed=0)
>>> state = mixture.start()
>>> draw, state = mixture.draw(state)
>>> (draw.epoch, state.position)
(0, 1)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ofa_trainer.plans import MixtureKind

_BLOCK = 4096
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Draw:
    """One row to train on: task by number, epoch, index."""

    task: int
    epoch: int
    index: int


@dataclass(frozen=True, slots=True)
class MixtureState:
    """position: rows drawn so far. counts: of each task."""

    position: int
    counts: tuple[int, ...]


class Mixture:
    """Tasks with their rows and shares.

    rows: training rows by task. weights: relative, by task; None: from the rows, as ``kind`` says.
    """

    def __init__(
        self,
        rows: Mapping[str, int],
        *,
        seed: int,
        weights: Mapping[str, float] | None = None,
        kind: MixtureKind = "rows",
        temperature: float = 1.0,
    ) -> None:
        for name, count in rows.items():
            if count < 1:
                raise ValueError(f"task `{name}` has no training rows")
        self.names = tuple(rows)
        self.rows = tuple(rows.values())
        self.seed, self.kind = seed, kind
        self.shares = tuple(float(share) for share in _shares(rows, weights, kind, temperature))
        self._edges = np.cumsum(self.shares)
        self._key = _key("mixture", str(seed))
        self._permutation_keys = [_key("order", str(seed), name) for name in self.names]
        self._block: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {share:.0%}" for name, share in zip(self.names, self.shares, strict=True))
        return f"Mixture({sum(self.rows):,} rows: {parts if len(parts) <= 80 else f'{len(self.names)} tasks'})"

    def start(self) -> MixtureState:
        """Before the first row."""
        return MixtureState(0, (0,) * len(self.names))

    def draw(self, state: MixtureState) -> tuple[Draw, MixtureState]:
        """The next row and the state after it."""
        task = self._task(state.position)
        epoch, place = divmod(state.counts[task], self.rows[task])
        index = permuted(place, self.rows[task], self._permutation_keys[task] + epoch)
        counts = (*state.counts[:task], state.counts[task] + 1, *state.counts[task + 1 :])
        return Draw(task, epoch, index), MixtureState(state.position + 1, counts)

    def _task(self, position: int) -> int:
        if len(self.names) == 1:
            return 0
        if self.kind == "round_robin":
            return position % len(self.names)
        block, place = divmod(position, _BLOCK)
        if self._block[0] != block:
            rng = np.random.Generator(np.random.Philox(key=self._key, counter=block << 64))
            drawn = np.searchsorted(self._edges, rng.random(_BLOCK) * self._edges[-1], side="right")
            self._block = (block, np.minimum(drawn, len(self.names) - 1))
        return int(self._block[1][place])


def _shares(
    rows: Mapping[str, int], weights: Mapping[str, float] | None, kind: MixtureKind, temperature: float
) -> NDArray[np.float64]:
    sizes = np.array(list(rows.values()), np.float64)
    if kind == "round_robin":
        if weights:
            raise ValueError("a round robin has no weights: leave them out or choose another mixture")
        sizes = np.ones_like(sizes)
    elif weights is not None:
        missing = [name for name in rows if name not in weights]
        if missing:
            raise ValueError(f"all tasks have a weight or none has; without one: {', '.join(missing)}")
        sizes = np.array([weights[name] for name in rows], np.float64)
    elif kind == "temperature":
        sizes = sizes ** (1.0 / temperature)
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise ValueError(f"weights are positive numbers, got {sizes.tolist()}")
    shares: NDArray[np.float64] = sizes / sizes.sum()
    return shares


def row_rng(seed: int, task: str, epoch: int, index: int, purpose: str = "encode") -> np.random.Generator:
    """Randomness that depends on the row's address and nothing else."""
    return np.random.Generator(np.random.Philox(key=_key(purpose, str(seed), task, str(epoch), str(index))))


def _key(*parts: str) -> int:
    """128 bits out of names and numbers."""
    return int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:16], "little")


def permuted(place: int, size: int, key: int) -> int:
    """Where ``place`` of ``0 .. size - 1`` goes under the permutation of that key, in O(1) memory.

    A Feistel network over the next even power of two, walked until it lands inside (Black and Rogaway, 2002).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = place >> half, place & mask
        for round_number in range(6):
            left, right = right, left ^ (_mix(right + key + (round_number << 40)) & mask)
        place = (left << half) | right
        if place < size:
            return place


def _mix(value: int) -> int:
    value = (value * 0x9E3779B97F4A7C15 ^ value >> 64) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
