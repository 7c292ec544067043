"""Every task of the demo has a baseline, figures and cards, on rows of the starter pack."""

from pathlib import Path

import pytest
from ofa_trainer.demo.cards import shown_rows
from ofa_trainer.demo.judging import AnsweredRow, judge
from ofa_trainer.demo.recipe import DEMO_TASKS, SHOWN_ROWS, DemoTask
from ofa_trainer.demo.showing import Showing
from ofa_trainer.metrics.infilling import MASK
from ofa_trainer.metrics.metric import Judged
from ofa_trainer.starter import STARTER_TASKS, starter_source


def answered(task: DemoTask, right: bool, count: int = 24) -> list[AnsweredRow]:
    source = starter_source(task.name, "valid")
    rows = []
    for index in range(count):
        row = source.read(index)
        reference = row[task.target]
        shown = None
        if task.name == "infill":
            shown = " ".join(MASK if place % 4 == 1 else word for place, word in enumerate(str(reference).split()))
        answer = reference if right else None
        judged = Judged(answer=answer, reference=reference, shown=shown)
        rows.append(AnsweredRow(address=source.address(index), row=row, judged=judged))
    return rows


def test_the_demo_has_the_pack_s_six_tasks() -> None:
    assert {task.name for task in DEMO_TASKS} == set(STARTER_TASKS)


@pytest.mark.parametrize("task", DEMO_TASKS, ids=lambda task: task.name)
def test_right_answers_score_one_and_the_baseline_less(task: DemoTask) -> None:
    figures = judge(task, starter_source(task.name, "train"), answered(task, right=True), "valid")
    assert figures.value == pytest.approx(1)
    assert figures.low == pytest.approx(1)
    assert 0 <= figures.baseline < 0.7
    assert not figures.learnt, "24 rows are too few to say so"
    assert figures.metric == task.metrics[0]


@pytest.mark.parametrize("task", DEMO_TASKS, ids=lambda task: task.name)
def test_no_answer_scores_zero(task: DemoTask) -> None:
    assert judge(task, starter_source(task.name, "train"), answered(task, right=False), "valid").value == 0


@pytest.mark.parametrize("task", DEMO_TASKS, ids=lambda task: task.name)
def test_cards_show_the_first_rows_with_their_pictures(task: DemoTask, tmp_path: Path) -> None:
    rows = answered(task, right=True)
    cards, pictures = shown_rows(task, rows, Showing(tmp_path))
    assert [card.address for card in cards] == [row.address for row in rows[:SHOWN_ROWS]]
    assert {card.picture for card in cards if card.picture} == set(pictures)
    assert bool(pictures) == ("img" in rows[0].row)
    assert all(card.right is not False for card in cards)


def test_questions_of_a_kind_have_their_own_figures() -> None:
    task = next(task for task in DEMO_TASKS if task.name == "vqa")
    names = {figure.name for figure in judge(task, starter_source("vqa", "train"), answered(task, right=True), "valid").more}
    assert {"count", "where", "exists"} <= names
