"""A folder is data: media by classes, alone, or split already; and what it may hold is said where it is none."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
from ofa_instruction import OFAWarning, default_catalog
from ofa_models import GeneralistModel, ModelPlan
from ofa_trainer import Task, Trainer
from ofa_trainer.plans import SourcePlan, TrainerOptions
from ofa_trainer.preparing import prepare
from ofa_trainer.source import Source
from ofa_trainer.sources.common import DataError
from ofa_trainer.sources.opening import open_source, parts_of
from ofa_trainer.sources.views import column_of
from PIL import Image

PICTURE = "[IMAGE:photo] what is it? -> [CATEGORY:kind]"


def picture(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), colour).save(path)
    return path


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\1" * 4000)
    return path


def read_all(source: Source | None) -> list[dict[str, object]]:
    assert source is not None
    return [dict(source.read(index, 0)) for index in range(len(source))]


def test_a_folder_of_class_folders_is_pictures_and_labels(tmp_path: Path) -> None:
    for name in ("dog/2.png", "cat/a/1.JPG", "cat/b.gif", ".hidden/x.png", "cat/.DS_Store.png"):
        picture(tmp_path / "pets" / name)
    source = open_source(tmp_path / "pets")
    assert read_all(source) == [
        {"img": "cat/b.gif", "label": "cat"},
        {"img": "cat/a/1.JPG", "label": "cat"},
        {"img": "dog/2.png", "label": "dog"},
    ]
    assert source.address(2) == "pets/dog/2.png"
    assert list(column_of(source, "label") or ()) == ["cat", "cat", "dog"]
    before = source.fingerprint()
    picture(tmp_path / "pets/dog/3.png")
    assert open_source(tmp_path / "pets").fingerprint() != before


@pytest.mark.parametrize(
    ("name", "column", "line"),
    [
        ("1.wav", "audio", "[AUDIO:noise] ? -> [TEXT:what,closed_set]"),
        ("1.mp4", "video", "[VIDEO:noise] ? -> [TEXT:what,closed_set]"),
        ("1.bvh", "motion", "[MOTION:noise] ? -> [TEXT:what,closed_set]"),
        ("1.png", "img", "[TEXT:what] draw it -> [IMAGE:noise]"),
    ],
)
def test_sounds_clips_motions_and_pictures_alike(name: str, column: str, line: str, tmp_path: Path) -> None:
    for label in ("loud", "quiet"):
        (tmp_path / label).mkdir()
        (tmp_path / label / name).write_bytes(b"x")
    assert read_all(open_source(tmp_path))[0] == {column: f"loud/{name}", "label": "loud"}
    assert read_all(open_source(tmp_path, instruction=line))[1] == {"noise": f"quiet/{name}", "what": "quiet"}
    task = Task("t", line, train=str(tmp_path), valid=False)
    assert read_all(task.source("train"))[1] == {"noise": f"quiet/{name}", "what": "quiet"}


def test_ambiguous_lines_leave_the_usual_names(tmp_path: Path) -> None:
    picture(tmp_path / "cat/1.png")
    line = "[IMAGE:a] [IMAGE:b] [TEXT:q] ? -> [TEXT:label]"
    assert read_all(open_source(tmp_path, instruction=line)) == [{"img": "cat/1.png", "label": "cat"}]


def test_clips_as_folders_of_frames(tmp_path: Path) -> None:
    for name in ("run/1/0.png", "run/1/1.png", "walk/2/0.png"):
        picture(tmp_path / name)
    rows = read_all(open_source(tmp_path, instruction="[VIDEO:clip] ? -> [TEXT:what]"))
    assert rows == [{"clip": "run/1", "what": "run"}, {"clip": "walk/2", "what": "walk"}]


def test_media_alone_are_rows_without_a_class(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.warns(OFAWarning, match="1 file is left out, no media by the suffix, such as `notes.txt`"):
        source = open_source(tmp_path)
    assert read_all(source) == [{"img": "1.png"}]


def test_a_folder_of_class_folders_is_trained_on(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"red/{number}.png", "red")
        picture(tmp_path / f"blue/{number}.png", "blue")
    task = Task("t", PICTURE, train=tmp_path, valid=False)
    trained = Trainer(steps=2, batch_tokens=64, tokenizer_size=300).fit(GeneralistModel("nano"), [task])
    assert trained.session()("t", photo=str(tmp_path / "red/0.png")).label in ("red", "blue")


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "dev", "testing")])
def test_a_folder_that_is_split_already_is_its_parts(names: tuple[str, str, str], tmp_path: Path) -> None:
    for name in names:
        picture(tmp_path / name / "cat/1.png")
        picture(tmp_path / name / "dog/1.png")
    task = Task("t", PICTURE, train=str(tmp_path))
    for split, name in zip(("train", "valid", "test"), names, strict=True):
        source = task.source(split)  # type: ignore[arg-type]
        assert read_all(source) == [{"photo": "cat/1.png", "kind": "cat"}, {"photo": "dog/1.png", "kind": "dog"}]
        assert source is not None
        assert source.address(0) == f"{name}/cat/1.png"
    assert Task("t", PICTURE, train=str(tmp_path), valid=False).source("valid") is None
    with pytest.raises(DataError, match="is split already, into"):
        open_source(tmp_path)


def test_data_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "my.csv").write_text("a;b\n1;2\n")
    assert read_all(open_source("one", base=tmp_path)) == [{"a": "1", "b": "2"}]
    (tmp_path / "parts").mkdir()
    for name in ("train", "test"):
        (tmp_path / "parts" / f"{name}.csv").write_text(f"t,l\n{name},x\n")
    task = Task("t", "[TEXT:t] -> [TEXT:l]", train="parts", base=tmp_path)
    assert [read_all(task.source(split)) for split in ("train", "test")] == [  # type: ignore[arg-type]
        [{"t": "train", "l": "x"}],
        [{"t": "test", "l": "x"}],
    ]
    assert parts_of("parts", tmp_path).keys() == {"train", "test"}
    (tmp_path / "parts" / "more.csv").write_text("t,l\nx,y\n")
    assert parts_of("parts", tmp_path) == {}
    with pytest.raises(DataError, match=r"holds 3 data files, `more\.csv`, `test\.csv`, `train\.csv`: name one of them"):
        open_source(tmp_path / "parts")


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    for name in ("test", "train", "plane"):
        picture(tmp_path / name / "1.png")
    assert [row["label"] for row in read_all(open_source(tmp_path))] == ["plane", "test", "train"]


def test_a_folder_that_is_no_data_is_told_what_it_may_hold(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"nothing that is read; a folder may hold Parquet files, one CSV .* \(cat/1\.jpg\)"):
        open_source(tmp_path / "empty")
    with pytest.raises(DataError, match=r"no data at `.*emtpy`; did you mean `empty`\?"):
        open_source(tmp_path / "emtpy")
    picture(tmp_path / "both/cat/1.png")
    sound(tmp_path / "both/cat/1.wav")
    with pytest.raises(DataError, match="1 of IMAGE, 1 of AUDIO; say which with the option `modality`"):
        open_source(tmp_path / "both")
    plan = SourcePlan(path=str(tmp_path / "both"), options={"modality": "AUDIO", "label": "what"})
    with pytest.warns(OFAWarning, match="1 file is left out"):
        source = open_source(plan)
    assert read_all(source) == [{"audio": "cat/1.wav", "what": "cat"}]
    picture(tmp_path / "mixed/cat/1.png")
    picture(tmp_path / "mixed/2.png")
    with pytest.raises(DataError, match=r"some beside them, such as `2\.png`"):
        open_source(tmp_path / "mixed")
    with pytest.raises(DataError, match="holds no files of VIDEO"):
        open_source(SourcePlan(source="folder", path=str(tmp_path / "empty"), options={"modality": "VIDEO"}))


def test_an_instruction_without_the_class_is_told(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    task = Task("t", PICTURE, train=str(tmp_path), valid=False)
    with pytest.raises(DataError, match="reads the column `kind`, and no row has one"):
        prepare([task], ModelPlan.of_size("nano"), TrainerOptions(), default_catalog())
