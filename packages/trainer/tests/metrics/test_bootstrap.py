"""The bootstrap covers what it promises to cover."""

import numpy as np
import pytest
from ofa_trainer.metrics.bootstrap import bootstrap_interval, resampled_sums
from ofa_trainer.metrics.metric import mean_scores


def test_interval_is_near_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 1000)
    interval = bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.01)


def test_one_seed_one_interval() -> None:
    values = np.random.default_rng(2).normal(size=50)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        low, _, high = bootstrap_interval(rng.random(200) < 0.3, num_resamples=300, seed=trial)
        hits += low <= 0.3 <= high
    assert 180 <= hits <= 199


def test_weighted_rows_are_drawn_with_their_weights() -> None:
    scores = mean_scores([1.0, 0.0], [3.0, 1.0])
    assert scores.value == 0.75
    assert set(np.round(scores.figure(resampled_sums(scores.sums, num_resamples=100, seed=0)), 6)) == {0.0, 0.75, 1.0}


def test_level_narrows_the_interval() -> None:
    values = np.arange(100.0)
    wide, narrow = bootstrap_interval(values, level=0.99), bootstrap_interval(values, level=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]]])
def test_wrong_shapes_are_errors(values: list[object]) -> None:
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_interval(values)
