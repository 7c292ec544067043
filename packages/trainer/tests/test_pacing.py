"""The pace of a run, by a clock that is set by hand."""

from __future__ import annotations

import pytest
from ofa_trainer.pacing import VALIDATIONS, Clock, Pace
from ofa_trainer.plans import TrainerOptions


class Watch(Clock):
    """Stands where it is put."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0

    @property
    def elapsed_s(self) -> float:
        return self.at


def run(options: TrainerOptions, step_s: float | list[float], validation_s: list[float]) -> tuple[Watch, Pace, int, list[int]]:
    """Train by the clock: seconds of the steps (the last goes on) and of the validations; (clock, pace, steps, validated at)."""
    clock = Watch()
    pace = Pace(options, clock, validates=True)
    speeds = step_s if isinstance(step_s, list) else [step_s]
    step, validated = 0, []
    pace.start(0, options.steps)

    def validate() -> None:
        took = validation_s[min(len(validated), len(validation_s) - 1)]
        clock.at += took
        pace.validated(step, took)
        validated.append(step)

    while not pace.is_over(step) and (options.steps is None or step < options.steps):
        clock.at += speeds[min(step * len(speeds) // 400, len(speeds) - 1)]
        step += 1
        over = pace.is_over(step) or step == options.steps
        if not over and pace.is_due(step, options.steps):
            validate()
    validate()
    return clock, pace, step, validated


def test_a_run_of_steps_validates_several_times_and_a_short_one_at_its_end() -> None:
    _, _, _, validated = run(TrainerOptions(steps=500), 1.0, [1.0])
    assert validated == [63, 126, 189, 252, 315, 378, 441, 500]
    assert run(TrainerOptions(steps=12), 1.0, [1.0])[3] == [12]
    assert run(TrainerOptions(steps=60), 1.0, [1.0])[3] == [20, 40, 60]
    assert run(TrainerOptions(steps=60, validate_every=0), 1.0, [1.0])[3] == [60]
    assert run(TrainerOptions(steps=60, validate_every=25), 1.0, [1.0])[3] == [25, 50, 60]


@pytest.mark.parametrize("speeds", [[0.5], [0.5, 2.0], [2.0, 0.5], [0.1, 5.0, 0.2], [0.5, 0.5, 0.5, 10.0]])
@pytest.mark.parametrize("validations", [[1.0], [36.0, 4.0], [10.0]])
def test_minutes_end_near_their_end_however_fast_the_machine_is(speeds: list[float], validations: list[float]) -> None:
    clock, pace, step, validated = run(TrainerOptions(minutes=10), speeds, validations)
    assert 0.93 * 600 <= clock.at <= 1.07 * 600
    assert clock.training_s >= 0.7 * 600
    assert 2 <= len(validated) <= VALIDATIONS + 1
    assert pace.progress(step, None) > 0.95  # the rate has fallen to its end


def test_validations_that_cost_too_much_are_left_out_and_training_goes_on() -> None:
    clock, pace, step, validated = run(TrainerOptions(minutes=4, validate_every=40), 0.5, [36.0, 20.0])
    assert step > 200
    assert pace.left_out > 0
    assert validated[0] == 40
    assert clock.at <= 1.2 * 240


def test_progress_never_goes_back() -> None:
    clock = Watch()
    pace = Pace(TrainerOptions(minutes=1), clock, validates=True)
    seen = []
    for at, validating in ((10, 0), (20, 5), (21, 0), (40, 1), (80, 0)):
        clock.at = at
        if validating:
            pace.validated(1, validating)
        seen.append(pace.progress(1, None))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_validation_is_allowed_its_share_of_the_training_and_all_rows_where_results_must_repeat() -> None:
    clock = Watch()
    clock.at = 100.0
    assert Pace(TrainerOptions(steps=10), clock, validates=True).allowance_s(last=False) == pytest.approx(20)
    assert Pace(TrainerOptions(steps=10, valid_share=0.5), clock, validates=True).allowance_s(last=True) == pytest.approx(50)
    assert Pace(TrainerOptions(steps=10, valid_share=None), clock, validates=True).allowance_s(last=False) is None
    assert Pace(TrainerOptions(steps=10, deterministic=True), clock, validates=True).allowance_s(last=False) is None
    assert Pace(TrainerOptions(minutes=2), clock, validates=True).allowance_s(last=True) == pytest.approx(20)
