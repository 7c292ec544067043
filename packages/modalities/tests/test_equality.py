"""What counts as equal: composition, blanks and unseen signs do not; case where two candidates differ in it."""

from __future__ import annotations

import doctest
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import check_candidates, collect_candidates
from ofa_modalities.closed_set import LabelIndex
from ofa_modalities.text import equality
from ofa_modalities.text.equality import EqualTexts, canonical, folded

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_the_examples_of_the_module_hold() -> None:
    assert doctest.testmod(equality).failed == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("café", "cafe\u0301"),
        ("각", "\u1100\u1161\u11a8"),
        ("New York", "New\u00a0York"),
        ("10 km", "10\u202fkm"),
        ("東京 都", "東京\u3000都"),
        ("cat", "\ufeffcat\u200b"),
        ("שלום", "\u200fשלום\u200e"),
        ("a b", " a \t b\r\n"),
    ],
)
def test_one_text_in_two_spellings(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)
    assert collect_candidates([other, one]) == (one,)
    assert check_candidates([other, one, "x"], "label") == (other.strip(), "x")
    assert LabelIndex("label", (one, "x"), uncased=False, no_punctuation=False).find(other) == 0


@pytest.mark.parametrize("candidates", [("A", "a"), ("I", "ı", "İ", "i"), ("Maße", "Masse"), ("ß", "ss", "SS"), ("Σ", "σ", "ς")])
def test_candidates_that_differ_in_case_alone_are_told_apart(candidates: tuple[str, ...]) -> None:
    assert set(collect_candidates(candidates)) == set(candidates)
    index = LabelIndex("label", candidates, uncased=False, no_punctuation=False)
    assert [index.find(candidate) for candidate in candidates] == list(range(len(candidates)))
    texts = EqualTexts(candidates)
    assert not texts.are_equal(candidates[0], candidates[1])


def test_a_label_in_another_case_is_the_only_candidate_it_may_be() -> None:
    index = LabelIndex("label", ("Dog", "cat", "CAT"), uncased=False, no_punctuation=False)
    assert index.find("dog") == 0
    assert index.get("Cat") is None
    assert LabelIndex("label", ("Dog", "cat", "CAT"), uncased=True, no_punctuation=False).answers == ("Dog", "cat")
    assert LabelIndex("label", ("STRASSE", "Straße"), uncased=True, no_punctuation=False).answers == ("STRASSE",)


def test_what_is_in_no_set_equals_itself_alone() -> None:
    texts = EqualTexts(["A", "a"])
    assert texts.are_equal("b", "b\u00a0")
    assert not texts.are_equal("b", "B")
    assert not texts.are_equal("A", "b")


@given(TEXTS)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)
    assert folded(folded(text)) == folded(text)
    assert canonical(unicodedata.normalize("NFD", text)) == canonical(text)
    assert folded(text) == folded(canonical(text))
