"""Metrics of words in every script, equal to the libraries' figures on English; labels that differ in case are two."""

from __future__ import annotations

from typing import Any

import pytest
from ofa_instruction.specs import MetricSpec
from ofa_modalities.text.equality import EqualTexts
from ofa_trainer.metrics.infilling import masked_words, restored_words
from ofa_trainer.metrics.metric import Judged, Scores
from ofa_trainer.metrics.specs import ACCURACY, BLEU, EXACT_MATCH, ROUGE_L, TABLE_MATCH, TOKEN_F1, WER
from ofa_trainer.row_transforms.words import WordSwap

ENGLISH = [
    ("The U.S. doesn't like state-of-the-art co-operation.", "the US does not like state of the art cooperation"),
    ('It\'s 3.5% of $1,000.50 (or "so"), at 10:30 p.m.!', "its 3.5 % of $1000.50 or so at 10:30 PM"),
    ("snake_case and C++, e-mail: me@site.org; 2nd edition — don’t", "snake case and C, email me at site.org 2nd edition don't"),
    ("", "nothing was said here"),
    ("word word word", "word"),
    ("The running dogs were happily swimming nationally", "a running dog was happy to swim in the nation"),
]
SCRIPTS = {
    "Chinese": ("我喜欢红色的汽车", "我喜欢蓝色的汽车"),
    "Japanese": ("私は猫が好きです。", "私は犬が好きです。"),
    "Thai": ("ฉันชอบรถสีแดง", "ฉันชอบรถสีฟ้า"),
    "Khmer": ("ខ្ញុំចូលចិត្តឡាន", "ខ្ញុំចូលចិត្តកង់"),
    "Hindi": ("मुझे लाल गाड़ी पसंद है", "मुझे नीली गाड़ी पसंद है"),
    "Arabic": ("أحب السيارة الحمراء كثيرا", "أحب السيارة الزرقاء كثيرا"),
    "Hebrew": ("אני אוהב מכונית אדומה", "אני אוהב מכונית כחולה"),
    "Russian": ("я люблю красную машину", "я люблю синюю машину"),
    "Korean": ("나는 빨간 자동차를 좋아한다", "나는 파란 자동차를 좋아한다"),
    "Greek": ("μου αρέσει το κόκκινο", "μου αρέσει το μπλε"),
    "emoji": ("👍🏽 😀 🇩🇪 👨‍👩‍👧", "👍🏽 😡 🇩🇪 👨‍👩‍👧"),
}


def judge(spec: MetricSpec, pairs: list[tuple[Any, Any]], candidates: tuple[str, ...] | None = None, **options: object) -> Scores:
    equal = None if candidates is None else EqualTexts(candidates)
    rows = [Judged(answer=answer, reference=reference, candidates=equal) for answer, reference in pairs]
    return spec.load()(rows, spec.options(**options))


@pytest.mark.parametrize("spec", [ROUGE_L, TOKEN_F1, WER, BLEU, EXACT_MATCH], ids=lambda spec: spec.name)
@pytest.mark.parametrize("script", SCRIPTS)
def test_equal_texts_are_perfect_and_near_ones_in_between(spec: MetricSpec, script: str) -> None:
    text, other = SCRIPTS[script]
    best = {"wer": 0.0, "bleu": 100.0}.get(spec.name, 1.0)
    assert judge(spec, [(text, text)]).value == pytest.approx(best)
    near = judge(spec, [(other, text)]).value
    assert near == 0 if spec is EXACT_MATCH else min(best, 1) <= near < 100 if spec is BLEU else 0 < near < 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("कि", "की"),
        ("عَلم", "عِلم"),
        ("3.5", "5.3"),
        ("-5", "5"),
        ("C++", "C"),
        ("😀", "😡"),
        ("👍🏽", "👍🏿"),
        ("?", "!"),
        ("$5", "€5"),
    ],
)
def test_the_f1_of_words_that_differ_is_zero(one: str, other: str) -> None:
    assert judge(TOKEN_F1, [(one, other)]).value == 0
    assert judge(TOKEN_F1, [(one, one)]).value == 1


@pytest.mark.parametrize("text", ["😀", "?!", "+", "№", "∑"])
def test_a_text_of_signs_alone_is_equal_to_itself(text: str) -> None:
    assert judge(ROUGE_L, [(text, text), (text, "x")]).values.tolist() == [1, 0]


@pytest.mark.parametrize("variant", ["rouge1", "rouge2", "rougeL"])
@pytest.mark.parametrize("stem", [False, True])
def test_rouge_of_english_is_the_package_s(variant: str, stem: bool) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([variant], use_stemmer=stem)
    wanted = [scorer.score(reference, answer)[variant].fmeasure for answer, reference in ENGLISH]
    assert judge(ROUGE_L, ENGLISH, variant=variant, stem=stem).values == pytest.approx(wanted)


def test_wer_and_bleu_of_english_are_the_libraries() -> None:
    import jiwer
    import sacrebleu

    answers, references = zip(*ENGLISH, strict=True)
    lower = [[text.lower() for text in texts] for texts in (references, answers)]
    assert judge(WER, ENGLISH).value == pytest.approx(jiwer.wer(*lower))
    assert judge(BLEU, ENGLISH).value == pytest.approx(sacrebleu.corpus_bleu(answers, [references], lowercase=True).score)


def test_two_candidates_that_differ_in_case_are_two_and_no_others_are() -> None:
    pairs = [("A", "A"), ("A", "a"), ("dog", "Dog"), ("cafe\u0301", "café"), (["A", "a"], ["A", "a"]), (["A", "a"], ["a", "A"])]
    assert judge(ACCURACY, pairs, ("A", "a", "Dog", "café")).values.tolist() == [1, 0, 1, 1, 1, 0]
    assert judge(EXACT_MATCH, pairs[:4]).values.tolist() == [1, 1, 1, 1]


def test_cells_of_tables_are_compared_as_texts_are() -> None:
    from ofa_modalities.struct.output import Table

    one = Table(columns=("Café",), rows=(("New York",),))
    other = Table(columns=("cafe\u0301",), rows=(("new\u00a0york",),))
    assert judge(TABLE_MATCH, [(other, one), (Table(columns=("Café",), rows=(("Oslo",),)), one)]).values.tolist() == [1, 0]


def test_masked_words_of_scripts_without_blanks() -> None:
    assert masked_words("私は<mask>が好き<mask>す。", "私は猫が好きです。") == [2, 6]
    assert restored_words("私は犬が好きです。", "私は猫が好きです。") == {0, 1, 3, 4, 5, 6, 7}


def test_words_are_exchanged_whole_in_every_script() -> None:
    assert WordSwap({"左": "右"})("左边的猫在右") == "右边的猫在左"
    assert WordSwap({"ซ้าย": "ขวา"})("มือซ้าย") == "มือขวา"
    assert WordSwap({"बाएँ": "दाएँ"})("बाएँ हाथ, बाएँगा") == "दाएँ हाथ, बाएँगा"
    assert WordSwap({"gauché": "droite"})("GAUCHE\u0301 gauche\u0301s") == "DROITE gauche\u0301s"
    assert WordSwap({"sol": "sağ"})("SOL ışık ſol") == "SAĞ ışık sağ"
