"""The demo over all modalities: every task has rows, compiles, is judged and shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ofa_instruction import default_catalog, parse
from ofa_trainer.demo import recipe
from ofa_trainer.demo.plan import EVERYTHING
from ofa_trainer.demo.recipe import DemoTask
from ofa_trainer.demo.results import DemoResult
from ofa_trainer.demo.run import demo_tasks, run_demo
from ofa_trainer.starter import starter_source

MODALITIES = {"AUDIO", "BOX", "CATEGORY", "IMAGE", "MOTION", "PHONE", "STRUCT", "TEXT", "VIDEO"}


def test_all_nine_modalities_are_there_and_six_of_them_on_both_sides() -> None:
    read, answered = (
        {
            slot.modality
            for task in EVERYTHING.tasks
            for slot in parse(task.instruction).slots
            if (slot.name == task.target) == is_target
        }
        for is_target in (False, True)
    )
    assert read | answered == MODALITIES
    assert {"AUDIO", "IMAGE", "MOTION", "PHONE", "STRUCT", "TEXT"} <= read & answered


@pytest.mark.parametrize("task", EVERYTHING.tasks, ids=lambda task: task.name)
def test_a_task_compiles_and_its_rows_have_its_columns(task: DemoTask) -> None:
    catalog = default_catalog()
    (built,) = [one for one in demo_tasks(0, EVERYTHING) if one.name == task.name]
    plan = built.compile(catalog.backend("generalist").spec, catalog)
    columns = {slot.column for slot in plan.instructions[0].slots}
    for split in ("train", "valid", "test"):
        assert columns <= set(starter_source(task.name, split).read(0))
    assert task.target in columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("everything")


@pytest.fixture(scope="module")
def result(folder: Path) -> DemoResult:
    tasks = tuple(
        task.model_copy(update={"instruction": task.instruction.replace("size=32", "size=32,fit_steps=2,fit_pictures=16")})
        for task in EVERYTHING.tasks
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "SHOWN_ROWS", 1)

        def options(**given: object) -> object:
            return EVERYTHING.options(**given).model_copy(update={"batch_tokens": 2000, "fit_rows": 40})

        plan = replace(EVERYTHING, tasks=tasks, options=options)
        return run_demo(folder, plan=plan, steps=2, split="valid", rows=2, size="nano")


@pytest.mark.slow
def test_every_task_is_judged_beside_a_baseline_and_shown(result: DemoResult, folder: Path) -> None:
    assert [task.task for task in result.tasks] == [task.name for task in EVERYTHING.tasks]
    assert all(task.num_rows == 2 for task in result.tasks)
    assert all(len(cards) == 1 for cards in result.answers.values())
    page = (folder / "index.html").read_text()
    for task in EVERYTHING.tasks:
        assert f"id='{task.name}'" in page
    for kind in ("<audio", "<table class=shown", ".gif", ".webp"):
        assert kind in page


@pytest.mark.slow
def test_files_of_the_page_are_there(result: DemoResult, folder: Path) -> None:
    files = [
        shown.file
        for cards in result.answers.values()
        for card in cards
        for shown in (*card.shown, card.said, card.true)
        if shown is not None and shown.file is not None
    ]
    assert len(files) >= 6
    assert all((folder / file).stat().st_size > 0 for file in files)
