"""Tables in slots: budgets in tokens, options, answers, and what a tokenizer learns of them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofa_modalities import SampleError, collect_texts
from ofa_modalities.struct.output import Table

PENGUINS = Path(__file__).parent.parent / "fixtures" / "struct" / "penguins.csv"
TASKS = {
    "read": "[STRUCT:t] -> [TEXT:a]",
    "typed": "[STRUCT:t,types,uncased,max_rows=2,max_cell_length=8] -> [TEXT:a]",
    "short": "[STRUCT:t,max_length=80] -> [TEXT:a]",
    "tiny": "[STRUCT:t,max_length=4] -> [TEXT:a]",
    "write": "[TEXT:a] -> [STRUCT:t,max_length=60]",
    "many": "([STRUCT:t])* -> [TEXT:a]",
}


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    return make_run(TASKS)


def text_of(run: Any, task: str, table: object) -> str:
    segment = run.encode(task, {"t": table, "a": "x"}).source[0]
    return str(run.vocabulary.tokenizer.decode(segment.units[1:].tolist()))


def test_a_table_is_read_as_its_text(run: Any) -> None:
    assert text_of(run, "read", [["a", "b"], [1, "x|y"]]) == r"col : a | b row 1 : 1 | x\|y"
    table = [["Name", "Born"], ["Ada Lovelace", "1815-12-10"], ["Alan", "1912-06-23"], ["Kay", "1940-05-17"]]
    wanted = "col : name | born type : text | date row 1 : ada l... | 1815-... row 2 : alan | 1912-... ... : 1 more row"
    assert text_of(run, "typed", table) == wanted


def test_a_real_table_fits_its_budget(run: Any) -> None:
    segment = run.encode("short", {"t": str(PENGUINS), "a": "x"}).source[0]
    assert len(segment.units) <= 81
    table = Table.parse(text_of(run, "short", PENGUINS))
    assert table.columns[0] == "species"
    assert table.more_rows == 24 - len(table.rows)
    with pytest.raises(SampleError, match="not even the first column's name fits into max_length=4 tokens"):
        text_of(run, "tiny", PENGUINS)


def test_an_answer_comes_back_whole(run: Any) -> None:
    def target(table: object) -> Any:
        return run.encode("write", {"t": table, "a": "x"}).target[0]

    segment = target({"a": [1, 2], "b": ["x", ": y"]})
    answer = run.encoder.decode(segment.slot, segment.labels[:-1])
    assert answer == Table(columns=("a", "b"), rows=(("1", "x"), ("2", ": y")))
    assert answer.problems == ()
    with pytest.raises(SampleError, match=r"the table has \d+ tokens, more than max_length=60") as caught:
        target(str(PENGUINS))
    assert caught.value.column == "t"


def test_tables_of_a_repeat(run: Any) -> None:
    row = {"t": [[["a"], [1]], {"b": [2]}], "a": "x"}
    segments = [segment for segment in run.encode("many", row).source if segment.slot >= 0]
    assert [run.vocabulary.tokenizer.decode(segment.units[1:].tolist()) for segment in segments] == [
        "col : a row 1 : 1",
        "col : b row 1 : 2",
    ]


def test_a_tokenizer_learns_names_and_cells_and_opens_no_file(run: Any, catalog: Any) -> None:
    rows = [
        {"t": value, "a": "x"}
        for value in ([["one", "two"], ["three"]], {"four": ["five"]}, [{"six": "seven"}], "a,b\n1,2", str(PENGUINS))
    ]
    texts = " ".join(collect_texts(run.tasks[:1], catalog, {"read": rows}))
    for word in ("one", "two", "three", "four", "five", "six", "seven", "row 1 :"):
        assert word in texts
    assert "Adelie" not in texts


def test_a_tokenizer_learns_the_cells_of_arrays(run: Any, catalog: Any) -> None:
    values = (
        np.array([["one", "two"]]),
        np.array([["three", 4]], object),
        {"five": np.array(["six"])},
        [np.array(["seven"])],
    )
    for value, words in zip(values, ("one two", "three", "five six", "seven"), strict=True):
        texts = " ".join(collect_texts(run.tasks[:1], catalog, {"read": [{"t": value, "a": "x"}]}))
        for word in words.split():
            assert f"row 1 : {word} | {word}" in texts


def test_an_encoder_with_tables_goes_to_a_worker(run: Any) -> None:
    encoder = pickle.loads(pickle.dumps(run.encoder))
    row = {"t": [["a"], [1]], "a": "x"}
    one, other = (part.encode("read", row, split="train", rng=np.random.default_rng(0)) for part in (run.encoder, encoder))
    assert np.array_equal(one.source[0].units, other.source[0].units)
