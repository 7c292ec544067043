"""Training and validation rows: a share is a share, and what shows one medium or reads one text stays on one side."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_instruction import default_catalog
from ofa_trainer import Task, Trainer
from ofa_trainer.source import Source
from ofa_trainer.sources.opening import open_source
from ofa_trainer.sources.splitting import KeyColumn, key_columns, split_off
from ofa_trainer.sources.views import Renamed, column_of, scan
from PIL import Image

CAPTION = "[IMAGE:img] -> [TEXT:cap]"


def read_all(source: Source | None) -> list[dict[str, object]]:
    assert source is not None
    return [dict(source.read(index, 0)) for index in range(len(source))]


def numbers_of(source: Source | None) -> list[int]:
    return [int(str(row["n"])) for row in read_all(source)]


def both(task: Task) -> tuple[Source, Source]:
    train, valid = task.source("train"), task.source("valid")
    assert train is not None
    assert valid is not None
    return train, valid


@given(total=st.integers(2, 3000), share=st.floats(0.001, 0.9))
@settings(max_examples=40, deadline=None)
def test_a_split_gives_every_row_to_one_side_and_a_share_is_a_share(total: int, share: float) -> None:
    split = split_off(open_source([{"n": n} for n in range(total)]), (), share)
    assert len(read_all(split.valid)) == min(total - 1, max(1, round(total * share)))
    assert sorted(numbers_of(split.train) + numbers_of(split.valid)) == list(range(total))
    again = split_off(open_source([{"n": n} for n in range(total)]), (), share)
    assert read_all(again.train) == read_all(split.train)
    assert list(column_of(split.train, "n") or ()) == numbers_of(split.train)
    assert [row[0] for row in scan(split.train, ["n"]) or ()] == numbers_of(split.train)


@pytest.mark.parametrize(
    ("valid", "rows"),
    [(0.25, 1000), (0.5, 2000), (0, 0), (0.0, 0), (False, 0), (None, 200), (0.9, 3600), (np.float32(0.5), 2000)],
)
def test_the_share_that_is_asked_for(valid: object, rows: int) -> None:
    given_rows = [{"t": f"t {number}", "l": "ab"[number % 2]} for number in range(4000)]
    task = Task("t", "[TEXT:t] -> [TEXT:l,closed_set]", train=given_rows, valid=valid)
    found = task.source("valid")
    assert (0 if found is None else len(found)) == rows


@pytest.mark.parametrize("valid", [1, 1.0, -0.1, 3, True, float("nan")])
def test_what_is_no_share_is_an_error(valid: object) -> None:
    with pytest.raises(ValueError, match=r"`valid` is a share of the training rows"):
        Task("t", "[TEXT:t] -> [TEXT:l]", train=[{"t": "a", "l": "b"}], valid=valid)


def test_few_rows_are_split_only_where_a_share_is_asked_for() -> None:
    source = open_source([{"n": n} for n in range(19)])
    assert split_off(source).valid is None
    assert len(numbers_of(split_off(source, (), 0.25).valid)) == 5
    assert split_off(open_source([{"n": 1}]), (), 0.5).valid is None


def test_a_split_without_groups_is_spread_over_the_rows_and_stays_small() -> None:
    numbers = numbers_of(split_off(open_source([{"n": n} for n in range(40_000)])).valid)
    assert len(numbers) == 500
    assert 18_000 < np.mean(numbers) < 22_000


def test_columns_that_tell_what_belongs_together() -> None:
    catalog = default_catalog()
    assert key_columns(CAPTION, catalog) == (KeyColumn("img", True),)
    assert key_columns("[IMAGE:img] [TEXT:question] -> [TEXT:answer]", catalog) == (KeyColumn("img", True),)
    assert key_columns("[PHONE:said] -> [AUDIO:wav]", catalog) == (KeyColumn("wav", True), KeyColumn("said", False))
    assert key_columns("[TEXT:a] [TEXT:b] -> [TEXT:c]", catalog) == (KeyColumn("a", False), KeyColumn("b", False))
    assert key_columns("([IMAGE:imgs])* -> [TEXT:cap] ||| ([IMAGE:imgs] seen)* -> [TEXT:cap]", catalog) == (
        KeyColumn("imgs", True, 1),
    )
    assert key_columns("[IMAGE:img -> [TEXT:cap]", catalog) == ()


def five_captions_a_picture(count: int = 400) -> list[dict[str, object]]:
    return [{"img": f"{number // 5}.png", "cap": f"caption {number}", "n": number} for number in range(count)]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        parquet.write_table(arrow.Table.from_pylist(rows), path, row_group_size=64)
    return path


@pytest.mark.parametrize("kind", ["memory", "a.csv", "a.jsonl", "a.parquet", "renamed", "arrow", "datasets"])
@pytest.mark.parametrize("valid", [None, 0.25])
def test_rows_of_one_picture_are_on_one_side(tmp_path: Path, kind: str, valid: float | None) -> None:
    rows = five_captions_a_picture()
    columns = {}
    if kind == "renamed":
        rows, columns = [{"file": row["img"], "cap": row["cap"]} for row in rows], {"img": "file"}
    train: object = write(tmp_path / kind, rows) if "." in kind else rows
    if kind == "arrow":
        train = pytest.importorskip("pyarrow").Table.from_pylist(rows)
    elif kind == "datasets":
        train = pytest.importorskip("datasets").Dataset.from_list(rows)
    task = Task("t", CAPTION, train=train, valid=valid, columns=columns)
    training, validation = both(task)
    assert len(validation) == (20 if valid is None else 100)
    assert not {row["img"] for row in read_all(training)} & {row["img"] for row in read_all(validation)}
    assert task.shared_rows() == ()


PICTURES = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in range(80)]


def _bytes(number: int) -> object:
    return b"picture" + bytes([number])


def _array(number: int) -> object:
    return np.full((4, 4, 3), number, np.uint8)


def _hugging_face(number: int) -> object:
    return {"bytes": None if number % 2 else _bytes(number), "path": f"{number}.png"}


def _dotted(number: int) -> object:
    return [f"{number}.png", f"./{number}.png", f"a/../{number}.png", Path(f"{number}.png")]


@pytest.mark.parametrize("value", [_bytes, _array, _hugging_face, PICTURES.__getitem__, _dotted])
def test_media_are_known_by_path_bytes_and_numbers(value: object) -> None:
    spellings = [value(number) for number in range(80)]  # type: ignore[operator]
    rows = [
        {"img": made[place % len(made)] if isinstance(made, list) else made, "cap": "x", "n": number}
        for number, made in enumerate(spellings)
        for place in range(5)
    ]
    training, validation = both(Task("t", CAPTION, train=rows))
    assert not set(numbers_of(training)) & set(numbers_of(validation))


def test_parts_of_one_recording_and_pictures_of_a_list_are_together() -> None:
    rows: list[dict[str, object]] = [
        {"wav": {"path": f"{number // 4}.wav", "start_s": number % 4, "stop_s": number % 4 + 1}, "said": f"word {number}"}
        for number in range(200)
    ]
    training, validation = both(Task("t", "[AUDIO:wav] -> [TEXT:said]", train=rows))
    files = [{row["wav"]["path"] for row in read_all(side)} for side in (training, validation)]  # type: ignore[index]
    assert not files[0] & files[1]
    chains: list[dict[str, object]] = [
        {"imgs": [f"{n}.png", f"{n + 1 if n % 4 else n}.png"], "cap": "x", "n": n} for n in range(200)
    ]
    training, validation = both(Task("t", "([IMAGE:imgs])* -> [TEXT:cap]", train=chains))
    pictures = [{name for row in read_all(side) for name in row["imgs"]} for side in (training, validation)]  # type: ignore[attr-defined]
    assert not pictures[0] & pictures[1]


def test_texts_that_are_read_are_together_whatever_their_blanks() -> None:
    rows = [
        {"t": f"text  {number // 3} " if number % 2 else f"text {number // 3}", "l": "ab"[number % 2]} for number in range(300)
    ]
    training, validation = both(Task("t", "[TEXT:t] -> [TEXT:l,closed_set]", train=rows))
    seen = {" ".join(str(row["t"]).split()) for row in read_all(training)}
    assert not seen & {" ".join(str(row["t"]).split()) for row in read_all(validation)}


def test_a_question_that_is_asked_everywhere_joins_nothing() -> None:
    rows = [{"context": f"story {n // 2}", "question": "who?" if n % 2 else "where?", "answer": "x"} for n in range(400)]
    task = Task("t", "[TEXT:context] [TEXT:question] -> [TEXT:answer]", train=rows)
    training, validation = both(task)
    assert not {row["context"] for row in read_all(training)} & {row["context"] for row in read_all(validation)}
    (shared,) = task.shared_rows()
    assert str(shared) == "20 of 20 validation rows read a text (`question`) that is also trained on"


@pytest.mark.parametrize("as_text", [True, False])
def test_numbers_of_a_table_join_no_rows_and_are_not_told(as_text: bool) -> None:
    cells = [{"a": number % 7 / 10, "b": -(number % 5), "kind": "x"} for number in range(100)]
    rows = [{name: str(cell) for name, cell in row.items()} if as_text else row for row in cells]
    assert not Task("t", "[TEXT:a] and [TEXT:b] -> [TEXT:kind,closed_set]", train=rows).shared_rows()
    assert Task("t", "[TEXT:a] -> [TEXT:kind,closed_set]", train=rows).shared_rows(), "a number that is all that is read"


def test_rows_that_cannot_be_kept_apart_are_told(caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"text": text, "label": text} for text in ("red", "blue")] * 20
    task = Task("t", "[TEXT:text] -> [TEXT:label,closed_set]", train=rows)
    with caplog.at_level(logging.WARNING):
        Trainer(tokenizer_size=300).prepare("nano", [task])
    assert "task `t`: 2 of 2 validation rows read a text (`text`) that is also trained on; give held-out rows" in caplog.text


def test_a_few_large_groups_are_held_out_whole_where_that_is_no_large_part() -> None:
    rows = [{"img": f"{number // 40}.png", "cap": "x"} for number in range(400)]
    _, validation = both(Task("t", CAPTION, train=rows))
    assert len({row["img"] for row in read_all(validation)}) == 1
    assert len(validation) == 40


def test_a_trained_picture_in_a_file_of_validation_rows_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = five_captions_a_picture(50)
    train = write(tmp_path / "train.csv", rows)
    (tmp_path / "other").mkdir()
    held_out = [*rows[:7], {"img": "new.png", "cap": "a", "n": 0}]
    valid = write(tmp_path / "valid.jsonl", held_out)
    task = Task("t", CAPTION, train=train, valid=valid)
    with caplog.at_level(logging.WARNING):
        Trainer(tokenizer_size=300).prepare("nano", [task])
    assert "7 of 8 validation rows show a medium (`img`) that is also trained on" in caplog.text
    elsewhere = write(tmp_path / "other" / "valid.jsonl", held_out)
    assert Task("t", CAPTION, train=train, valid=elsewhere).shared_rows() == ()


def test_scanning_keeps_the_number_of_rows_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n1,2\n\n3\n"4,\n5",6\n7,"8\n')
    source = open_source(tmp_path / "a.csv")
    assert list(scan(source, ["a", "c"]) or ()) == [("1", None), (None, None), ("4,\n5", None), (None, None)]
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\nno json\n{"b": 2}\n[1]\n')
    assert list(scan(Renamed(open_source(tmp_path / "a.jsonl"), {"x": "a"}), ["x", "b"]) or ()) == [
        (1, None),
        (None, None),
        (None, 2),
        (None, None),
    ]
