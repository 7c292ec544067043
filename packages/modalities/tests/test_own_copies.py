"""Whoever reads a value works on its own copy: the user's objects stay as they are."""

from __future__ import annotations

import doctest
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ofa_modalities.copies
import pytest
import torch
from ofa_modalities import EncodeContext, Item
from ofa_modalities.copies import own_copy
from ofa_modalities.image.reading import read_image
from ofa_modalities.struct.output import Table
from ofa_modalities.struct.processor import TableProcessor
from PIL import Image


def test_the_example_runs() -> None:
    assert doctest.testmod(ofa_modalities.copies).failed == 0


def _change(value: Any) -> None:
    """Change everything that a value holds, in place."""
    match value:
        case dict():
            for part in value.values():
                _change(part)
            value["added"] = 1
        case list():
            for part in value:
                _change(part)
            value.append("added")
        case np.ndarray() if value.dtype.kind == "O":
            for part in value:
                _change(part)
        case np.ndarray():
            value += 1
        case torch.Tensor():
            value.add_(1)
        case Image.Image():
            value.paste((1, 2, 3), (0, 0, 2, 2))
        case bytearray():
            value.extend(b"added")


def _row() -> dict[str, Any]:
    objects = np.empty(1, object)
    objects[0] = ["a"]
    return {
        "text": "x",
        "nested": [["a"], {"b": [1]}],
        "pair": (np.zeros(3), 16_000),
        "array": np.zeros((2, 2), np.float32),
        "objects": objects,
        "tensor": torch.zeros(2),
        "picture": Image.new("RGB", (4, 4), "white"),
        "frames": [np.zeros((2, 2, 3), np.uint8), Image.new("RGB", (4, 4), "white")],
        "bytes": bytearray(b"x"),
    }


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(part) for key, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case np.ndarray() | torch.Tensor():
            return _plain(value.tolist())
        case Image.Image():
            return value.tobytes()
    return value


def test_a_copy_can_be_changed_and_the_original_stays() -> None:
    row = _row()
    copy = own_copy(row)
    assert _plain(copy) == _plain(row) == _plain(_row())
    _change(copy)
    assert _plain(copy) != _plain(_row())
    assert _plain(row) == _plain(_row())


def test_frames_are_copied_deep() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 2]})
    copy = own_copy(frame)
    copy.loc[0, "a"] = 5
    assert frame["a"].tolist() == [1, 2]


def test_pictures_that_cannot_be_loaded_are_left_to_their_reader(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, format="PNG")
    broken = Image.open(io.BytesIO(file.getvalue()[:-40]))
    assert own_copy(broken) is broken
    turned = Image.new("RGB", (8, 4), "red")
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=turned.getexif())
    opened = Image.open(tmp_path / "turned.jpg")
    assert read_image(own_copy(opened))[0].size == read_image(Image.open(tmp_path / "turned.jpg"))[0].size == (4, 8)


def test_a_processor_gets_its_own_copy(make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run({"t": "[STRUCT:table] -> [TEXT:a]"})
    encode, reference = TableProcessor.encode, TableProcessor.reference

    def encode_and_change(self: TableProcessor, value: Any, context: EncodeContext) -> Item:
        item = encode(self, value, context)
        _change(value)
        return item

    def refer_and_change(self: TableProcessor, value: Any, context: EncodeContext) -> Table | str:
        found = reference(self, value, context)
        _change(value)
        return found

    monkeypatch.setattr(TableProcessor, "encode", encode_and_change)
    monkeypatch.setattr(TableProcessor, "reference", refer_and_change)
    table = [["a", "b"], ["1", "2"]]
    run.encode("t", {"table": table, "a": "x"})
    assert table == [["a", "b"], ["1", "2"]]


def test_an_open_file_is_left_where_it_was() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(file, format="PNG")
    file.seek(5)
    assert read_image(file)[1] == (8, 6)
    assert file.tell() == 5
