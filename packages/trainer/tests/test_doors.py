"""One data set through every door: CSV, JSON lines, Parquet, Arrow, pandas and datasets in any format give the same values."""

from __future__ import annotations

import datetime
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofa_modalities.image.reading import read_image
from ofa_modalities.processor import SampleError
from ofa_modalities.segment import Example
from ofa_modalities.struct.reading import TableReader
from ofa_modalities.text.reading import read_text
from ofa_trainer import Task, Trainer
from ofa_trainer.mixture import Draw
from ofa_trainer.source import Source
from ofa_trainer.sources.common import DataError
from ofa_trainer.sources.opening import open_source
from ofa_trainer.sources.views import column_of
from ofa_trainer.trainer import row_stream
from PIL import Image

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
datasets = pytest.importorskip("datasets")
parquet = pytest.importorskip("pyarrow.parquet")

NAMES = ["cat", "dog"]
FORMATS = [None, "numpy", "torch", "arrow", "pandas"]


def read_all(source: Source) -> list[dict[str, object]]:
    return [dict(source.read(index, 0)) for index in range(len(source))]


def labelled() -> Any:
    """Two rows with labels as indices, alone, in lists, in lists of lists and in structs."""
    label = datasets.ClassLabel(names=NAMES)
    features = datasets.Features(
        {
            "t": datasets.Value("string"),
            "label": label,
            "tags": datasets.List(label),
            "deep": datasets.List(datasets.List(label)),
            "part": {"kind": label, "n": datasets.Value("float32")},
            "parts": datasets.List({"kind": label}),
        }
    )
    rows = {
        "t": ["a", None],
        "label": [1, -1],
        "tags": [[0, 1], []],
        "deep": [[[0], [1, 1]], [[], [0]]],
        "part": [{"kind": 0, "n": 0.1}, {"kind": 1, "n": None}],
        "parts": [[{"kind": 1}, {"kind": 0}], []],
    }
    return datasets.Dataset.from_dict(rows, features=features)


LABELLED = [
    {
        "t": "a",
        "label": "dog",
        "tags": ["cat", "dog"],
        "deep": [["cat"], ["dog", "dog"]],
        "part": {"kind": "cat", "n": 0.1},
        "parts": [{"kind": "dog"}, {"kind": "cat"}],
    },
    {"t": None, "label": None, "tags": [], "deep": [[], ["cat"]], "part": {"kind": "dog", "n": None}, "parts": []},
]


@pytest.mark.parametrize("kind", FORMATS)
def test_classes_have_their_names_in_any_format_of_datasets(kind: str | None) -> None:
    source = open_source(labelled().with_format(kind))
    assert read_all(source) == LABELLED
    assert list(column_of(source, "tags") or ()) == [row["tags"] for row in LABELLED]


def test_a_selection_and_a_format_with_columns_read_the_rows_meant() -> None:
    made = labelled().select([1, 0]).with_format("numpy", columns=["t"])
    assert read_all(open_source(made)) == LABELLED[::-1]


def test_a_transform_of_a_dataset_stays_its_own() -> None:
    made = labelled().with_transform(lambda batch: {"t": [f"{text}!" for text in batch["t"]]})
    assert open_source(made).read(0, 0) == {"t": "a!"}
    assert list(column_of(open_source(made), "t") or ()) == ["a!", "None!"]


def test_parquet_of_datasets_and_its_arrow_table_have_the_names_too(tmp_path: Path) -> None:
    labelled().to_parquet(tmp_path / "d.parquet")
    for value in (tmp_path / "d.parquet", parquet.read_table(tmp_path / "d.parquet")):
        source = open_source(value)
        assert read_all(source) == LABELLED
        assert list(column_of(source, "label") or ()) == ["dog", None]


def test_a_class_that_has_no_name_is_a_bad_row_and_no_more(tmp_path: Path) -> None:
    table = parquet.read_table(_written(labelled(), tmp_path))
    odd = table.set_column(1, table.schema.field("label"), pa.array([7, 1], pa.int64()))
    source = open_source(odd)
    with pytest.raises(SampleError, match="table:row 1:label: there is no class 7; the 2 classes"):
        open_source(odd, name="table").read(0, 0)
    assert source.read(1, 0)["label"] == "dog"
    assert list(column_of(source, "label") or ()) == [None, "dog"]


def _written(made: Any, folder: Path) -> Path:
    made.to_parquet(folder / "made.parquet")
    return folder / "made.parquet"


def test_numbers_are_spelled_alike_through_every_door(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "price": np.array([0.1, 0.7, 2.5], np.float32),
            "half": np.array([0.1, 0.7, 2.5], np.float16),
            "count": [1.0, np.nan, 3.0],
            "big": [2**60, 1, 2],
        }
    )
    wanted = [["0.1", "0.1", "1", str(2**60)], ["0.7", "0.7", None, "1"], ["2.5", "2.5", "3", "2"]]
    frame.to_parquet(tmp_path / "f.parquet")
    nullable = frame.astype({"price": "Float32", "count": "Int64"})
    arrow = frame.astype({"price": pd.ArrowDtype(pa.float32()), "count": pd.ArrowDtype(pa.int64())})
    plain = pa.table({name: pa.array(frame[name].astype(object).where(frame[name].notna(), None)) for name in ("big",)})
    doors = [frame, nullable, arrow, tmp_path / "f.parquet", pa.Table.from_pandas(frame)]
    for door in doors:
        rows = read_all(open_source(door))
        found = [[None if row[name] is None else read_text(row[name], name) for name in frame.columns] for row in rows]
        assert found == wanted, door
        table = TableReader(column="t").read(frame if door is frame else rows)
        assert [list(row) for row in table.rows] == [[cell or "" for cell in row] for row in wanted]
    assert [read_text(row["big"], "big") for row in read_all(open_source(plain))] == [row[3] for row in wanted]


def test_lists_of_narrow_floats_in_cells_are_spelled_alike(tmp_path: Path) -> None:
    table = pa.table({"n": pa.array([[0.1, 0.7], None, []], pa.list_(pa.float32())), "f": pa.array([[[0.1]], [[]], None])})
    parquet.write_table(table, tmp_path / "l.parquet")
    wanted = [[0.1, 0.7], None, []]
    assert [row["n"] for row in read_all(open_source(tmp_path / "l.parquet"))] == wanted
    assert [row["n"] for row in read_all(open_source(pd.read_parquet(tmp_path / "l.parquet")))] == wanted
    assert [row["n"] for row in read_all(open_source(datasets.Dataset(table).with_format("numpy")))] == wanted
    sliced = open_source(table.slice(1))
    assert read_all(sliced) == [{"n": None, "f": [[]]}, {"n": [], "f": None}]


def test_other_kinds_of_cells_are_pythons_own() -> None:
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5, 6)
    table = pa.table(
        {
            "decimal": pa.array([Decimal("1.50")]),
            "moment": pa.array(np.array(["2024-01-02T03:04:05.000006007"], "datetime64[ns]")),
            "day": pa.array([moment.date()]),
            "word": pa.array(["x"]).dictionary_encode(),
            "words": pa.array([["x", "y"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
            "pair": pa.array([[1, 2]], pa.list_(pa.int8(), 2)),
            "bytes": pa.array([b"x"]),
            "flag": pa.array([True]),
            "span": pa.array([5_000], pa.duration("ns")),
        }
    )
    assert open_source(table).read(0, 0) == {
        "decimal": Decimal("1.50"),
        "moment": moment,
        "day": moment.date(),
        "word": "x",
        "words": ["x", "y"],
        "pair": [1, 2],
        "bytes": b"x",
        "flag": True,
        "span": datetime.timedelta(microseconds=5),
    }


def test_categories_of_pandas_are_their_values(tmp_path: Path) -> None:
    frame = pd.DataFrame({"label": pd.Categorical(["x", None, "y"]), "n": [1, 2, 3]})
    frame.to_parquet(tmp_path / "c.parquet")
    for door in (frame, tmp_path / "c.parquet", pa.Table.from_pandas(frame)):
        assert [row["label"] for row in read_all(open_source(door))] == ["x", None, "y"]


def test_a_csv_as_pandas_writes_it_is_the_frame(tmp_path: Path) -> None:
    frame = pd.DataFrame({"t": ["a", "b\rc", "d, e"], "label": ["x", "y", "z"]})
    for number, options in enumerate(({}, {"index": False}, {"sep": ";"}, {"encoding": "utf-16"}, {"lineterminator": "\r\n"})):
        path = tmp_path / f"{number}.csv"
        frame.to_csv(path, **options)
        rows = read_all(open_source(path))
        assert [{name: row[name] for name in frame.columns} for row in rows] == read_all(open_source(frame))
        assert ("Unnamed: 0" in rows[0]) == (options != {"index": False})


def picture_bytes(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize("kind", [*FORMATS, "parquet"])
def test_media_are_left_encoded_and_bad_ones_are_bad_rows(kind: str | None, tmp_path: Path) -> None:
    red, blue = picture_bytes("red"), picture_bytes("blue")

    def encoded(content: bytes | None) -> dict[str, object] | None:
        return None if content is None else {"bytes": content, "path": None}

    rows = {
        "img": [encoded(red), encoded(b"broken"), None],
        "imgs": [[encoded(red), encoded(blue)], [encoded(b"broken")], []],
        "sound": [encoded(b"RIFF"), None, None],
        "clip": [encoded(b"film"), None, None],
    }
    medium = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"img": medium, "imgs": pa.list_(medium), "sound": medium, "clip": medium})
    kinds = {name: {"_type": name.title()} for name in ("image", "audio", "video")}
    features = {
        "img": kinds["image"],
        "imgs": {"_type": "List", "feature": kinds["image"]},
        "sound": kinds["audio"],
        "clip": kinds["video"],
    }
    described = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    table = pa.Table.from_pydict(rows, schema=described)
    parquet.write_table(table, tmp_path / "media.parquet")
    door = tmp_path / "media.parquet" if kind == "parquet" else datasets.Dataset(table).with_format(kind)
    first, second, third = read_all(open_source(door))
    assert first == {"img": red, "imgs": [red, blue], "sound": b"RIFF", "clip": b"film"}
    assert third == {"img": None, "imgs": [], "sound": None, "clip": None}
    assert read_image(first["img"])[1] == (8, 6)
    with pytest.raises(SampleError, match="not a readable picture"):
        read_image(second["img"])


def test_a_picture_that_datasets_names_by_its_path_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture_bytes("red"))
    made = datasets.Dataset.from_dict({"img": [str(tmp_path / "a.png")]}).cast_column("img", datasets.Image())
    assert open_source(made).read(0, 0) == {"img": tmp_path / "a.png"}


def test_columns_of_one_name_are_refused_not_dropped(tmp_path: Path) -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    for door in (frame, pa.table([[1], [2]], names=["a", "a"])):
        with pytest.raises(DataError, match="two columns are called `a`"):
            open_source(door)
    assert read_all(open_source(pd.DataFrame([[1, 2]], columns=[0, ("b", "c")]))) == [{"0": 1, "b c": 2}]


def test_the_index_of_a_frame_is_a_column_where_it_has_a_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1, 2]}, index=pd.Index(["x", "y"], name="label"))
    frame.to_csv(tmp_path / "i.csv")
    frame.to_parquet(tmp_path / "i.parquet")
    wanted = [{"label": "x", "n": 1}, {"label": "y", "n": 2}]
    assert read_all(open_source(frame)) == wanted
    assert [{"label": row["label"], "n": row["n"]} for row in read_all(open_source(tmp_path / "i.parquet"))] == wanted
    assert [row["label"] for row in read_all(open_source(tmp_path / "i.csv"))] == ["x", "y"]
    with pytest.raises(DataError, match="index is called as one of its columns"):
        open_source(frame.assign(label=1))


LISTED = [{"t": "a", "tags": ["x", "y"]}, {"t": "b", "tags": ["y"]}, {"t": "c", "tags": []}]


@pytest.mark.parametrize(
    "door", ["csv", "jsonl", "parquet", "frame of parquet", "arrays", *(kind or "plain" for kind in FORMATS)]
)
def test_lists_of_labels_are_one_closed_set_and_one_encoding(door: str, tmp_path: Path) -> None:
    line = "[TEXT:t] tags? -> ([CATEGORY:tags])*"
    frame = pd.DataFrame(LISTED)
    frame.to_csv(tmp_path / "d.csv")
    frame.to_json(tmp_path / "d.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "d.parquet")
    features = datasets.Features({"t": datasets.Value("string"), "tags": datasets.List(datasets.ClassLabel(names=["x", "y"]))})
    doors: dict[str, Any] = {
        "frame of parquet": pd.read_parquet(tmp_path / "d.parquet"),
        "arrays": [{"t": row["t"], "tags": np.array(row["tags"], object)} for row in LISTED],
        **{name: tmp_path / f"d.{name}" for name in ("csv", "jsonl", "parquet")},
    }
    if door not in doors:
        rows = {"t": ["a", "b", "c"], "tags": [[0, 1], [1], []]}
        doors[door] = datasets.Dataset.from_dict(rows, features=features).with_format(None if door == "plain" else door)
    trainer = Trainer(steps=1, tokenizer_size=300)
    prepared = trainer.prepare("nano", [Task("t", line, train=doors[door], valid=False)])
    assert prepared.closed_sets == {"t": {"tags": ("x", "y")}}
    reader = row_stream(prepared, trainer.options).reader
    encoded = [reader(Draw(task=0, epoch=0, index=index)) for index in range(3)]
    assert [row.num_target_tokens for row in encoded if isinstance(row, Example)] == [5, 3, 1]


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    rows = [{key: row[key] for key in ("t", "label", "tags", "deep")} for row in LABELLED]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_all(open_source(tmp_path / "d.jsonl")) == read_all(open_source(pd.DataFrame(rows))) == rows
