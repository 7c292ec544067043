"""The demo runs end to end in two steps, and what it leaves answers."""

from pathlib import Path

import pytest
from ofa_models.session import Session
from ofa_trainer.demo import DemoResult, recipe, run_demo, table_rows
from ofa_trainer.demo.run import answer_rows, closed_sets, demo_tasks
from ofa_trainer.metrics.infilling import MASK
from ofa_trainer.starter import starter_source


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def result(folder: Path) -> DemoResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "BATCH_TOKENS", 2000)
        patch.setattr(recipe, "FIT_ROWS", 100)
        patch.setattr(recipe, "SHOWN_ROWS", 2)
        return run_demo(folder, steps=2, split="valid", rows=4, size="nano")


@pytest.mark.slow
def test_six_tasks_are_judged_and_shown(result: DemoResult, folder: Path) -> None:
    assert [task.task for task in result.tasks] == [task.name for task in recipe.DEMO_TASKS]
    assert all(task.num_rows == 4 and 0 <= task.value <= 1 for task in result.tasks)
    assert all(len(cards) == 2 for cards in result.answers.values())
    assert result.steps == 2
    assert len(table_rows(result)) == 6
    assert (folder / "index.html").is_file()
    assert len(list((folder / "pictures").iterdir())) == 8


@pytest.mark.slow
def test_the_checkpoint_answers_a_row_as_the_demo_did(result: DemoResult, folder: Path) -> None:
    session = Session.from_pretrained(folder / "checkpoint")
    task = next(task for task in recipe.DEMO_TASKS if task.name == "classify")
    row = starter_source("classify", "valid").read(0)
    assert str(session(task.instruction, img=row["img"])["label"]) == result.answers["classify"][0].answer


@pytest.mark.slow
def test_masks_depend_on_the_row_alone(result: DemoResult, folder: Path) -> None:
    session = Session.from_pretrained(folder / "checkpoint")
    task = next(task for task in recipe.DEMO_TASKS if task.name == "infill")
    source = starter_source("infill", "valid")
    once, twice = answer_rows(session, task, source, 1), answer_rows(session, task, source, 3)
    assert once[0].judged == twice[0].judged
    assert MASK in str(once[0].judged.shown)


def test_a_folder_of_other_things_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="choose another output folder"):
        run_demo(tmp_path, steps=1, size="nano")
    assert (tmp_path / "checkpoint" / "notes.txt").read_text() == "mine"


def test_every_answer_of_the_pack_is_a_candidate() -> None:
    for name, column in (("classify", "label"), ("vqa", "answer")):
        candidates = closed_sets(name)[column]
        for split in ("train", "valid", "test"):
            source = starter_source(name, split)
            assert {str(source.read(index, 0)[column]) for index in range(150)} <= set(candidates)


def test_tasks_of_two_seeds_differ_in_their_training_rows_only() -> None:
    for one, two in zip(demo_tasks(0), demo_tasks(1), strict=True):
        assert one.source("train").fingerprint() != two.source("train").fingerprint()
        assert one.source("test").fingerprint() == two.source("test").fingerprint()
