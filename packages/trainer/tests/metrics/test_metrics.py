"""Metrics agree with hand-counted answers and with the packages they stand on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_instruction.specs import MetricSpec
from ofa_trainer.metrics.boxes import intersection_over_union
from ofa_trainer.metrics.infilling import masked_words, restored_words
from ofa_trainer.metrics.metric import Judged, Scores
from ofa_trainer.metrics.specs import BLEU, EXACT_MATCH, IOU, IOU_ACC, MASKED_WORD_ACCURACY, METRICS, ROUGE_L, TOKEN_F1, WER

PAIRS = [
    ("a red apple on the table", "a green apple on a table"),
    ("the cat sat on the mat", "the cat sat on the mat"),
    ("", "nothing was said here"),
    ("one two three four five", "one two three"),
]


def judge(spec: MetricSpec, pairs: list[tuple[object, object]], **options: object) -> Scores:
    rows = [Judged(answer=answer, reference=reference) for answer, reference in pairs]
    return spec.load()(rows, spec.options(**options))


@pytest.mark.parametrize("spec", METRICS, ids=lambda spec: spec.name)
def test_every_spec_loads_its_metric(spec: MetricSpec) -> None:
    assert callable(spec.load())


def test_exact_match_ignores_case_and_blanks_only() -> None:
    scores = judge(EXACT_MATCH, [("Red  Apple ", "red apple"), ("apple", "apples"), (None, "x")])
    assert scores.values.tolist() == [1, 0, 0]
    assert scores.value == pytest.approx(1 / 3)


def test_token_f1_counts_shared_words() -> None:
    scores = judge(TOKEN_F1, [("a red apple", "the red apple"), ("red red", "red"), (None, "x"), ("", "")])
    assert scores.values == pytest.approx([2 * 2 / 6, 2 / 3, 0, 1])


def test_rouge_l_is_the_package_s() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    wanted = [scorer.score(reference, answer)["rougeL"].fmeasure for answer, reference in PAIRS]
    assert judge(ROUGE_L, PAIRS).values == pytest.approx(wanted)


def test_bleu_of_the_corpus_is_sacrebleu_s() -> None:
    import sacrebleu

    answers, references = zip(*PAIRS, strict=True)
    wanted = sacrebleu.corpus_bleu(list(answers), [list(references)], lowercase=True).score
    scores = judge(BLEU, PAIRS)
    assert scores.value == pytest.approx(wanted)
    assert scores.values[1] == pytest.approx(100)
    interval = scores.interval(num_resamples=200)
    assert interval.low <= scores.value <= interval.high


def test_wer_of_the_corpus_is_jiwer_s() -> None:
    import jiwer

    answers, references = zip(*PAIRS, strict=True)
    scores = judge(WER, PAIRS)
    assert scores.value == pytest.approx(jiwer.wer(list(references), list(answers)))
    assert scores.values[1] == 0


def test_iou_of_known_boxes() -> None:
    rows = [((0, 0, 10, 10), (5, 0, 15, 10)), ((0, 0, 4, 4), (0, 0, 4, 4)), ((5, 5, 1, 1), (0, 0, 4, 4)), (None, (0, 0, 4, 4))]
    assert judge(IOU, rows).values == pytest.approx([50 / 150, 1, 0, 0])
    assert judge(IOU_ACC, rows).values.tolist() == [0, 1, 0, 0]
    assert judge(IOU_ACC, rows, threshold=0.3).values.tolist() == [1, 1, 0, 0]


def test_a_reference_box_may_be_the_text_of_a_csv() -> None:
    assert judge(IOU, [((0, 0, 10, 10), "0,0, 10,10"), ((0, 0, 4, 4), "[0, 0, 4, 4]")]).values.tolist() == [1, 1]


def test_a_box_of_three_numbers_is_an_error() -> None:
    with pytest.raises(ValueError, match="four numbers"):
        judge(IOU, [((0, 0, 1), (0, 0, 1, 1))])


@given(st.lists(st.integers(0, 20), min_size=8, max_size=8))
def test_iou_is_symmetric_and_counts_unit_squares(numbers: list[int]) -> None:
    (ax, ay, aw, ah, bx, by, bw, bh) = numbers
    a, b = (ax, ay, ax + aw, ay + ah), (bx, by, bx + bw, by + bh)
    squares_a = {(x, y) for x in range(a[0], a[2]) for y in range(a[1], a[3])}
    squares_b = {(x, y) for x in range(b[0], b[2]) for y in range(b[1], b[3])}
    union = squares_a | squares_b
    wanted = len(squares_a & squares_b) / len(union) if union else 0.0
    assert intersection_over_union(a, b) == pytest.approx(wanted)
    assert intersection_over_union(b, a) == pytest.approx(wanted)


def test_masked_words_are_found_by_place_and_by_runs() -> None:
    assert masked_words("the <mask> sat on the mat", "the cat sat on the mat") == [1]
    assert masked_words("the <mask> on the mat", "the cat sat on the mat") == [1, 2]
    assert masked_words("the <mask><mask> on the <mask>.", "the cat sat on the mat.") == [1, 2, 5]
    assert masked_words("the cat", "the cat") == []


def test_restored_words_survive_an_inserted_word() -> None:
    assert restored_words("the cat sat", "the cat sat") == {0, 1, 2}
    assert restored_words("oh the cat sat", "the cat sat") == {0, 1, 2}
    assert restored_words("the dog sat", "the cat sat") == {0, 2}
    assert restored_words("", "the cat sat") == set()


def test_masked_word_accuracy_pools_words_not_rows() -> None:
    rows = [
        Judged(answer="the cat sat", reference="the cat sat", shown="the <mask> sat"),
        Judged(answer="a b c", reference="one two three", shown="<mask> <mask> <mask>"),
        Judged(answer="all seen", reference="all seen", shown="all seen"),
        Judged(answer=None, reference="x y", shown="x <mask>"),
    ]
    scores = MASKED_WORD_ACCURACY.load()(rows, MASKED_WORD_ACCURACY.options())
    assert scores.value == pytest.approx(1 / 5)
    assert scores.values.tolist() == [1, 0, 0, 0]


def test_masked_word_accuracy_asks_for_the_shown_text() -> None:
    with pytest.raises(ValueError, match="as the model was shown"):
        judge(MASKED_WORD_ACCURACY, [("a", "a")])


def test_no_rows_give_zero() -> None:
    for spec in METRICS:
        scores = judge(spec, [])
        assert scores.value == 0, spec.name
        assert np.shape(scores.values) == (0,), spec.name
