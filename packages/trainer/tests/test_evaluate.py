"""Evaluation: the figures of a trained model, and rows that cannot be judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from ofa_instruction import OFAWarning
from ofa_models import Session
from ofa_trainer import DataError, EvaluatePlan, Task, Trained, Trainer, evaluate, preset, preset_names
from PIL import Image
from trainer_rows import text_rows

HAS = "is there a cat in [TEXT:text] ? -> [TEXT:has,closed_set]"
FILL = 'what is the complete text of " [TEXT:text,mask_ratio=0.3] "? -> [TEXT:text,max_length=24]'


@pytest.fixture(scope="module")
def trained() -> Trained:
    tasks = [
        Task("has", HAS, train=text_rows(200), test=[*text_rows(40, seed=5), {"text": "cat"}, {"text": [1], "has": "no"}]),
        Task("fill", FILL, train=text_rows(200), test=text_rows(20, seed=6), metrics=["masked_word_accuracy", "exact_match"]),
    ]
    return Trainer(steps=30, batch_tokens=1024, tokenizer_size=300, valid_rows=10).fit("nano", tasks)


def test_every_task_is_judged_by_its_metrics(trained: Trained) -> None:
    evaluation = trained.evaluate("test")
    assert list(evaluation.figures()["has"]) == ["has/accuracy"]
    assert list(evaluation.figures()["fill"]) == ["text/masked_word_accuracy", "text/exact_match"]
    figure = evaluation.figures()["has"]["has/accuracy"]
    assert 0 <= figure.low <= figure.value <= figure.high <= 1
    judged = evaluation.tasks["has"].judged["has"]
    assert {row.answer for row in judged} <= {"yes", "no"}
    assert figure.value == pytest.approx(sum(row.answer == row.reference for row in judged) / len(judged))


def test_rows_that_cannot_be_judged_are_named(trained: Trained) -> None:
    task = trained.evaluate("test").tasks["has"]
    assert task.rows == 40
    assert [str(row).partition(": ")[0] for row in task.bad] == ["has/test:row 41:has", "has/test:row 42:text"]


def test_the_same_words_are_masked_for_every_checkpoint(trained: Trained) -> None:
    first, second = (trained.evaluate("test").tasks["fill"].judged["text"] for _ in range(2))
    assert [row.shown for row in first] == [row.shown for row in second]
    assert any("<mask>" in (row.shown or "") for row in first)


BOXES = [[4, 4, 12, 12], [12, 12, 4, 4], "x", [1, 2, 3], [0, 0, 99, 99], "4,4,12,12"]


def test_reference_boxes_that_are_none_are_named_and_not_judged() -> None:
    rows = [{"img": Image.new("RGB", (32, 32)), "what": "it", "box": box, "boxes": [[4, 4, 12, 12]]} for box in BOXES]
    tasks = [
        Task("ground", "[IMAGE:img] where is [TEXT:what] ? -> [BOX:box]", train=rows[:1] * 20, test=rows, valid=False),
        Task("detect", "[IMAGE:img] where? -> ([BOX:boxes])*", train=rows[:1] * 20, test=rows, valid=False),
    ]
    trained = Trainer(steps=2, batch_tokens=512, tokenizer_size=300).fit("nano", tasks)
    found = trained.evaluate("test").tasks
    assert found["ground"].rows == 2
    assert [(row.address, row.column) for row in found["ground"].bad] == [
        (f"ground/test:row {number}", "box") for number in (2, 3, 4, 5)
    ]
    assert len(found["ground"].metrics["box/iou"].values) == 2
    assert found["detect"].rows == 6
    assert list(found["detect"].metrics) == ["boxes/box_f1", "boxes/iou"]
    assert found["detect"].metrics["boxes/box_f1"].baseline == 1


def test_validation_figures_come_with_the_run(trained: Trained) -> None:
    assert trained.figures["has"]["has/accuracy"].rows == 10


def test_a_saved_checkpoint_is_judged_the_same(trained: Trained, tmp_path: Path) -> None:
    session = Session.from_pretrained(trained.save(tmp_path / "checkpoint"))
    again = evaluate(session, trained.prepared.tasks, EvaluatePlan(split="test"))
    assert again.figures() == trained.evaluate("test").figures()


def test_another_instruction_than_the_trained_one_is_told(trained: Trained) -> None:
    task = Task("has", HAS.replace("is there", "do you see"), train=text_rows(30), test=text_rows(5))
    with pytest.warns(OFAWarning, match=r"(?s)task `has` is judged by .* is there a cat .* not by .* do you see a cat"):
        evaluate(trained.session(), [task])


def test_what_cannot_be_judged_is_an_error(trained: Trained) -> None:
    with pytest.raises(DataError, match="task `has` has no test rows"):
        evaluate(trained.session(), [Task("has", HAS, train=text_rows(30))])
    task = Task("has", HAS, train=text_rows(30), test=text_rows(5), metrics=["iou"])
    with pytest.raises(ValueError, match="the metric `iou` judges none of its answers"):
        evaluate(trained.session(), [task])


def test_presets_compile() -> None:
    from ofa_instruction import default_catalog

    catalog = default_catalog()
    for name in preset_names():
        plan = preset(name, train=[{}]).compile(catalog.backend("generalist").spec, catalog)
        assert plan.instructions[0].target
    with pytest.raises(ValueError, match="did you mean `caption`"):
        preset("captoin", train=[{}])


def test_classes_that_differ_in_case_are_two_for_their_accuracy() -> None:
    rows = [{"text": f"sign {number % 3}", "label": "Aa"[number % 2], "word": "Aa"[number % 2]} for number in range(20)]
    tasks = [
        Task("category", "[TEXT:text] which? -> [CATEGORY:label]", train=rows, test=rows, valid=False),
        Task("text", "[TEXT:text] which word? -> [TEXT:word,closed_set]", train=rows, test=rows, valid=False),
    ]
    trained = Trainer(steps=2, batch_tokens=512, tokenizer_size=300).fit("nano", tasks)
    for found in trained.evaluate("test").tasks.values():
        ((column, judged),) = found.judged.items()
        right = sum(row.answer == row.reference for row in judged) / found.rows
        assert found.metrics[f"{column}/accuracy"].value == pytest.approx(right) == pytest.approx(0.5)


def test_an_evaluation_that_judges_nothing_is_an_error(trained: Trained, caplog: pytest.LogCaptureFixture) -> None:
    blank: list[dict[str, object]] = [{"text": "a cat", "has": None}] * 7
    nothing, something = Task("has", HAS, train=blank, test=blank), Task("fill", FILL, train=blank, test=text_rows(3))
    with pytest.raises(DataError, match=r"task `has`: nothing was judged, none of 7 test rows can be used:\n  has/test:row 1"):
        evaluate(trained.session(), [nothing])
    evaluation = evaluate(trained.session(), [nothing, something])
    assert evaluation.tasks["fill"].rows == 3
    assert evaluation.complaint().startswith("task `has`: nothing was judged")


def test_validation_rows_that_are_all_bad_end_no_run(caplog: pytest.LogCaptureFixture) -> None:
    task = Task("has", HAS, train=text_rows(30), valid=[{"text": "a cat", "has": "perhaps"}] * 3)
    trained = Trainer(steps=2, batch_tokens=512, tokenizer_size=300).fit("nano", [task])
    assert trained.state.step == 2
    assert "task `has`: none of its validation rows can be used" in caplog.text


def test_a_task_of_another_name_is_asked_by_its_own_instruction(trained: Trained, tmp_path: Path) -> None:
    session = Session.from_pretrained(trained.save(tmp_path / "checkpoint"))
    other = Task("other", "does [TEXT:text] speak of a cat? -> [TEXT:has,closed_set]", test=text_rows(6, seed=7))
    found = evaluate(session, [other]).tasks["other"]
    assert found.rows == 6
    with pytest.raises(DataError, match="task `other` has no training rows"):
        other.source("train")
