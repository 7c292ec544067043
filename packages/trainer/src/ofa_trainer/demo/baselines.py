"""Baselines: answers that look at the training set and at nothing of the row (or, for the copy, at nothing but its first words).

# R training rows, C candidate boxes, G grid lines
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from ofa_modalities.text.words import spaced

from ofa_trainer.metrics.boxes import intersection_over_union
from ofa_trainer.metrics.infilling import MASK
from ofa_trainer.metrics.metric import Judged
from ofa_trainer.metrics.specs import RougeOptions
from ofa_trainer.metrics.text import normalise, rouge_l, words

Box = tuple[float, float, float, float]

_BOX_ROWS_AT_ONCE = 32


def majority(answers: Iterable[str]) -> str:
    """The most frequent answer, the first in the alphabet where several are. Raises ValueError without answers.

    >>> majority(["cat", "dog", "cat"])
    'cat'
    """
    counts = Counter(normalise(answer) for answer in answers)
    if not counts:
        raise ValueError("no answers to take the most frequent one of")
    return min(counts, key=lambda answer: (-counts[answer], answer))


def majority_by_kind(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The most frequent answer of each kind of question, from (kind, answer) pairs."""
    answers: dict[str, list[str]] = defaultdict(list)
    for kind, answer in rows:
        answers[kind].append(answer)
    return {kind: majority(given) for kind, given in answers.items()}


def best_constant_box(boxes_xyxy_px: ArrayLike, *, size_px: tuple[int, int], threshold: float = 0.5, lines: int = 17) -> Box:
    """The one box that, given for every training row, has an IoU of at least ``threshold`` most often.

    Of all boxes between ``lines`` evenly spaced grid lines each way (and the mean box); ties go to the larger mean IoU.
    ``boxes_xyxy_px [R, 4]`` lie on pictures of one size. Raises ValueError without rows.
    """
    truth_R4 = np.asarray(boxes_xyxy_px, np.float64).reshape(-1, 4)
    if not len(truth_R4):
        raise ValueError("no boxes to find the best constant box of")
    across = list(combinations(np.linspace(0, size_px[0], lines), 2))
    down = list(combinations(np.linspace(0, size_px[1], lines), 2))
    candidates_C4 = np.array([(x1, y1, x2, y2) for x1, x2 in across for y1, y2 in down] + [truth_R4.mean(axis=0)])
    hits, total = np.zeros(len(candidates_C4)), np.zeros(len(candidates_C4))
    for start in range(0, len(truth_R4), _BOX_ROWS_AT_ONCE):
        iou_CR = intersection_over_union(candidates_C4[:, None], truth_R4[None, start : start + _BOX_ROWS_AT_ONCE])
        hits += (iou_CR >= threshold).sum(axis=1)
        total += iou_CR.sum(axis=1)
    x1, y1, x2, y2 = candidates_C4[np.lexsort((-total, -hits))[0]].tolist()
    return (x1, y1, x2, y2)


def most_frequent_word(texts: Iterable[str]) -> str:
    """The most frequent run between blanks, in lower case: what every mask is most likely to hide."""
    return majority(word for text in texts for word in spaced(text))


def fill_masks(shown: str, word: str) -> str:
    """``shown`` with ``word`` in place of every mask.

    >>> fill_masks("the <mask> sat on <mask>", "the")
    'the the sat on the'
    """
    return shown.replace(MASK, word)


def frequent_words(references: Sequence[str], *, most_words: int = 12, sample: int = 500) -> str:
    """The k most frequent words of the training answers, the most frequent first, k chosen by training ROUGE-L.

    Words are counted over all references; k is chosen on the first ``sample`` of them. Raises ValueError without words.
    """
    counts = Counter(word for reference in references for word in words(reference))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[:most_words]
    if not ranked:
        raise ValueError("no words to take the most frequent ones of")
    options = RougeOptions()

    def score(answer: str) -> float:
        return rouge_l([Judged(answer=answer, reference=reference) for reference in references[:sample]], options).value

    return max((" ".join(ranked[:k]) for k in range(1, len(ranked) + 1)), key=score)


def lead_words(text: str, count: int = 10) -> str:
    """The first ``count`` words of a text: the copy that a summary competes with."""
    return " ".join(text.split()[:count])


def answers_by_kind(kinds: Iterable[str], table: Mapping[str, str], otherwise: str) -> list[str]:
    """The answer of each row's kind; ``otherwise`` for a kind that the training set did not have."""
    return [table.get(kind, otherwise) for kind in kinds]
