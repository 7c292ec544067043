"""Predictions as a file: rows under their own numbers, values as a person and a program can read them."""

from __future__ import annotations

import csv
import datetime
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from ofa_trainer import Task, Trainer
from ofa_trainer.predictions import Prediction, plain, save_predictions
from PIL import Image
from trainer_rows import text_rows


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_an_evaluation_is_saved_with_inputs_truth_answer_score_and_row(tmp_path: Path) -> None:
    rows = [{"id": number, **row} for number, row in enumerate(text_rows(30), 1)]
    rows[3] = {"id": 4, "text": None, "has": None}
    task = Task("has", "a cat in [TEXT:text] ? -> [TEXT:has,closed_set]", train=rows[:3] + rows[4:], test=rows, valid=False)
    evaluation = Trainer(steps=2, batch_tokens=512, tokenizer_size=300).fit("nano", [task]).evaluate("test")
    saved = read_csv(evaluation.save(tmp_path / "deep" / "predictions.csv"))
    assert list(saved[0]) == ["row", "id", "text", "first", "truth", "answer", "score", "probability"]
    assert [line["row"] for line in saved] == [line["id"] for line in saved]
    assert len(saved) == 29
    assert "4" not in {line["row"] for line in saved}
    assert all((line["truth"] == line["answer"]) == (float(line["score"]) == 1) for line in saved)
    lines = [json.loads(line) for line in evaluation.save(tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == evaluation.predictions()
    assert [line["row"] for line in lines] == [int(line["row"]) for line in saved]
    assert len(repr(evaluation)) < 200
    assert len(repr(evaluation.tasks["has"])) < 200


def test_a_part_and_other_names_keep_the_number_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("words,has\n" + "".join(f"{row['text']},{row['has']}\n" for row in text_rows(60)))
    task = Task("has", "[TEXT:text] ? -> [TEXT:has,closed_set]", train=tmp_path / "my.csv", columns={"text": "words"}, valid=0.3)
    evaluation = Trainer(steps=2, batch_tokens=512, tokenizer_size=300, valid_metrics=False).fit("nano", [task]).evaluate("valid")
    cells = read_csv(tmp_path / "my.csv")
    found = evaluation.predictions()
    assert len(found) > 5
    assert all(cells[int(str(line["row"])) - 1]["words"] == line["text"] for line in found)


def test_several_answers_metrics_and_tasks_are_told_apart() -> None:
    one = Prediction(
        task="t",
        row=3,
        inputs={"truth": "mine", "row": 9, "img": {"path": "a/b.png", "bytes": b"123"}},
        answers={"cap": "a", "box": [1.0, 2.0]},
        truths={"cap": "b", "box": (1, 2)},
        scores={"cap/token_f1": 0.0, "cap/exact_match": 1.0, "box/iou": float("nan")},
        probability=0.5,
    )
    assert one.as_row() == {
        "task": "t",
        "row": 3,
        "truth": "mine",
        "input.row": 9,
        "img": "a/b.png",
        "truth.cap": "b",
        "answer.cap": "a",
        "score.cap": 0.0,
        "score.cap.exact_match": 1.0,
        "truth.box": [1, 2],
        "answer.box": [1.0, 2.0],
        "score.box": None,
        "probability": 0.5,
    }


def test_media_are_paths_and_what_is_no_text_is_json(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 3), "red")
    picture.save(tmp_path / "in.png")
    with Image.open(tmp_path / "in.png") as opened:
        inputs = {"img": opened, "sound": np.zeros(9000, np.float32), "raw": b"abc", "tags": ["ä", "b"], "gone": None}
        predictions = [Prediction(row=12, inputs=inputs, answers={"drawn": [picture, picture]}, probability=1.0)]
        (line,) = read_csv(save_predictions(predictions, tmp_path / "p.csv"))
    assert line["img"] == str(tmp_path / "in.png")
    assert (line["sound"], line["raw"], line["gone"]) == ("array of 9000", "3 bytes", "")
    assert json.loads(line["tags"]) == ["ä", "b"]
    names = json.loads(line["answer"])
    assert names == ["p/00012-drawn-1.png", "p/00012-drawn-2.png"]
    with Image.open(tmp_path / names[0]) as saved:
        assert saved.size == (4, 3)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"saved as \.csv or \.jsonl, not as `\.parquet`"):
        save_predictions([], tmp_path / "p.parquet")


def test_numbers_keep_their_spelling() -> None:
    values = [np.float32(0.1), np.array([0.1, 0.7], np.float32), Decimal("1.50"), np.int64(7), datetime.date(2024, 1, 2)]
    assert plain(values) == [0.1, [0.1, 0.7], "1.50", 7, "2024-01-02"]
