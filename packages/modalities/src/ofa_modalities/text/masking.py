"""Corruption of texts: masked words and noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.text.words import spans
from ofa_modalities.vocabulary import MASK_TEXT


def mask_words(text: str, ratio: float, rng: np.random.Generator, mean_span: float = 0.0) -> str:
    """Replace ``ceil(ratio · words)`` words by one ``<mask>`` each; a text that already holds one stays as it is.

    Words are runs between blanks, and single characters in scripts without blanks (:func:`ofa_modalities.text.words.spans`).
    ``mean_span`` above 0 masks runs of Poisson length (at least 1) instead of single words.
    The share and its rounding are those of BART's text infilling (Lewis et al. 2019), with one mask a word.
    """
    if MASK_TEXT in text or ratio <= 0:
        return text
    words = list(spans(text))
    wanted = min(len(words), math.ceil(ratio * len(words) - 1e-9))
    if mean_span > 0:
        masked: set[int] = set()
        while len(masked) < wanted:
            start = int(rng.integers(len(words)))
            length = min(max(1, int(rng.poisson(mean_span))), wanted - len(masked))
            masked.update(range(start, min(start + length, len(words))))
        chosen = masked
    else:
        chosen = set(rng.permutation(len(words))[:wanted].tolist())
    pieces, last = [], 0
    for number in sorted(chosen):
        start, stop = words[number]
        pieces += [text[last:start], MASK_TEXT]
        last = stop
    return "".join([*pieces, text[last:]])


def replace_tokens(ids: NDArray[np.int64], ratio: float, block: range, rng: np.random.Generator) -> NDArray[np.int64]:
    """Replace each of ``ids [n]`` with probability ``ratio`` by any id of ``block``."""
    return np.where(rng.random(len(ids)) < ratio, rng.integers(block.start, block.stop, len(ids)), ids)
