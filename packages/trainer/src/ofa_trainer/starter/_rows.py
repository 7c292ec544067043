"""What all sources of the starter pack do alike: bounds, chance and fingerprints of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np

from ofa_trainer.starter._pack import Drawing, Split, drawings


def check_index(index: int, count: int, task: str, split: Split) -> None:
    """Raise IndexError for a row that is not there."""
    if not 0 <= index < count:
        raise IndexError(f"row {index} of {count} in the starter pack's {task}, {split}")


def rng_of(key: Sequence[int], split: Split, seed: int, epoch: int, index: int) -> np.random.Generator:
    """The chance of a row; ``key`` tells tasks apart. Seed and epoch matter in training only."""
    seed, epoch = (seed, epoch) if split == "train" else (0, 0)
    return np.random.default_rng([*key, seed, epoch, index])


def fingerprint_of(digests: Sequence[str], recipe: str, task: str, split: Split, seed: int) -> str:
    """SHA-256 (64 hex digits) over what decides a source's rows."""
    parts = (*digests, recipe, task, split, str(seed if split == "train" else 0))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def drawings_of(split: Split) -> tuple[Drawing, ...]:
    """The drawings of a split, in the file's order, which is that of a hash."""
    return tuple(drawing for drawing in drawings() if drawing.split == split)
