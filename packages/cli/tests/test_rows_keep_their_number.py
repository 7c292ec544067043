"""Whatever could not be read, what is answered, saved, shown and told names the row of the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ofa_cli.explaining import explain_rows, save_pictures
from ofa_cli.main import run
from ofa_instruction import default_catalog
from ofa_modalities.processor import SampleError
from ofa_models.plans import ModelPlan
from ofa_models.session import Session
from ofa_trainer import Task, Trainer
from ofa_trainer.evaluation import evaluate
from ofa_trainer.plans import EvaluatePlan, TrainerOptions
from ofa_trainer.preparing import prepare
from PIL import Image

LINE = "[TEXT:text] ? -> [TEXT:label,closed_set]"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [{"text": word, "label": label} for word, label in (("good", "yes"), ("bad", "no"))]
    folder = tmp_path_factory.mktemp("rows") / "checkpoint"
    task = Task("t", LINE, train=rows, valid=False)
    Trainer(steps=2, batch_tokens=64, tokenizer_size=300).fit("nano", [task]).save(folder)
    return folder


FILES = {
    "ask.csv": "text,label\ngood,yes\nbad,no\none,cell,too many\ngood,yes\n",
    "ask.jsonl": '{"text": "good", "label": "yes"}\n\n{"text": "bad", "label": "no"}\nbroken\n{"text": "good", "label": "yes"}\n',
}


@pytest.mark.parametrize("name", FILES)
def test_infer_saves_and_prints_by_the_row_of_the_file(name: str, trained: Path, tmp_path: Path, ofa: Callable[..., Any]) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    arguments = ("infer", str(trained), "t", "--data", str(tmp_path / name))
    answer = ofa(*arguments, "--save", str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00001.json", "00002.json", "00004.json"]
    rows = {"ask.csv": ["row 1", "row 2", "row 4"], "ask.jsonl": ["line 1", "line 3", "line 5"]}[name]
    assert [line.split("\t")[0] for line in answer.out.splitlines()] == [f"{name}:{row}" for row in rows]
    found = json.loads(ofa(*arguments, "--json").out)
    assert [(one["row"], one["address"]) for one in found] == list(zip([1, 2, 4], [f"{name}:{row}" for row in rows], strict=True))


def test_what_is_judged_names_its_row(trained: Path) -> None:
    rows: list[Any] = [{"text": "good", "label": "yes"}, 3, {"text": "bad"}, {"text": "bad", "label": "no"}]
    task = Task("t", LINE, train=rows, valid=rows, columns={"text": "text"})
    judged = evaluate(Session.from_pretrained(trained), [task], EvaluatePlan(split="valid")).tasks["t"]
    assert [(one.row, one.address) for one in judged.judged["label"]] == [(1, "t/valid:row 1"), (4, "t/valid:row 4")]
    assert [row.address for row in judged.bad] == ["t/valid:row 2", "t/valid:row 3"]


def test_a_row_that_was_split_off_keeps_its_number(trained: Path) -> None:
    rows = [{"text": "good", "label": "yes", "n": number} for number in range(60)]
    task = Task("t", LINE, train=rows, valid=0.2)
    judged = evaluate(Session.from_pretrained(trained), [task], EvaluatePlan(split="valid")).tasks["t"].judged["label"]
    assert [one.address for one in judged] == [f"t/train:row {one.row}" for one in judged]


def test_errors_of_a_batch_name_the_row(trained: Path) -> None:
    session = Session.from_pretrained(trained)
    with pytest.raises(SampleError, match="row 2"):
        session.batch("t", [{"text": "good"}, {"text": ["no", "text"]}])


def test_pictures_of_explain_are_named_by_their_row(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), "red").save(tmp_path / "a.png")
    (tmp_path / "my.csv").write_text("img,label\na.png,x\nnone.png,y\na.png,y\n", encoding="utf-8")
    task = Task("t", "[IMAGE:img] ? -> [TEXT:label]", train=str(tmp_path / "my.csv"), valid=False)
    options = TrainerOptions(tokenizer_size=300)
    seen = list(explain_rows(prepare([task], ModelPlan.of_size("nano"), options, default_catalog()), 3))
    assert [(row.row, bool(row.error)) for row in seen] == [(1, False), (2, True), (3, False)]
    assert [path.name for path in save_pictures(seen, tmp_path / "seen")] == ["t-00001-img-0.png", "t-00003-img-0.png"]


def test_a_failure_that_is_no_bad_row_is_told_with_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ofa_modalities.text.processor import TextProcessor

    def fails(self: object, value: object, context: object) -> None:
        raise ArithmeticError("a bug")

    (tmp_path / "my.csv").write_text(FILES["ask.csv"], encoding="utf-8")
    monkeypatch.setattr(TextProcessor, "encode", fails)
    with pytest.raises(ArithmeticError) as caught:
        run(["explain", LINE, "--data", str(tmp_path / "my.csv")])
    assert any("my.csv:row" in note for note in caught.value.__notes__)
