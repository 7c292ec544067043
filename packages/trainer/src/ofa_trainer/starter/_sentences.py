"""Single sentences of the descriptions, for infilling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from ofa_trainer.starter._pack import Split, descriptions

_FEWEST_WORDS, _MOST_WORDS = 6, 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence of 6 to 24 words, and the row of ``descriptions.parquet`` it comes from."""

    row: int
    text: str


@cache
def sentences(split: Split) -> tuple[Sentence, ...]:
    """The sentences of a split, each once.

    Training takes every sentence; valid and test take the first fitting one of a description, so that their rows are
    independent of each other, and none that also stands in training (or, for test, in valid).
    """
    known = {_key(item.text) for other in _EARLIER[split] for item in sentences(other)}
    found = []
    for record in descriptions():
        if record.split != split:
            continue
        for text in split_sentences(record.description):
            if _key(text) in known:
                continue
            known.add(_key(text))
            found.append(Sentence(row=record.row, text=text))
            if split != "train":
                break
    return tuple(found)


def split_sentences(text: str) -> list[str]:
    """Cut at a full stop, question or exclamation mark before a capital; keep what has 6 to 24 words.

    Example:
        >>> split_sentences("It reads images of any kind. Fast. It also writes them, as PNG or WebP.")
        ['It reads images of any kind.', 'It also writes them, as PNG or WebP.']
    """
    pieces = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)
    return [piece for piece in pieces if _FEWEST_WORDS <= len(piece.split()) <= _MOST_WORDS]


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


_EARLIER: dict[Split, tuple[Split, ...]] = {"train": (), "valid": ("train",), "test": ("train", "valid")}
