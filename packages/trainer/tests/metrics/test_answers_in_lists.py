"""Answers of a repeat are lists: judged box by box, item by item, whole, or refused before anything is trained."""

from __future__ import annotations

import logging

import pytest
from ofa_instruction import default_catalog
from ofa_instruction.specs import MetricSpec
from ofa_trainer import DataError, Task, Trainer
from ofa_trainer.metrics.boxes import box_f1, iou_acc, mean_iou
from ofa_trainer.metrics.choosing import check_metric, figure_names
from ofa_trainer.metrics.lists import by_row, items_of
from ofa_trainer.metrics.metric import Judged
from ofa_trainer.metrics.specs import METRICS, IouAccuracyOptions, NoOptions
from ofa_trainer.metrics.text import token_f1, wer
from PIL import Image

A, B, C = [0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]
HALF = IouAccuracyOptions()


def judged(answer: object, reference: object) -> Judged:
    return Judged(answer=answer, reference=reference)


def test_boxes_are_matched_one_to_one_in_any_order() -> None:
    rows = [judged([B, A], [A, B]), judged([A, A], [A, B]), judged([A], [A, B, C]), judged([A, B, C], [A]), judged([], [A])]
    assert box_f1(rows, HALF).values == pytest.approx([1, 0.5, 0.5, 0.5, 0])
    assert iou_acc(rows, HALF).values == pytest.approx([1, 0.5, 1 / 3, 1 / 3, 0])
    assert mean_iou(rows, NoOptions()).values == pytest.approx([1, 0.5, 1 / 3, 1 / 3, 0])
    assert box_f1(rows, HALF).value == pytest.approx(2 * (2 + 1 + 1 + 1 + 0) / (4 + 4 + 4 + 4 + 1))


def test_no_box_where_there_is_none_is_right() -> None:
    assert box_f1([judged([], []), judged([A], [])], HALF).values.tolist() == [1, 0]
    assert box_f1([judged(None, [A])], HALF).value == 0


def test_four_boxes_are_no_box_and_four_numbers_are_one() -> None:
    four = [A, B, C, [70, 70, 80, 80]]
    assert box_f1([judged(four, four), judged(A, A), judged("0,0,10,10", A), judged(["0,0,10,10"], [A])], HALF).value == 1


def test_items_are_judged_by_place_and_a_row_adds_what_its_items_add() -> None:
    rows = [
        judged(["a cat", "dog"], ["a cat", "a dog"]),
        judged(["x"], []),
        judged([], ["y"]),
        judged([["u"], []], [["u"], ["v"]]),
    ]
    items, owners = items_of(rows)
    assert [(one.answer, one.reference) for one in items] == [
        ("a cat", "a cat"),
        ("dog", "a dog"),
        ("x", None),
        (None, "y"),
        ("u", "u"),
        (None, "v"),
    ]
    assert owners == [0, 0, 1, 2, 3, 3]
    assert by_row(token_f1(items, NoOptions()), owners, 4).values == pytest.approx([5 / 6, 0, 0, 0.5])
    assert by_row(wer(items, NoOptions()), owners, 4).value == pytest.approx(4 / 7)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_judges_lists_or_refuses_them(metric: MetricSpec) -> None:
    """Each of the answers that a repeat can have, through the door that training and `ofa check` use."""
    catalog = default_catalog()
    profile = catalog.backend("generalist").spec
    slots = {"TEXT": "[TEXT:x]", "BOX": "[BOX:x]", "CATEGORY": "[CATEGORY:x]", "PHONE": "[PHONE:x]", "STRUCT": "[STRUCT:x]"}
    for modality in sorted(set(metric.modalities) & set(slots)):
        plan = Task("t", f"[IMAGE:img] what? -> ({slots[modality]})*", train=[{}]).compile(profile, catalog)
        if metric.lists == "refused":
            with pytest.raises(ValueError, match=r"judges none of its answers.*`x` stands in a repeat"):
                check_metric(metric.name, plan, catalog)
        else:
            check_metric(metric.name, plan, catalog)
            assert figure_names(plan, [metric.name], catalog) == (f"x/{metric.name}",)


def test_what_is_compared_with_the_text_as_read_needs_it_before_the_arrow() -> None:
    catalog = default_catalog()
    profile = catalog.backend("generalist").spec
    fill, other = ("[TEXT:a,mask_ratio=0.3] -> [TEXT:a]", "[TEXT:a] -> [TEXT:b]")
    check_metric("masked_word_accuracy", Task("t", fill, train=[{}]).compile(profile, catalog), catalog)
    with pytest.raises(ValueError, match="`b` does not stand before the arrow"):
        check_metric("masked_word_accuracy", Task("t", other, train=[{}]).compile(profile, catalog), catalog)


def test_lists_of_boxes_are_judged_beside_a_constant_answer_whatever_metric_is_asked_for() -> None:
    rows: list[dict[str, object]] = [
        {
            "img": Image.new("RGB", (32, 32)),
            "boxes": [[4, 4, 12, 12], [16, 16, 28, 28]][: 1 + number % 2],
            "word": ["cat", "a dog"],
        }
        for number in range(8)
    ]
    tasks = [
        Task("usual", "[IMAGE:img] where? -> ([BOX:boxes])*", train=rows, valid=rows),
        Task("asked", "[IMAGE:img] which? -> ([BOX:boxes])*", train=rows, valid=rows, metrics=["iou_acc"]),
        Task(
            "words",
            "[IMAGE:img] what? -> ([TEXT:word,max_length=4])*",
            train=rows,
            valid=rows,
            metrics=["bleu", "wer", "rouge_l"],
        ),
    ]
    figures = Trainer(steps=1, batch_tokens=512, tokenizer_size=300).fit("nano", tasks).figures
    assert {task: list(found) for task, found in figures.items()} == {
        "usual": ["boxes/box_f1", "boxes/iou"],
        "asked": ["boxes/iou_acc"],
        "words": ["word/bleu", "word/wer", "word/rouge_l"],
    }
    assert figures["usual"]["boxes/box_f1"].rows == 8
    assert figures["usual"]["boxes/box_f1"].baseline == pytest.approx(2 * 12 / (16 + 12))  # both boxes, always
    assert figures["words"]["word/rouge_l"].baseline == 1  # one list is the answer of every row
    assert figures["words"]["word/rouge_l"].baseline_name == "always `['cat', 'a dog']`"


def test_a_metric_that_fails_costs_its_own_figure(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise KeyError("no such thing")

    monkeypatch.setattr("ofa_trainer.metrics.text.rouge_l", fail)
    rows = [{"a": "x", "b": "y z"}] * 20
    with caplog.at_level(logging.WARNING):
        trained = Trainer(steps=1, batch_tokens=256, tokenizer_size=300).fit(
            "nano", [Task("t", "[TEXT:a] -> [TEXT:b]", train=rows, valid=rows)]
        )
    assert list(trained.figures["t"]) == ["b/token_f1"]
    assert "task `t`: the metric `rouge_l` of `b` failed and is left out: KeyError: 'no such thing'" in caplog.text


def test_a_column_that_a_metric_reads_must_be_there_before_training() -> None:
    rows = [{"question": "how many?", "query": "SELECT 1"}] * 8
    line = "[TEXT:question] -> [STRUCT:query,as=sql]"
    task = Task("sql", line, train=rows, valid=rows, metrics=["execution_accuracy"])
    with pytest.raises(DataError, match="a metric reads the column `database`, and no row has one; there are: question query"):
        Trainer(steps=1, tokenizer_size=300).prepare("nano", [task])
