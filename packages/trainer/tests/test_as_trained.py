"""Data for a checkpoint is read as what it was trained on: columns, delimiter, encoding; its errors say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from ofa_modalities.processor import SampleError
from ofa_models import GeneralistModel
from ofa_models.checkpoint import load_plan
from ofa_models.plans import DataReading
from ofa_trainer import Task, Trainer
from ofa_trainer.plans import SourcePlan, TaskFilePlan
from ofa_trainer.run_file import task_of_plan
from ofa_trainer.source import Source
from ofa_trainer.sources.as_trained import kept_reading, open_as_trained
from ofa_trainer.sources.common import DataError
from ofa_trainer.sources.opening import open_source

LINE = "[TEXT:text] ? -> [TEXT:label,closed_set]"


def read_all(source: Source) -> list[dict[str, object]]:
    return [dict(source.read(index, 0)) for index in range(len(source))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that was trained on odd headers and semicolons, and another task of rows in memory."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "my.csv").write_text("the text;1st choice\ngood, really;yes\nbad;no\n", encoding="utf-8")
    columns = {"text": "the text", "label": "1st choice"}
    odd = Task("odd", LINE, train=folder / "my.csv", valid=False, columns=columns)
    plain = Task("plain", "[TEXT:t] say -> [TEXT:l]", train=[{"t": "a", "l": "b"}], valid=False)
    Trainer(steps=2, batch_tokens=64, tokenizer_size=300).fit(GeneralistModel("nano"), [odd, plain]).save(folder / "checkpoint")
    return folder


def ask(folder: Path, name: str, task: str = "odd", **options: object) -> Source:
    plan = load_plan(folder / "checkpoint")
    given: dict[str, object] = {"instruction": LINE, "needed": ["text"], "known": ["text", "label"]} | options
    return open_as_trained(folder / name, plan, task, **given)  # type: ignore[arg-type]


def test_columns_and_delimiter_are_kept_in_the_checkpoint(folder: Path) -> None:
    plan = load_plan(folder / "checkpoint")
    assert plan.data == {"odd": DataReading(columns={"text": "the text", "label": "1st choice"}, delimiter=";")}
    assert kept_reading(plan, "plain", ["t"]) == DataReading()
    assert kept_reading(plan, "new instruction", ["text", "other"]) == DataReading(columns={"text": "the text"}, delimiter=";")


def test_the_file_that_was_trained_on_is_read(folder: Path) -> None:
    row = {"text": "good, really", "label": "yes"}
    assert row.items() <= read_all(ask(folder, "my.csv"))[0].items()


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("the text\ngood, really\n", {"text": "good, really"}),
        ("the text\ngood; really\n", {"text": "good; really"}),
        ("text,label\ngood,yes\n", {"text": "good", "label": "yes"}),
        ("the text\tmore\ngood\tx\n", {"text": "good"}),
    ],
)
def test_other_files_are_read_by_either_name_and_any_delimiter(text: str, row: dict[str, str], folder: Path) -> None:
    (folder / "other.csv").write_text(text, encoding="utf-8")
    assert row.items() <= read_all(ask(folder, "other.csv"))[0].items()


def test_columns_given_anew_win_and_must_be_there(folder: Path) -> None:
    (folder / "other.csv").write_text("Text here,text\ngood,x\n", encoding="utf-8")
    assert read_all(ask(folder, "other.csv", columns={"text": "Text here"}))[0]["text"] == "good"
    with pytest.raises(DataError, match=r"reads the column `text heer`.*did you mean `Text here`\?.*--column \"text=Text here\""):
        ask(folder, "other.csv", columns={"text": "text heer"})
    with pytest.raises(DataError, match="the instruction has no column `txt` to be read from another one; did you mean `text`"):
        ask(folder, "other.csv", columns={"txt": "Text here"})


def test_a_missing_column_is_one_error_that_names_the_way_out(folder: Path) -> None:
    (folder / "other.csv").write_text("words,b\ngood,x\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"`words`\? Another name is given with `columns`, .* --column \"word=words\""):
        ask(folder, "other.csv", "plain", needed=["word"], known=["word", "l"])
    (folder / "odd.csv").write_text("t^l\na^b\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"columns: t\^l.*delimiter \(--delimiter '\^'\)"):
        ask(folder, "odd.csv", "plain", needed=["t"], known=["t", "l"])
    assert read_all(ask(folder, "odd.csv", "plain", needed=["t"], known=["t", "l"], delimiter="^")) == [{"t": "a", "l": "b"}]


def test_a_delimiter_and_a_root_are_said_by_task_run_file_and_source(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "my.csv").write_text("text^label\na;b^x\n", encoding="utf-8")
    row = {"text": "a;b", "label": "x"}
    given = {"instruction": LINE, "train": "data/my.csv", "delimiter": "^", "root": ".", "valid": False}
    from_file = task_of_plan("t", TaskFilePlan.model_validate(given), tmp_path).source("train")
    from_task = Task("t", LINE, train="data/my.csv", delimiter="^", root=".", base=tmp_path, valid=False).source("train")
    from_source = open_source("data/my.csv", delimiter="^", root=".", base=tmp_path)
    for source in (from_file, from_task, from_source):
        assert source is not None
        assert read_all(source) == [row]
        assert source.root == tmp_path.resolve()  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "iso2022_jp"])
def test_an_encoding_is_kept_for_files_that_are_no_utf8(encoding: str, folder: Path) -> None:
    word = "日本" if encoding == "iso2022_jp" else "déjà"
    (folder / "train.csv").write_bytes(f"text,label\n{word},yes\n".encode(encoding))
    task = Task("t", LINE, train=SourcePlan(path=str(folder / "train.csv"), options={"encoding": encoding}), valid=False)
    kept = task.reading()
    assert kept == DataReading(delimiter=",", encoding=encoding)
    plan = load_plan(folder / "checkpoint")
    plan = plan.model_copy(update={"data": {"odd": kept}})
    given: dict[str, object] = {"instruction": LINE, "needed": ["text"], "known": ["text", "label"]}
    for name, other in (("same.csv", encoding), ("utf8.csv", "utf-8"), ("mark.csv", "utf-16")):
        (folder / name).write_bytes(f"text\n{word}\n".encode(other))
        assert read_all(open_as_trained(folder / name, plan, "odd", **given)) == [{"text": word}], name  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="encoding"):
        DataReading(encoding="a\0b")


def test_an_unused_delimiter_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "my.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(DataError, match=r"my\.jsonl` has no delimiter: the source `jsonl` reads it"):
        open_source(tmp_path / "my.jsonl", delimiter=";")
    with pytest.raises(DataError, match="these rows are in memory"):
        open_source([{"a": 1}], delimiter=";")
    with pytest.raises(ValueError, match="no rows come from one"):
        Task("t", LINE, train=[{"text": "a", "label": "b"}], delimiter=";")
    (tmp_path / "my.csv").write_text("text^label\na^b\n")
    task = Task("t", LINE, train=tmp_path / "my.csv", valid=[{"text": "a", "label": "b"}], delimiter="^")
    assert [len(task.source(split) or ()) for split in ("train", "valid")] == [1, 1]  # type: ignore[arg-type]


def test_a_path_outside_of_the_root_names_the_option(tmp_path: Path) -> None:
    from ofa_modalities.image.reading import read_image

    (tmp_path / "inside").mkdir()
    (tmp_path / "x.png").write_bytes(b"x")
    for value, message in (("../x.png", "another is given as `root`"), ("none.png", "`root` says another")):
        with pytest.raises(SampleError, match=message):
            read_image(value, "img", root=tmp_path / "inside")
