"""The mixture: a function of a position, with no state but counters."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_trainer.mixture import Draw, Mixture, MixtureState, permuted, row_rng


def draws(mixture: Mixture, count: int, state: MixtureState | None = None) -> list[Draw]:
    state = state or mixture.start()
    found = []
    for _ in range(count):
        draw, state = mixture.draw(state)
        found.append(draw)
    return found


@given(size=st.integers(1, 700), key=st.integers(0, 2**128 - 1))
@settings(max_examples=60, deadline=None)
def test_permuted_is_a_permutation(size: int, key: int) -> None:
    assert sorted(permuted(place, size, key) for place in range(size)) == list(range(size))


def test_permutations_of_two_epochs_differ_and_are_not_the_identity() -> None:
    first, second = ([permuted(place, 100, key) for place in range(100)] for key in (7, 8))
    assert first != second
    assert first != list(range(100))
    assert np.corrcoef(first, range(100))[0, 1] < 0.5


def test_permutations_are_even() -> None:
    """Every row stands at every place about equally often."""
    counts = Counter(permuted(0, 10, key * 977) for key in range(5000))
    assert all(abs(counts[row] - 500) < 120 for row in range(10))


@given(
    rows=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    kind=st.sampled_from(["rows", "temperature", "round_robin"]),
    at=st.integers(0, 200),
)
@settings(max_examples=40, deadline=None)
def test_going_on_from_any_state_gives_the_same_rows(rows: list[int], kind: str, at: int) -> None:
    mixture = Mixture({f"t{n}": count for n, count in enumerate(rows)}, seed=3, kind=kind, temperature=2.0)  # type: ignore[arg-type]
    state = mixture.start()
    for _ in range(at):
        _, state = mixture.draw(state)
    fresh = Mixture({f"t{n}": count for n, count in enumerate(rows)}, seed=3, kind=kind, temperature=2.0)  # type: ignore[arg-type]
    assert draws(fresh, at + 50)[at:] == draws(fresh, 50, MixtureState(state.position, state.counts))


def test_each_epoch_of_a_task_visits_every_row_once() -> None:
    mixture = Mixture({"a": 7, "b": 13}, seed=1)
    found = draws(mixture, 400)
    for task, rows in ((0, 7), (1, 13)):
        mine = [draw for draw in found if draw.task == task]
        for epoch in range(max(draw.epoch for draw in mine)):
            assert sorted(draw.index for draw in mine if draw.epoch == epoch) == list(range(rows))


def test_shares_follow_weights() -> None:
    mixture = Mixture({"a": 10, "b": 10}, seed=0, weights={"a": 3.0, "b": 1.0})
    counts = Counter(draw.task for draw in draws(mixture, 8000))
    assert mixture.shares == (0.75, 0.25)
    assert abs(counts[0] / 8000 - 0.75) < 0.02


def test_shares_follow_rows_and_temperature() -> None:
    assert Mixture({"a": 9, "b": 1}, seed=0).shares == (0.9, 0.1)
    assert Mixture({"a": 9, "b": 1}, seed=0, kind="temperature", temperature=2.0).shares == (0.75, 0.25)


def test_a_round_robin_takes_turns() -> None:
    assert [draw.task for draw in draws(Mixture({"a": 9, "b": 1}, seed=0, kind="round_robin"), 4)] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("rows", "weights", "message"),
    [
        ({"a": 0}, None, "no training rows"),
        ({"a": 1, "b": 1}, {"a": 1.0}, "without one: b"),
        ({"a": 1}, {"a": -1.0}, "positive"),
        ({"a": 1}, {"a": float("nan")}, "positive"),
    ],
)
def test_bad_mixtures_are_errors(rows: dict[str, int], weights: dict[str, float] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixture(rows, seed=0, weights=weights)


def test_randomness_of_a_row_depends_on_its_address_alone() -> None:
    first = row_rng(1, "a", 0, 5).random()
    assert first == row_rng(1, "a", 0, 5).random()
    others = {
        row_rng(2, "a", 0, 5).random(),
        row_rng(1, "b", 0, 5).random(),
        row_rng(1, "a", 1, 5).random(),
        row_rng(1, "a", 0, 6).random(),
        row_rng(1, "a", 0, 5, "transform").random(),
    }
    assert len(others | {first}) == 6
