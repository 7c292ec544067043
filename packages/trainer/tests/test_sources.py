"""Sources: rows by index, addresses a person can look up, and errors that name the place."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_instruction import CatalogError
from ofa_modalities.processor import SampleError
from ofa_trainer.plans import SourcePlan
from ofa_trainer.source import Source
from ofa_trainer.sources.common import DataError
from ofa_trainer.sources.opening import open_source
from ofa_trainer.sources.views import Renamed, column_of

ROWS = [{"a": "x", "b": "1"}, {"a": "a, b", "b": 'say "hi"'}, {"a": "two\nlines", "b": ""}]


def read_all(source: Source) -> list[dict[str, object]]:
    return [dict(source.read(index, 0)) for index in range(len(source))]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding, newline="")
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_reads_quotes_and_newlines(tmp_path: Path, newline: str, encoding: str) -> None:
    text = newline.join(["a,b", "x,1", '"a, b","say ""hi"""', '"two\nlines",', "", ""])
    source = open_source(write(tmp_path / "my.csv", text, encoding))
    assert read_all(source) == ROWS
    assert source.address(0) == "my.csv:row 1"
    assert source.address(2) == "my.csv:row 3"
    assert source.root == tmp_path.resolve()  # type: ignore[attr-defined]


cell = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=8)


@given(rows=st.lists(st.tuples(cell, cell), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_csv_round_trip(rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    import csv

    path = tmp_path_factory.mktemp("csv") / "my.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["a", "b"])
        writer.writerows(rows)
    assert [tuple(row.values()) for row in read_all(open_source(path))] == rows


def test_a_quote_inside_a_cell_opens_nothing(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "my.csv", 'a,b\n5" pipe,x\n6" pipe,y\n7" pipe,z\n'))
    assert [row["a"] for row in read_all(source)] == ['5" pipe', '6" pipe', '7" pipe']


def test_tsv_and_a_given_delimiter(tmp_path: Path) -> None:
    assert read_all(open_source(write(tmp_path / "my.tsv", "a\tb\n1,5\t2\n"))) == [{"a": "1,5", "b": "2"}]
    plan = SourcePlan(path="semi.csv", options={"delimiter": ";"})
    write(tmp_path / "semi.csv", "a;b\n1;2\n")
    assert read_all(open_source(plan, base=tmp_path)) == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_delimiters_and_byte_order_marks_are_recognised(tmp_path: Path, delimiter: str, encoding: str, suffix: str) -> None:
    text = f"größe{delimiter}b\n1.5{delimiter}x\n2.5{delimiter}東京\n"
    source = open_source(write(tmp_path / f"my{suffix}", text, encoding))
    assert read_all(source) == [{"größe": "1.5", "b": "x"}, {"größe": "2.5", "b": "東京"}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_lines_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    source = open_source(write(tmp_path / "my.jsonl", '{"a": "é"}\n\n{"a": "x\u2028y"}\n', encoding))
    assert read_all(source) == [{"a": "é"}, {"a": "x\u2028y"}]
    assert source.address(1) == "my.jsonl:line 3"
    assert read_all(pickle.loads(pickle.dumps(source))) == read_all(source)


@pytest.mark.parametrize("sign", "\u2028\u2029\x85\x0b\x0c\r")
def test_rows_end_at_line_feeds_alone(tmp_path: Path, sign: str) -> None:
    csv_source = open_source(write(tmp_path / "my.csv", f"a,b\nx{sign}y,1\n2,3\n"))
    assert read_all(csv_source) == [{"a": f"x{sign}y", "b": "1"}, {"a": "2", "b": "3"}]
    line = json.dumps({"a": f"x{sign}y"}, ensure_ascii=sign < " ")
    assert read_all(open_source(write(tmp_path / "my.jsonl", f"{line}\n"))) == [{"a": f"x{sign}y"}]


def test_a_given_delimiter_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "odd.csv", "a;b^c\n1;2^3\n")
    for delimiter, row in (("^", {"a;b": "1;2", "c": "3"}), (";", {"a": "1", "b^c": "2^3"}), ("tab", {"a;b^c": "1;2^3"})):
        plan = SourcePlan(path="odd.csv", options={"delimiter": delimiter})
        assert read_all(open_source(plan, base=tmp_path)) == [row]


def test_a_ragged_row_is_a_sample_error_with_its_address(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "my.csv", "a,b\n1,2\n\n3\n4,5,6\n"))
    assert source.read(0, 0) == {"a": "1", "b": "2"}
    with pytest.raises(SampleError, match=r"my\.csv:row 2 \(line 4\).*1 cells under 2 columns"):
        source.read(1, 0)
    with pytest.raises(SampleError, match="3 cells"):
        source.read(2, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), ("a,a\n1,2\n", "twice"), (",\n1,2\n", "names no column"), ("a;A;a\n1;2;3\n", "twice")],
)
def test_bad_headers_are_data_errors(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_source(write(tmp_path / "my.csv", text))


def test_a_csv_in_another_encoding_says_so(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_bytes("a\nköln\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"my\.csv: not utf-8"):
        open_source(tmp_path / "my.csv")
    (tmp_path / "my.csv").write_bytes("a,b\n1,2\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="UTF-16 without a byte order mark"):
        open_source(tmp_path / "my.csv")
    plan = SourcePlan(path=str(tmp_path / "my.csv"), options={"encoding": "utf-16-le"})
    assert read_all(open_source(plan)) == [{"a": "1", "b": "2"}]


def test_jsonl_and_its_bad_lines(tmp_path: Path) -> None:
    lines = [json.dumps({"a": 1}), "", "{broken", "[1]", json.dumps({"a": [1, 2]})]
    source = open_source(write(tmp_path / "my.jsonl", "\n".join(lines)))
    assert len(source) == 4
    assert source.read(0, 0) == {"a": 1}
    assert source.read(3, 0) == {"a": [1, 2]}
    with pytest.raises(SampleError, match=r"my\.jsonl:line 3.*not JSON"):
        source.read(1, 0)
    with pytest.raises(SampleError, match=r"my\.jsonl:line 4.*JSON object"):
        source.read(2, 0)


def test_parquet_by_row_groups(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    for number in range(2):
        table = pyarrow.table({"n": list(range(number * 10, number * 10 + 10)), "b": [b"x"] * 10})
        parquet.write_table(table, tmp_path / f"part{number}.parquet", row_group_size=3)
    source = open_source(tmp_path)
    assert [row["n"] for row in read_all(source)] == list(range(20))
    assert source.address(12) == "part1.parquet:row 3"
    assert list(column_of(source, "n") or ()) == list(range(20))
    copy = pickle.loads(pickle.dumps(source))
    assert copy.read(17, 0) == source.read(17, 0)
    broken = write(tmp_path / "broken.parquet", "no")
    with pytest.raises(DataError, match="not a Parquet file"):
        open_source(broken)


def test_frames_and_datasets() -> None:
    pandas = pytest.importorskip("pandas")
    assert read_all(open_source(pandas.DataFrame({"a": ["x", None]}))) == [{"a": "x"}, {"a": None}]
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"a": datasets.Value("string"), "l": datasets.ClassLabel(names=["no", "yes"])})
    source = open_source(datasets.Dataset.from_dict({"a": ["x", "y"], "l": [1, 0]}, features=features), name="mine")
    assert read_all(source) == [{"a": "x", "l": "yes"}, {"a": "y", "l": "no"}]
    assert source.address(1) == "mine:row 2"
    assert list(column_of(source, "l") or ()) == ["yes", "no"]
    assert list(column_of(source, "a") or ()) == ["x", "y"]


def test_the_starter_pack_by_name() -> None:
    pytest.importorskip("pyarrow")
    source = open_source(SourcePlan(source="starter", options={"task": "caption", "split": "test"}))
    assert sorted(source.read(0, 0)) == ["cap", "img"]
    with pytest.raises(CatalogError, match="task"):
        open_source(SourcePlan(source="starter", options={"task": "captions"}))


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"did you mean `train\.csv`"):
        open_source(tmp_path / "trian.csv")
    write(tmp_path / "my.txt", "a")
    with pytest.raises(DataError, match=r"no source reads `\.txt`; known: .*\.csv"):
        open_source(tmp_path / "my.txt")
    with pytest.raises(DataError, match=r"not from builtins\.int"):
        open_source(3)


def test_rows_that_are_no_mappings_are_sample_errors() -> None:
    source = open_source([{"a": 1}, 3], name="mine")
    with pytest.raises(SampleError, match="mine:row 2"):
        source.read(1, 0)


def test_either_name_will_do_where_a_checkpoint_asks() -> None:
    rows = [{"file": "x", "n": 1}, {"img": "y", "n": 2}, {"file": "a", "img": "b"}]
    source = Renamed(open_source(rows), {"img": "file"}, either=True)
    assert read_all(source) == [{"img": "x", "n": 1}, {"img": "y", "n": 2}, {"img": "a"}]
    swapped = Renamed(open_source([{"a": 1, "b": 2}]), {"a": "b", "b": "a"}, either=True)
    assert read_all(swapped) == [{"a": 2, "b": 1}]


def test_renamed_columns() -> None:
    source = Renamed(open_source([{"file": "x", "n": 1}]), {"img": "file"})
    assert source.read(0, 0)["img"] == "x"
    assert list(column_of(source, "img") or ()) == ["x"]
    assert Renamed(open_source([{"img": "other", "n": 1}]), {"img": "file"}).read(0, 0) == {"n": 1}
