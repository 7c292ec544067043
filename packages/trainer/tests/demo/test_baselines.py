"""Baselines are the best answers of their kind, checked against brute force."""

import numpy as np
import pytest
from ofa_trainer.demo.baselines import (
    answers_by_kind,
    best_constant_box,
    fill_masks,
    frequent_words,
    lead_words,
    majority,
    majority_by_kind,
    most_frequent_word,
)
from ofa_trainer.metrics.boxes import intersection_over_union
from ofa_trainer.metrics.metric import Judged
from ofa_trainer.metrics.specs import RougeOptions
from ofa_trainer.metrics.text import rouge_l


def test_majority_breaks_ties_by_the_alphabet() -> None:
    assert majority(["b", "a", "B", "a"]) == "a"
    with pytest.raises(ValueError, match="no answers"):
        majority([])


def test_majority_by_kind_and_an_unknown_kind() -> None:
    table = majority_by_kind([("count", "2"), ("count", "2"), ("count", "3"), ("where", "left")])
    assert table == {"count": "2", "where": "left"}
    assert answers_by_kind(["where", "colour"], table, "2") == ["left", "2"]


def test_best_constant_box_beats_every_training_box_and_the_mean() -> None:
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 40, (300, 2))
    boxes = np.concatenate([start, start + rng.uniform(14, 24, (300, 2))], axis=1)

    def share(box: object) -> float:
        return float((intersection_over_union(boxes, box) >= 0.5).mean())

    best = best_constant_box(boxes, size_px=(64, 64))
    assert share(best) >= share(boxes.mean(axis=0))
    assert share(best) >= max(share(np.round(box / 4) * 4) for box in boxes)


def test_best_constant_box_of_one_box_is_that_box() -> None:
    assert best_constant_box([(8, 16, 32, 48)], size_px=(64, 64)) == (8, 16, 32, 48)


def test_frequent_words_choose_how_many() -> None:
    references = ["library for the gnome desktop", "library for python", "a tool for the desktop", "library files"]
    answer = frequent_words(references)

    def score(text: str) -> float:
        return rouge_l([Judged(answer=text, reference=reference) for reference in references], RougeOptions()).value

    ranked = ["for", "library", "desktop", "the"]
    assert score(answer) >= max(score(" ".join(ranked[:k])) for k in range(1, 5))


def test_masks_and_lead_words() -> None:
    assert most_frequent_word(["The cat the", "dog the"]) == "the"
    assert fill_masks("a <mask> on <mask>", "the") == "a the on the"
    assert lead_words("one two  three", 2) == "one two"
