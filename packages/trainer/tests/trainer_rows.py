"""Small text rows that nano learns in a few steps."""

from __future__ import annotations

import random

WORDS = ["red", "green", "blue", "cat", "dog", "sun", "moon", "tree", "house", "fish"]


def text_rows(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Rows with a sentence, its first word and whether `cat` is in it."""
    rng = random.Random(seed)
    rows: list[dict[str, object]] = []
    for _ in range(count):
        words = rng.choices(WORDS, k=rng.randint(2, 6))
        rows.append({"text": " ".join(words), "first": words[0], "has": "yes" if "cat" in words else "no"})
    return rows
