"""A third party's modality, repeats, open text and no source at all: one model learns them together, is saved, and answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ofa_trainer import Task, Trainer

CONTRAST = "[TEXT:x|SERIES:b] ->"
ENCODER_ONLY = "[TEXT:x] [SERIES:b] ->"


def test_every_loss_falls(remembered):
    first, last = remembered.steps[0], remembered.steps[-1]
    assert set(last.losses) == set(remembered.instructions)
    for task, loss in last.losses.items():
        assert loss < 0.35 * first.losses[task], task


def test_text_and_series_are_answered_together(remembered):
    session = remembered.session()
    for row in remembered.rows["speak"]:
        output = session(remembered.instructions["speak"], x=row["x"])
        assert list(output) == ["a", "b"]
        assert output.text == row["a"]
        assert_series(output["b"], row["b"])


def test_a_series_answers_a_series(remembered):
    session = remembered.session()
    for row in remembered.rows["mirror"]:
        output = session(remembered.instructions["mirror"], x=row["x"])
        assert_series(output["y"], row["y"])
        assert output.slots[0].finished


def assert_series(found, expected):
    """As long as what was learnt, so the stop was learnt as well, and near it."""
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    assert found.shape == (len(expected), 1)
    assert np.abs(found[:, 0] - expected).max() < 0.1


def test_a_repeat_answers_as_many_objects_as_there_are(remembered):
    session = remembered.session()
    for row in remembered.rows["detect"]:
        output = session(remembered.instructions["detect"], img=row["img"])
        assert output["label"] == row["label"]
        assert len(output["box"]) == len(row["box"])
        for found, expected in zip(output["box"], row["box"], strict=True):
            assert np.abs(np.subtract(found, expected)).max() < 2


def test_open_text_is_told_from_a_topic_and_from_nothing(remembered):
    session = remembered.session()
    for row in remembered.rows["tell"]:
        assert session(remembered.instructions["tell"], topic=row["topic"]).text == row["story"]
    assert session(remembered.instructions["recite"]).text == remembered.rows["recite"][0]["poem"]


def test_a_batch_is_answered_as_its_rows_alone(remembered):
    session = remembered.session()
    for task, text in remembered.instructions.items():
        rows = remembered.questions(task)
        for row, output in zip(rows, session.batch(text, rows), strict=True):
            (alone,) = session.batch(text, [row])
            assert alone.log_probability == pytest.approx(output.log_probability, rel=1e-4, abs=1e-5)
            for column, value in output.items():
                if isinstance(value, np.ndarray):
                    np.testing.assert_allclose(alone[column], value, atol=1e-5)
                else:
                    assert alone[column] == value


def test_the_checkpoint_needs_its_plugin_and_says_so(remembered, ofa):
    done = ofa("infer", remembered.checkpoint, "speak", "--x", "up")
    assert done.code == 2
    assert "series" in done.err.lower()
    assert "ofa-series" in done.err
    assert "Traceback" not in done.err


def test_the_command_line_trains_and_asks_a_series(ofa, third_party, tmp_path):
    rows = [{"x": "up", "a": "it rises", "b": [0, 0.5, 1]}, {"x": "down", "a": "it falls", "b": [1, 0]}]
    (tmp_path / "my.jsonl").write_text("\n".join(map(json.dumps, rows * 10)), encoding="utf-8")
    text = "[TEXT:x] -> [TEXT:a] [SERIES:b]"
    assert ofa("plan", text).code == 2
    assert ofa("plan", text, path=third_party).code == 0
    trained = ofa("train", text, "--data", "my.jsonl", "--model", "nano", "--steps", 3, "--output", "run", path=third_party)
    assert trained.code == 0, trained.err
    done = ofa("infer", "run", text, "--x", "up", "--max-length", 4, "--json", path=third_party)
    assert done.code == 0, done.err
    answer = json.loads(done.out)["answer"]
    assert isinstance(answer["a"], str)
    assert all(len(frame) == 1 for frame in answer["b"])
    assert 1 <= len(answer["b"]) <= 4


@pytest.mark.parametrize(("instruction", "told"), [(CONTRAST, "contrast"), (ENCODER_ONLY, "nothing to learn")])
def test_contrast_and_encoder_only_compile_and_training_one_is_a_clear_error(
    catalog, remembered, ofa, third_party, tmp_path, instruction, told
):
    assert ofa("plan", instruction, path=third_party).code == 0
    task = Task("t", instruction, train=remembered.rows["speak"], valid=False)
    with pytest.raises(ValueError, match=f"(?s)task `t`.*{told}.*not supported yet"):
        Trainer(steps=1, catalog=catalog).fit("nano", [task])
    with pytest.raises(ValueError, match=r"asks for no answer|a contrast can be compiled, but not encoded yet"):
        remembered.session()(instruction, x="up", b=[0.0])
    (tmp_path / "my.jsonl").write_text('{"x": "up", "b": [0, 1]}\n' * 20, encoding="utf-8")
    done = ofa("train", instruction, "--data", "my.jsonl", "--model", "nano", "--steps", 1, path=third_party)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert "Traceback" not in done.err
