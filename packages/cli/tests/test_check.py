"""``ofa check`` and the reading of run files."""

from __future__ import annotations

import json

import pytest

WRONG = """\
model: tinny
tasks:
  caption:
    instruction: "[IMGAE:img] what does the image describe? -> [TEXT:cap]"
    train: missing.csv
    wieght: 1.0
    metrics: [exact_macth]
  mood:
    instruction: "[TEXT:text] -> [TEXT:label]"
    train: my.csv
    columns: {label: lable}
    closed_sets: {labels: [a, b]}
trainer: {steps: -500, batch_token: 8192}
"""


def test_a_sound_run_file_is_ready(ofa, run_yaml):
    answer = ofa("check", str(run_yaml))
    assert answer.code == 0
    assert "2 train rows" in answer.out
    assert f"ofa train {run_yaml}" in answer.out


def test_every_mistake_is_found_at_once_with_its_line(ofa, run_yaml):
    run_yaml.write_text(WRONG, encoding="utf-8")
    answer = ofa("check", str(run_yaml), "--json")
    assert answer.code == 2
    found = {
        item["key"]: (item["place"].rpartition(":")[2], f"{item['message']}; {item['hint']}")
        for item in json.loads(answer.out)["mistakes"]
    }
    expected = {
        "model": ("1", "did you mean `tiny`?"),
        "tasks.caption.instruction": ("4", "did you mean `IMAGE`?"),
        "tasks.caption.train": ("5", "missing.csv"),
        "tasks.caption.wieght": ("6", "did you mean `weight`?"),
        "tasks.caption.metrics.0": ("7", "did you mean `exact_match`?"),
        "tasks.mood.train": ("10", "did you mean `label`?"),
        "tasks.mood.closed_sets.labels": ("12", "did you mean `label`?"),
        "trainer.steps": ("13", "greater than or equal to 1"),
        "trainer.batch_token": ("13", "did you mean `batch_tokens`?"),
    }
    assert set(found) == set(expected)
    for key, (line, message) in expected.items():
        assert found[key][0] == line, key
        assert message in found[key][1], key


def test_a_setting_lies_over_the_file_and_is_named_in_errors(ofa, run_yaml):
    assert ofa("check", str(run_yaml), "--set", "trainer.steps=7", "--set", "model.size=tiny").code == 0
    answer = ofa("check", str(run_yaml), "--set", "trainer.stepz=7")
    assert answer.code == 2
    assert "trainer.stepz: there is no such key; did you mean `steps`?" in answer.out


def test_a_missing_column_names_the_nearest(ofa, run_yaml):
    run_yaml.with_name("my.csv").write_text("txt,label\ngood,yes\n", encoding="utf-8")
    answer = ofa("check", str(run_yaml))
    assert answer.code == 2
    assert "no column `text`; did you mean `txt`?" in answer.out


def test_a_file_that_is_not_there(ofa, tmp_path):
    answer = ofa("check", str(tmp_path / "nothing.yaml"))
    assert answer.code == 2
    assert "nothing.yaml: no such run file" in answer.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", "not YAML"),
        ("- a\n- b\n", "a run file is a mapping"),
        ("model: nano\nmodel: tiny\n", "is given twice"),
        ("a: !!python/object:os.system {}\n", "not YAML"),
        ("", "a run file is a mapping"),
    ],
)
def test_yaml_that_cannot_be_read_says_so(ofa, tmp_path, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    answer = ofa("check", str(path))
    assert answer.code == 2
    assert message in answer.out + answer.err


@pytest.mark.parametrize("setting", ["a", "=1", "a..b=1", "model.size.x=1"])
def test_a_setting_that_cannot_be_laid_over(ofa, run_yaml, setting):
    answer = ofa("check", str(run_yaml), "--set", setting)
    assert answer.code == 2


FOLDERS = """\
model: nano
tasks:
  draw:
    instruction:
      - "draw [TEXT:text] -> [IMAGE:label,model=vq]"
      - "paint [TEXT:text] -> [IMAGE:label,model=vq]"
    train: my.csv
  speak:
    instruction: "[TEXT:text] -> [AUDIO:label,vocoder=hifi]"
    train: my.csv
"""


def test_a_folder_that_a_slot_names_is_beside_the_run_file(ofa, run_yaml):
    run_yaml.write_text(FOLDERS, encoding="utf-8")
    for label in ("yes", "no"):
        run_yaml.with_name(label).touch()
    answer = ofa("check", str(run_yaml), "--json")
    assert answer.code == 2
    found = [(item["place"].rpartition(":")[2], item["key"], item["message"]) for item in json.loads(answer.out)["mistakes"]]
    folder = run_yaml.parent.resolve()
    assert found == [
        ("5", "tasks.draw.instruction.0", f"`model` of [IMAGE:label]: there is no folder `{folder / 'vq'}`"),
        ("6", "tasks.draw.instruction.1", f"`model` of [IMAGE:label]: there is no folder `{folder / 'vq'}`"),
        ("9", "tasks.speak.instruction", f"`vocoder` of [AUDIO:label]: there is no folder `{folder / 'hifi'}`"),
    ]
    for name in ("vq", "hifi"):
        run_yaml.with_name(name).mkdir()
    assert ofa("check", str(run_yaml)).code == 0


def test_answers_with_more_words_than_tokens_are_told(tmp_path, ofa):
    long = " ".join(["word"] * 9)
    (tmp_path / "my.csv").write_text(f"q,a\n{long},{long}\nx,y\n", encoding="utf-8")
    (tmp_path / "run.yaml").write_text(
        'tasks:\n  t:\n    instruction: "[TEXT:q,max_length=8] -> [TEXT:a,max_length=8]"\n    train: my.csv\n', encoding="utf-8"
    )
    found = json.loads(ofa("check", str(tmp_path / "run.yaml"), "--json").out)
    assert found["ok"]
    read, learnt = found["warnings"]
    assert "run.yaml:3: [TEXT:q]: 1 of 2 rows looked at" in read
    assert "learnt cut, and without their end" in learnt


def test_explain_tells_what_is_cut(tmp_path, ofa):
    rows = [{"q": "x", "a": " ".join(["word"] * 30)}] * 4
    (tmp_path / "my.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = ofa("explain", "[TEXT:q] -> [TEXT:a,max_length=8]", "--data", str(tmp_path / "my.jsonl"), "-n", "1", "--json")
    (row,) = json.loads(done.out)
    assert row["cut"][0].startswith("[TEXT:a] is cut: 8 of ")
    assert row["segments"][-1]["labels"][-1] is None
    assert "`task/a`: 4 of 4 rows looked at are longer than the limit" in done.err


def test_options_without_an_effect_are_told_with_their_line(ofa, run_yaml):
    text = run_yaml.read_text(encoding="utf-8").replace(
        "trainer: {steps: 4}",
        "trainer: {steps: 4, temperature: 2.0, schedule: constant, decay_share: 0.2}\ngeneration: {num_beams: 8}",
    )
    run_yaml.write_text(text, encoding="utf-8")
    answer = ofa("check", str(run_yaml), "--json")
    found = json.loads(answer.out)
    assert found["ok"]
    assert [warning.partition(": ")[2].partition(" has no effect")[0] for warning in found["warnings"]] == [
        "`trainer.temperature: 2.0`",
        "`trainer.decay_share: 0.2`",
        "`generation.num_beams: 8`",
    ]
    assert "run.yaml:7: " in found["warnings"][0]
    assert "run.yaml:8: " in found["warnings"][2]


def test_a_closed_set_of_a_column_that_has_none_is_a_mistake(ofa, run_yaml):
    text = run_yaml.read_text(encoding="utf-8").replace("    metrics: [accuracy]", "    closed_sets: {text: [a, b]}")
    run_yaml.write_text(text, encoding="utf-8")
    (mistake,) = json.loads(ofa("check", str(run_yaml), "--json").out)["mistakes"]
    assert mistake["message"] == "`text` is a column without a closed set; write `closed_set` into its slot"
