"""Lines end at a line feed alone, numbers are spelled as they were meant: in every reader of this package."""

from __future__ import annotations

import datetime
import doctest
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import ofa_modalities.delimited
import ofa_modalities.lines
import ofa_modalities.text.numbers
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities.closed_set import collect_candidates, read_closed_set
from ofa_modalities.delimited import cells, recognise, records
from ofa_modalities.lines import decode_text, read_text_file, split_lines
from ofa_modalities.processor import SampleError
from ofa_modalities.struct.reading import TableReader
from ofa_modalities.text.numbers import plain, plain_list, shortest, spell_number
from ofa_modalities.text.reading import read_text

NO_ENDS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r"
TABLE = TableReader(column="t")


@pytest.mark.parametrize("module", [ofa_modalities.lines, ofa_modalities.text.numbers, ofa_modalities.delimited])
def test_examples_in_docstrings_run(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@given(st.lists(st.text(alphabet=st.sampled_from("ab" + NO_ENDS)).map(lambda text: text.rstrip("\r")), max_size=5))
def test_lines_end_at_a_line_feed_alone(lines: list[str]) -> None:
    assert split_lines("".join(f"{line}\n" for line in lines)) == lines
    assert split_lines("".join(f"{line}\r\n" for line in lines)) == lines


@pytest.mark.parametrize("sign", NO_ENDS)
def test_signs_that_end_no_line_stay_in_tables_and_candidates(sign: str, tmp_path: Path) -> None:
    cell = f"x{sign}y"
    (tmp_path / "t.jsonl").write_text(json.dumps({"a": cell, "b": 1}, ensure_ascii=False) + "\n", encoding="utf-8", newline="")
    (tmp_path / "t.csv").write_text(f"a,b\n{cell},1\n", encoding="utf-8", newline="")
    (tmp_path / "set.txt").write_text(f"{cell}\nother\n", encoding="utf-8", newline="")
    for table in ("t.csv", "t.jsonl"):
        if sign < " " and table == "t.jsonl":
            continue  # JSON itself escapes these
        assert TABLE.read(str(tmp_path / table)).rows == ((" ".join(cell.split()), "1"),)
    assert read_closed_set(tmp_path / "set.txt") == (cell, "other")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding_of_any_text_file(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_bytes("größe\n東京\n".encode(encoding))
    (tmp_path / "t.csv").write_bytes("a,b\ngröße,1\n".encode(encoding))
    assert read_closed_set(tmp_path / "set.txt") == ("größe", "東京")
    assert TABLE.read(str(tmp_path / "t.csv")).rows == (("größe", "1"),)
    assert read_text_file(tmp_path / "set.txt") == decode_text("größe\n東京\n".encode(encoding)) == "größe\n東京\n"


FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(FLOATS, min_size=1))
def test_many_floats_are_spelled_as_each_alone(numbers: list[float]) -> None:
    narrow = np.array(numbers, np.float32)
    assert shortest(narrow).tolist() == [float(str(number)) for number in narrow]
    assert (shortest(narrow).astype(np.float32) == narrow).all()


def test_every_half_is_spelled_as_numpy_spells_it() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert [str(number) for number in shortest(halves)] == [str(float(str(number))) for number in halves]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), "0.1"),
        (np.float16(0.1), "0.1"),
        (np.float64(0.1), "0.1"),
        (np.array(0.1, np.float32), "0.1"),
        (torch.tensor(0.1), "0.1"),
        (torch.tensor(0.1, dtype=torch.bfloat16), "0.1"),
        (torch.tensor(7), "7"),
        (np.int64(2**62), str(2**62)),
        (10**40, "1" + "0" * 40),
        (Decimal("1.50"), "1.50"),
        (Decimal("0E-4"), "0.0000"),
        (True, "True"),
        (np.bool_(False), "False"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (np.datetime64("2024-01-02"), "2024-01-02"),
        (np.datetime64("2024-01-02T03:04:05.000000006"), "2024-01-02 03:04:05"),
    ],
)
def test_a_number_is_one_text_in_every_modality_that_spells_it(value: Any, text: str) -> None:
    assert spell_number(value) == read_text(value, "n") == text
    assert collect_candidates([value]) == (text,)
    cell = {"True": "true", "False": "false"}.get(text, text)
    assert TABLE.read([["n"], [value]]).rows == ((cell,),)


def test_arrays_and_tensors_of_narrow_floats_are_tables_of_short_numbers() -> None:
    numbers = np.array([[0.1, 0.7], [2.0, 1e-7]], np.float32)
    for value in (numbers, torch.from_numpy(numbers)):
        assert TableReader(column="t", header=False).read(value).rows == (("0.1", "0.7"), ("2.0", "1e-07"))
    assert plain_list([torch.tensor([0.1, 0.3]).bfloat16(), np.float32(0.7)]) == [[0.1, 0.3], 0.7]


@pytest.mark.parametrize("value", [None, np.float32("nan"), Decimal("nan"), torch.tensor(float("nan")), np.datetime64("NaT")])
def test_what_is_missing_is_no_text(value: Any) -> None:
    assert spell_number(value) is None
    with pytest.raises(SampleError, match="the text is missing"):
        read_text(value, "n")
    assert TABLE.read([["a", "b"], [value, 1]]).rows == (("", "1"),)


def test_a_number_of_too_many_digits_is_a_sample_error() -> None:
    for read in (lambda: read_text(10**5000, "n"), lambda: TABLE.read([["n"], [10**5000]])):
        with pytest.raises(SampleError, match="4300"):
            read()


def test_plain_leaves_other_values_alone() -> None:
    given = [np.array([0.1]), {"a": 1}, b"x", torch.zeros(2)]
    assert [plain(value) is value for value in given] == [True] * len(given)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("usual", [",", "\t"])
def test_a_delimiter_is_recognised_by_rows_of_like_width(delimiter: str, usual: str) -> None:
    rows = [["text", "note"], ["a, b; c", "d|e\tf"], ['say "x"', "y"]]
    text = "".join(delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)
    assert recognise(text, usual) == delimiter
    found = [next(cells([record], delimiter)) for record, _, _ in records(text, delimiter)]
    assert found == rows


def test_sentences_of_one_column_are_no_columns() -> None:
    assert recognise("text\nhello, world\nwell; yes\n", ",") == "\t"
    assert recognise("text\nhello\nyes\n", ";") == ";"
    assert recognise("größe, cm;label\n1;x\n2;y\n", ",") == ";"
