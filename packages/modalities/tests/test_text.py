from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import SampleError
from ofa_modalities.text.masking import mask_words, replace_tokens
from ofa_modalities.text.reading import normalise, read_text


@pytest.mark.parametrize(
    ("value", "text"), [(" a cat\n", "a cat"), (3, "3"), (2.5, "2.5"), (True, "True"), (np.int64(4), "4"), (np.str_("x"), "x")]
)
def test_texts_and_numbers_are_read(value: object, text: str) -> None:
    assert read_text(value, "c") == text


@pytest.mark.parametrize("value", [None, "", "  \n", float("nan"), ["a"], {"a": 1}, b"bytes", np.zeros(2)])
def test_anything_else_is_a_sample_error_with_its_column(value: object) -> None:
    with pytest.raises(SampleError) as caught:
        read_text(value, "cap")
    assert caught.value.column == "cap"


def test_normalising_keeps_masks() -> None:
    assert normalise("It's <mask>, OK!", uncased=True, no_punctuation=True) == "its <mask> ok"


@given(st.lists(st.text("abc", min_size=1), min_size=1), st.floats(0.01, 1), st.integers(0, 9), st.sampled_from([0.0, 3.0]))
def test_masking_replaces_the_share_of_words_and_nothing_else(words: list[str], ratio: float, seed: int, span: float) -> None:
    text = "  ".join(words)
    masked = mask_words(text, ratio, np.random.default_rng(seed), span)
    found = masked.split("  ")
    assert len(found) == len(words)
    assert found.count("<mask>") == math.ceil(ratio * len(words) - 1e-9)
    assert all(new in (old, "<mask>") for new, old in zip(found, words, strict=True))
    assert mask_words(text, ratio, np.random.default_rng(seed), span) == masked


def test_a_text_that_holds_a_mask_stays() -> None:
    assert mask_words("a <mask> c d", 0.9, np.random.default_rng(0)) == "a <mask> c d"


def test_noise_stays_in_the_block_and_hits_its_share() -> None:
    ids = np.full(10_000, 5)
    noisy = replace_tokens(ids, 0.2, range(100, 200), np.random.default_rng(0))
    assert 0.18 < (noisy != ids).mean() < 0.22
    assert noisy[noisy != ids].min() >= 100
    assert noisy.max() < 200


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    return make_run(
        {
            "fill": "fill [TEXT:t,mask_ratio=0.3] -> [TEXT:t]",
            "half": "[TEXT:t,mask_ratio=0.3] -> [TEXT:u]",
            "short": "[TEXT:t,uncased,no_punctuation,max_length=2] -> [TEXT:u,noise_ratio=1.0]",
        }
    )


def _read(run: Any, example: Any, number: int) -> str:
    return str(run.vocabulary.tokenizer.decode(example.source[number].units.tolist()))


@pytest.mark.parametrize("split", ["train", "valid", "test", "infer"])
def test_masks_apply_in_every_split_where_the_column_is_also_a_target(run: Any, split: str) -> None:
    row = {"t": "one two three four five six", "u": "x"}
    assert _read(run, run.encode("fill", row, split=split), 1).count("<mask>") == 2
    assert _read(run, run.encode("half", row, split=split), 0).count("<mask>") == (2 if split == "train" else 0)


def test_the_target_of_infilling_is_whole(run: Any) -> None:
    example = run.encode("fill", {"t": "one two three"})
    labels = example.target[0].labels
    assert run.vocabulary.tokenizer.decode(labels.tolist()) == "one two three"
    assert labels[-1] == run.vocabulary.id("end")


def test_options_change_the_source_and_noise_only_the_decoder_s_input(run: Any) -> None:
    example = run.encode("short", {"t": "The, CAT sat", "u": "the cat"})
    assert _read(run, example, 0) == "the cat"
    target = example.target[0]
    assert run.vocabulary.tokenizer.decode(target.labels.tolist()) == "the cat"
    assert not np.array_equal(target.units[1:], target.labels[:-1])
    valid = run.encode("short", {"t": "The, CAT sat", "u": "the cat"}, split="valid").target[0]
    assert np.array_equal(valid.units[1:], valid.labels[:-1])


def test_a_text_of_punctuation_alone_has_nothing_left(run: Any) -> None:
    with pytest.raises(SampleError, match="nothing is left"):
        run.encode("short", {"t": "?!", "u": "x"})


def test_a_mask_on_a_target_is_refused(make_run: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="`mask_ratio` is for source slots"):
        make_run({"bad": "[TEXT:t] -> [TEXT:u,mask_ratio=0.3]"})
