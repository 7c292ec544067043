"""Words of any script: nothing that tells two of them apart is thrown away, and English is cut as it always was."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities.text import words as module
from ofa_modalities.text.masking import mask_words
from ofa_modalities.text.words import plain_words, segments, spaced, spans, words

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def test_the_examples_of_the_module_hold() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("قِطة حمراء", ["قِطة", "حمراء"]),
        ("красная машина", ["красная", "машина"]),
        ("שָׁלוֹם עולם", ["שָׁלוֹם", "עולם"]),
        ("고양이가 좋아", ["고양이가", "좋아"]),
        ("猫が好き。カメラ", ["猫", "が", "好", "き", "カメラ"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("ខ្មែរ", ["ខ្", "មែ", "រ"]),
        ("👍🏽👍👨‍👩‍👧🇩🇪❤️", ["👍🏽", "👍", "👨‍👩‍👧", "🇩🇪", "❤️"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
    ],
)
def test_words_of_many_scripts(text: str, wanted: list[str]) -> None:
    assert words(text) == wanted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("कि", "की"),
        ("กิ", "กี"),
        ("عَلم", "عِلم"),
        ("3.5", "5.3"),
        ("-5", "5"),
        ("−5", "5"),
        ("C++", "C"),
        ("C#", "C"),
        ("A-", "A"),
        ("$5", "€5"),
        ("5 €", "5 $"),
        ("5%", "5"),
        ("10:30", "30:10"),
        ("1/2", "2/1"),
        ("1-0", "0-1"),
        ("😀", "😡"),
        ("👍🏽", "👍🏿"),
        ("+", "="),
    ],
)
def test_words_that_differ_share_nothing(one: str, other: str) -> None:
    assert not set(words(one)) & set(words(other))


def test_punctuation_is_no_word_and_blanks_before_a_unit_do_not_count() -> None:
    assert words('He said: "it’s 5 %, (covid-19)" - twice!') == ["He", "said", "it's", "5%", "covid", "19", "twice"]
    assert words("−5 don’t") == words("-5 don't")
    assert words("a+b, word-- and 5 $10 bills") == ["a", "+", "b", "word", "and", "5", "$10", "bills"]


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_english_is_cut_at_blanks_and_what_is_no_letter_as_ever(text: str) -> None:
    import re

    assert spaced(text) == text.split()
    assert plain_words(text) == re.findall("[a-zA-Z0-9]+", text)
    assert [word for part in segments(text) for word in re.findall("[a-zA-Z0-9]+", part)] == plain_words(text)


@given(TEXTS)
def test_spans_lie_in_order_and_leave_out_blanks_alone(text: str) -> None:
    last = 0
    for start, stop in spans(text):
        assert not text[last:start].strip()
        assert text[start:stop].strip()
        last = stop
    assert not text[last:].strip()


@pytest.mark.parametrize("text", ["猫が好きです。", "ขอบคุณมาก", "我喜欢 iPhone 手机"])
def test_masks_hide_single_words_of_scripts_without_blanks(text: str) -> None:
    count = len(spaced(text))
    shown = mask_words(text, 0.3, np.random.default_rng(0))
    assert shown.count("<mask>") == -(-count * 3 // 10)
    assert len(shown.replace("<mask>", "")) > len(text) // 3
