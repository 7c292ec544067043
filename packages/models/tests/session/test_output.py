"""Output: a mapping that does not change, with shorthands where exactly one column fits."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ofa_models._output import Candidate, Output, OutputSlot
from PIL import Image


def slot(column: str, modality: str, value: Any, depth: int = 0, **options: Any) -> OutputSlot:
    return OutputSlot(column=column, modality=modality, depth=depth, value=value, candidates=(Candidate(value, -0.5),), **options)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


BOX = [10.0, 5.0, 30.0, 20.0]


def test_shorthands_need_exactly_one_column_that_fits() -> None:
    output = Output((slot("cap", "TEXT", "a cat"), slot("at", "BOX", BOX)), log_probability=-1.0)
    assert output.text == "a cat"
    assert output.box == tuple(BOX)
    assert output.boxes == [tuple(BOX)]
    assert dict(output) == {"cap": "a cat", "at": BOX}
    with pytest.raises(AttributeError, match=r"`.value` needs .* and 2 fit; .*\[TEXT:cap\] \[BOX:at\]"):
        _ = output.value
    with pytest.raises(AttributeError, match=r"`.image` .* none fits"):
        _ = output.image
    with pytest.raises(AttributeError, match=r"`.label`"):
        _ = output.label
    with pytest.raises(KeyError, match=r"no column `caption`; it has"):
        _ = output["caption"]


def test_the_closed_set_is_what_label_and_candidates_mean() -> None:
    closed = OutputSlot(
        column="kind",
        modality="TEXT",
        depth=0,
        value="cat",
        closed=True,
        candidates=(Candidate("cat", -0.1), Candidate("dog", -3.0)),
    )
    output = Output((slot("cap", "TEXT", "a cat"), closed), log_probability=-1.0)
    assert output.label == "cat"
    assert [candidate.value for candidate in output.candidates] == ["cat", "dog"]
    assert output.probability == pytest.approx(np.exp(-0.1))
    with pytest.raises(AttributeError, match="2 fit"):
        _ = output.text


def test_sound_and_phones_have_shorthands(tmp_path: Path) -> None:
    audio = SimpleNamespace(
        waveform=np.zeros(800, np.float32),
        mel=np.zeros((8, 20), np.float32),
        save=lambda path: path.write_bytes(b"sound"),
        to_plain=lambda: "data:audio/wav;base64,AAAA",
    )
    output = Output((slot("wav", "AUDIO", audio), slot("said", "PHONE", "HH AH0 L OW1")), log_probability=-1.0)
    assert output.audio is audio
    assert output.waveform is audio.waveform
    assert output.mel is audio.mel
    assert output.text == "HH AH0 L OW1"
    assert output.save(tmp_path / "x.wav").read_bytes() == b"sound"
    answer = json.loads(output.to_json())["answer"]
    assert answer == {"wav": "data:audio/wav;base64,AAAA", "said": "HH AH0 L OW1"}
    with pytest.raises(AttributeError, match=r"`.audio` .* none fits"):
        _ = Output((slot("cap", "TEXT", "a cat"),), log_probability=0.0).waveform


def test_a_repeat_is_a_list() -> None:
    output = Output((slot("at", "BOX", [BOX, BOX], depth=1), slot("name", "TEXT", ["a", "b"], depth=1)), log_probability=-1.0)
    assert output.boxes == [tuple(BOX)] * 2
    assert output["name"] == ["a", "b"]
    with pytest.raises(AttributeError, match=r"column `name` is repeated: use output\['name'\]"):
        _ = output.text
    assert Output((slot("at", "BOX", [], depth=1),), log_probability=0.0).boxes == []


def test_it_does_not_change() -> None:
    output = Output((slot("cap", "TEXT", "a cat"),), log_probability=-1.0)
    with pytest.raises(AttributeError, match="does not change"):
        output.log_probability = 0.0
    with pytest.raises(AttributeError, match="does not change"):
        del output.log_probability
    with pytest.raises(TypeError):
        output["cap"] = "a dog"  # type: ignore[index]
    assert repr(output) == "Output(cap='a cat', probability=0.368)"


def test_json_says_everything() -> None:
    picture = Image.new("RGB", (2, 2))
    values = (
        slot("cap", "TEXT", "ein Käse"),
        slot("img", "IMAGE", picture),
        slot("curve", "SERIES", np.ones((2, 1), np.float32)),
    )
    data = json.loads(Output(values, log_probability=-1.0).to_json())
    assert data["answer"]["cap"] == "ein Käse"
    assert data["answer"]["img"].startswith("data:image/png;base64,")
    assert data["answer"]["curve"] == [[1.0], [1.0]]
    assert data["candidates"]["cap"] == [{"value": "ein Käse", "log_probability": -0.5}]


def test_boxes_are_drawn_on_the_input_picture(tmp_path: Any) -> None:
    white = Image.new("RGB", (40, 30), "white")
    output = Output((slot("at", "BOX", BOX, picture="img"),), log_probability=-1.0, inputs={"img": white})
    drawn = np.asarray(output.draw())
    assert drawn.shape == (30, 40, 3)
    assert (drawn[5, 10:30] != 255).any(axis=1).all()
    assert (drawn[12:14, 16:24] == 255).all()
    assert np.asarray(white).min() == 255
    assert size_of(output.save(tmp_path / "x.png")) == (40, 30)
    assert output.image_with_boxes.size == (40, 30)
    with pytest.raises(ValueError, match="no box belongs to a picture `other`"):
        output.draw("other")
    with pytest.raises(ValueError, match="there is no box to draw"):
        Output((slot("cap", "TEXT", "a"),), log_probability=0.0).draw()


def test_boxes_of_repeated_pictures_are_drawn_one_picture_at_a_time() -> None:
    pictures = [Image.new("RGB", (40, 30), "white"), Image.new("RGB", (50, 60), "white")]
    output = Output((slot("at", "BOX", [BOX, BOX], depth=1, picture="img"),), log_probability=-1.0, inputs={"img": pictures})
    assert output.draw(item=1).size == (50, 60)
    with pytest.raises(ValueError, match="holds 2 pictures; say which"):
        output.draw()


def test_saving_follows_the_suffix(tmp_path: Any) -> None:
    text = Output((slot("cap", "TEXT", "a cat"),), log_probability=-1.0)
    assert text.save(tmp_path / "a.txt").read_text() == "a cat\n"
    assert json.loads(text.save(tmp_path / "a.json").read_text())["answer"] == {"cap": "a cat"}
    with pytest.raises(ValueError, match=r"cannot save as `.png`: the answer has \[TEXT:cap\]"):
        text.save(tmp_path / "a.png")
    picture = Output((slot("img", "IMAGE", Image.new("RGB", (2, 3))),), log_probability=-1.0)
    assert size_of(picture.save(tmp_path / "b.png")) == (2, 3)
    box = Output((slot("at", "BOX", BOX),), log_probability=-1.0)
    assert json.loads(box.save(tmp_path / "c.txt").read_text()) == BOX
