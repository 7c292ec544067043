"""The constant baseline: the one answer that does best on the training rows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from ofa_modalities.text.equality import EqualTexts
from ofa_trainer import Task, Trainer
from ofa_trainer.constants import Constant, _best, _training_references
from ofa_trainer.metrics.metric import Judged, Scores
from ofa_trainer.metrics.specs import ACCURACY, BOX_F1, IOU, MASKED_WORD_ACCURACY, ROUGE_L, TOKEN_F1, WER, MetricSpec


def best(references: list[object], spec: MetricSpec, closed: EqualTexts | None = None) -> Constant:
    def judge(rows: object) -> Scores:
        scores: Scores = spec.load()(rows, spec.options())
        return scores

    found = _best(references, spec, judge, closed)
    assert found is not None
    return found


def test_labels_have_the_most_frequent_one() -> None:
    assert best(["no", "yes", "Yes", "no", "no"], ACCURACY).answer == "no"


def test_labels_that_differ_in_case_are_counted_apart() -> None:
    references: list[object] = ["A", "a", "b", "b", "A", "a", "b"]
    assert best(references, ACCURACY, EqualTexts(["A", "a", "b"])).answer == "b"
    assert best(references, ACCURACY).answer == "A"


def test_numbers_have_the_mean_or_the_most_frequent_one_as_the_metric_likes_it() -> None:
    assert best(["1", "2", "2", "7"], ACCURACY).answer == "2"
    assert best(["1", "2", "4", "5"], DISTANCE).answer == "3"


DISTANCE = MetricSpec(
    name="distance", summary="", options=ACCURACY.options, implementation=f"{__name__}:distance", higher_is_better=False
)


def distance(rows: list[Judged], options: object) -> Scores:
    """Mean squared difference."""
    values = [(float(str(row.answer).split()[0]) - float(str(row.reference))) ** 2 for row in rows]
    sums = np.stack([np.asarray(values), np.ones(len(values))], axis=-1)
    return Scores(sums=sums, figure=lambda sums: sums[..., 0] / sums[..., 1])


def test_texts_have_the_most_frequent_words() -> None:
    texts: list[object] = ["a red cat", "a red dog", "a blue cat", "the red cat", "my red hat"]
    assert set(str(best(texts, TOKEN_F1).answer).split()) >= {"red", "cat", "a"}
    assert best(texts, ROUGE_L).answer
    assert best(texts, WER).answer


def test_boxes_have_the_mean_box_and_lists_of_them_a_list() -> None:
    boxes: list[object] = [[0.0, 0.0, 10.0, 10.0], [2.0, 2.0, 12.0, 12.0]]
    assert best(boxes, IOU).answer == [1, 1, 11, 11]
    assert best([[one] for one in boxes] * 3, BOX_F1).answer in ([[1, 1, 11, 11]], [[0, 0, 10, 10]], [[2, 2, 12, 12]])
    assert best([[], [], [[0.0, 0.0, 10.0, 10.0]]], BOX_F1).answer == []


@pytest.mark.parametrize(("form", "numbers"), [("unit=px", (8, 4, 24, 12)), ("unit=share,format=xywh", (0.25, 0.25, 0.5, 0.5))])
def test_boxes_in_shares_have_a_constant_in_pixels_too(form: str, numbers: tuple[float, ...]) -> None:
    rows = [{"img": np.zeros((16, 32, 3), np.uint8), "region": list(numbers)}] * 4
    task = Task("t", f"[IMAGE:img] where? -> [BOX:region,{form}]", train=rows, valid=False)
    prepared = Trainer(tokenizer_size=300).prepare("nano", [task])
    plan = prepared.encoder.program("t").plan
    resolved = SimpleNamespace(plan=plan, encoder=prepared.encoder, task="t", alternative=0)
    assert _training_references(task, resolved) == {"region": [[8, 4, 24, 12]] * 4}  # type: ignore[arg-type]


def test_masks_are_filled_by_the_most_frequent_word() -> None:
    constant = best(["the cat on the mat", "the dog"], MASKED_WORD_ACCURACY)
    assert constant.to(Judged(answer=None, reference="the cow", shown="<mask> cow")).answer == "the cow"
    assert constant.name == "`the` for every mask"


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("no", "always `no`"),
        ("", "always nothing"),
        ([1.04, 2.0], "always `[1.0, 2.0]`"),
        (object(), "always one training answer"),
    ],
)
def test_a_constant_has_a_name_for_people(answer: object, name: str) -> None:
    assert Constant(answer=answer).name == name
