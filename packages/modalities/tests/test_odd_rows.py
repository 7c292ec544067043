"""A row of any size costs what its budget can use, and gives what the whole would; what cannot be used is its error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import SampleError, collect_texts
from ofa_modalities.closed_set import collect_candidates

SENTENCE = "the cat sat on the mat, a dog barks! "


def nested(depth: int) -> object:
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture(scope="module")
def run(make_run):
    return make_run(
        {
            "text": "[TEXT:a,max_length=50] -> [TEXT:b,max_length=50]",
            "closed": "[TEXT:a] -> [TEXT:b,closed_set]",
            "category": "[TEXT:a] -> [CATEGORY:b,closed_set]",
            "boxes": "[IMAGE:img] -> ([BOX:b] [TEXT:a])*",
            "table": "[STRUCT:a] -> [TEXT:b]",
            "answer": "[TEXT:b] -> [STRUCT:a]",
        },
        closed_sets={"closed": {"b": ("cat", "dog")}, "category": {"b": ("cat", "dog")}},
        max_row_tokens=1000,
    )


LONG = [
    SENTENCE * 300_000,
    "x" * 10**6,
    "世界" * 10**6,
    "1234567890" * 10**5,
    "a\u0301" * 10**6,
    "<mask> " * 10**5,
    "  \n" + SENTENCE * 9000,
]


@pytest.mark.parametrize("text", LONG, ids=lambda text: repr(text[:6]))
@pytest.mark.parametrize("count", [1, 50, 500])
def test_the_first_ids_of_a_long_text_are_those_of_all(run, text, count) -> None:
    tokenizer = run.vocabulary.tokenizer
    text = text[:200_000]
    ids, total = tokenizer.encode_first(text, count)
    whole = tokenizer.encode(text)
    assert len(ids) >= count
    assert ids == whole[: len(ids)]
    assert 0.5 < total / len(whole) < 2


@given(st.text(st.sampled_from("the cat,.!  \n<mask>é世1"), min_size=1200, max_size=4000), st.integers(1, 8))
def test_any_text_is_cut_where_it_would_be(run, text, count) -> None:
    tokenizer = run.vocabulary.tokenizer
    ids, _ = tokenizer.encode_first(text, count)
    assert ids[:count] == tokenizer.encode(text)[:count]


@pytest.mark.parametrize("text", LONG, ids=lambda text: repr(text[:6]))
def test_a_text_of_megabytes_is_cut(run, text) -> None:
    example = run.encode("text", {"a": text, "b": text})
    assert 48 <= len(example.source[0].units) <= 51
    assert 48 <= len(example.target[0].labels) <= 51
    if not text.startswith("<"):
        assert {cut.limit for cut in example.cuts} == {"max_length"}


def test_a_text_of_almost_nothing_is_refused(run) -> None:
    with pytest.raises(SampleError, match=r"10,000,002 characters, and the first .* hold almost nothing"):
        run.encode("text", {"a": "x" + " " * 10**7 + "y", "b": "x"})


@pytest.mark.parametrize("task", ["closed", "category"])
@pytest.mark.parametrize(
    "label", [SENTENCE * 300_000, "\udc80", 10**6000, nested(10**5)], ids=["long", "surrogate", "digits", "nested"]
)
def test_a_label_that_is_none_is_an_error_of_its_row(run, task, label) -> None:
    with pytest.raises(SampleError) as caught:
        run.encode(task, {"a": "x", "b": label}, address="rows.csv:3")
    assert caught.value.column == "b"
    assert caught.value.address == "rows.csv:3"
    assert len(str(caught.value)) < 300


def test_a_lone_surrogate_is_told_with_its_place(run) -> None:
    with pytest.raises(SampleError, match=r"character 3 is a lone surrogate \(U\+DC80\)"):
        run.encode("text", {"a": "ab\udc80", "b": "x"})
    assert collect_candidates(["b", "\udc80", "a"]) == ("a", "b")


def test_a_list_of_more_items_than_tokens_is_refused_before_it_is_read(run) -> None:
    boxes = [[1, 1, 5, 5]] * 10**6
    with pytest.raises(SampleError, match="the list has 1,000,000 items, and a row at most 1,000 tokens"):
        run.encode("boxes", {"img": np.zeros((8, 8, 3), np.uint8), "b": boxes, "a": ["x"] * 10**6})


@pytest.mark.parametrize(
    "table",
    [
        [["n"], *([number] for number in range(200_000))],
        {"n": list(range(200_000))},
        [{"n": number} for number in range(200_000)],
        "n\n" + "\n".join(map(str, range(200_000))),
    ],
    ids=["rows", "columns", "records", "csv"],
)
def test_a_long_table_is_its_first_rows_and_says_how_many_more(run, table) -> None:
    text = run.vocabulary.tokenizer.decode(run.encode("table", {"a": table, "b": "x"}).source[0].units[1:].tolist())
    assert text.startswith("col : n row 1 : 0 row 2 : 1")
    kept = text.count(" row ")
    assert f"... : {200_000 - kept} more rows" in text
    assert kept > 10
    with pytest.raises(SampleError, match="200,000 rows of two tokens at least, more than max_length=256"):
        run.encode("answer", {"a": table, "b": "x"})


def test_rows_of_other_widths_are_told_though_they_are_left_out(run) -> None:
    with pytest.raises(SampleError, match="row 90000 of the table has 2 cells"):
        run.encode("table", {"a": [["n"], *([0] for _ in range(89_999)), [1, 2]], "b": "x"})


@pytest.mark.parametrize("task", ["text", "table", "boxes", "answer"])
def test_lists_within_lists_are_an_error_of_their_row(run, task) -> None:
    row = {"a": nested(10**5), "b": nested(10**5), "img": np.zeros((8, 8, 3), np.uint8)}
    with pytest.raises(SampleError, match=r"too deeply nested|items and|no list|lengths"):
        run.encode(task, row)
    assert (
        sum(
            1
            for _ in collect_texts(
                run.tasks, run.catalog, {task: [row]}, {"closed": {"b": ("cat",)}, "category": {"b": ("cat",)}}
            )
        )
        > 0
    )


def test_a_tokenizer_learns_a_part_of_a_long_text(run) -> None:
    sets = {"closed": {"b": ("cat",)}, "category": {"b": ("cat",)}}
    row = {"a": SENTENCE * 100_000, "b": "short"}
    texts = list(collect_texts(run.tasks, run.catalog, {"text": [row]}, sets))
    assert max(map(len, texts)) == 100_000
    assert "short" in texts
