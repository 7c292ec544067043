"""What a run has come to is said in plain sentences, and nothing where all is well."""

from __future__ import annotations

import pytest
from ofa_trainer import Task, Trainer
from ofa_trainer.reporting import Event, Figure, Summary, Validated
from ofa_trainer.verdict import MOST_POINTS, ValidationPoint, sentences, with_point
from trainer_rows import text_rows


def points(*losses: tuple[float, float]) -> list[ValidationPoint]:
    return [ValidationPoint(step=10 * (1 + number), train_loss=train, loss=loss) for number, (train, loss) in enumerate(losses)]


def figure(value: float, low: float, high: float, baseline: float, *, higher_is_better: bool = True) -> Figure:
    return Figure(
        value=value,
        low=low,
        high=high,
        rows=20,
        baseline=baseline,
        baseline_name="always `no`",
        higher_is_better=higher_is_better,
    )


GOOD = points((2.0, 2.1), (1.0, 1.2), (0.5, 0.8), (0.3, 0.7))


def test_a_run_that_went_well_has_nothing_to_be_said() -> None:
    figures = {"has": {"has/accuracy": figure(0.9, 0.8, 1.0, 0.5)}}
    assert sentences(GOOD, best_step=40, best_by="has/has/accuracy", figures=figures) == []
    assert sentences([], best_step=None, best_by=None, figures={}) == []


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (figure(0.5, 0.3, 0.7, 0.5), "does no better than a constant answer: has/accuracy is 0.500 on 20 rows, and a constant"),
        (figure(0.6, 0.4, 0.8, 0.5), "is not surely better than a constant answer: has/accuracy is 0.600 on 20 rows"),
        (figure(0.9, 0.7, 1.1, 0.8, higher_is_better=False), "does no better than a constant answer"),
    ],
)
def test_no_better_than_a_constant_answer(given: Figure, wanted: str) -> None:
    (said,) = sentences(GOOD, best_step=40, best_by="has/has/accuracy", figures={"has": {"has/accuracy": given}})
    assert said.startswith(f"`has` {wanted}")
    better = figure(0.3, 0.2, 0.4, 0.8, higher_is_better=False)
    assert not sentences(GOOD, best_step=40, best_by="x", figures={"has": {"has/wer": better}})


def test_overfitting_is_said_and_where_a_metric_goes_on_it_decides() -> None:
    losses = points((2.0, 2.1), (1.0, 1.5), (0.2, 2.5), (0.0, 4.0))
    rise = "since step 20 the validation loss rose from 1.50 to 4.00 while the training loss fell from 1.00 to 0.00"
    (said,) = sentences(losses, best_step=20, best_by="cap/cap/rouge_l", figures={})
    assert said == f"it overfits: {rise}"
    (said,) = sentences(losses, best_step=40, best_by="cap/cap/rouge_l", figures={})
    assert said == f"{rise}, but cap/cap/rouge_l got better until step 40: the metric decides"
    (said,) = sentences(points((0.0, 9.4)), best_step=10, best_by="loss", figures={})
    assert said == "it overfits: the loss of training rows is 0.00, that of validation rows 9.40"


def test_learning_that_has_stopped_is_said() -> None:
    (said,) = sentences(points((2.0, 2.1), (1.0, 1.5), (1.0, 1.5), (1.0, 1.5)), best_step=20, best_by="loss", figures={})
    assert said == "it has stopped learning: neither the training loss nor the validation got better since step 30"
    (said,) = sentences(points((2.0, 2.1), (2.1, 2.1), (2.0, 2.1), (2.0, 2.1)), best_step=10, best_by="loss", figures={})
    assert said.startswith("it has learnt nothing: the training loss was 2.00 at step 10 and is 2.00")


def test_a_long_run_keeps_its_last_validation_and_few_others() -> None:
    kept: tuple[ValidationPoint, ...] = ()
    for number in range(1, 1000):
        kept = with_point(kept, ValidationPoint(step=number, train_loss=1.0, loss=1.0))
        assert kept[-1].step == number
        assert len(kept) <= MOST_POINTS


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def report(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass


def test_a_run_on_answers_by_chance_validates_several_times_and_says_what_it_has_come_to() -> None:
    train = [row | {"any": ("a", "b")[number % 2]} for number, row in enumerate(text_rows(30))]
    valid = [row | {"any": ("a", "b")[number % 2]} for number, row in enumerate(text_rows(20, seed=3))]
    task = Task("chance", "which in [TEXT:text] ? -> [TEXT:any,closed_set]", train=train, valid=valid)
    recorder = Recorder()
    trained = Trainer(steps=80, batch_tokens=256, tokenizer_size=300, reporters=[recorder]).fit("nano", [task])
    assert [event.step for event in recorder.events if isinstance(event, Validated)] == [20, 40, 60, 80]
    (summary,) = [event for event in recorder.events if isinstance(event, Summary)]
    assert summary.verdict == trained.verdict
    assert any("constant answer (always `a`) has 0.500" in sentence for sentence in trained.verdict)
    assert trained.figures["chance"]["any/accuracy"].baseline == 0.5
