"""`ofa check` looks at some rows, and says what `ofa train` would refuse: what it calls ready is."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

HEAVY = {"torch", "transformers", "tokenizers"}


def write(folder, tasks, rows=(), head="model: nano\n", tail="trainer: {steps: 2, batch_tokens: 512}\n"):
    """A run file of tasks (name, instruction, more keys), all on rows.csv."""
    text = "".join(f"  {name}: {{instruction: '{line}', train: rows.csv{more}}}\n" for name, line, more in tasks)
    (folder / "run.yaml").write_text(f"{head}tasks:\n{text}{tail}", encoding="utf-8")
    if rows:
        with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    return str(folder / "run.yaml")


def report(ofa, path, *more):
    answer = ofa("check", path, "--json", *more)
    return answer.code, json.loads(answer.out)


def pictures(folder, count=20):
    for number in range(count):
        Image.new("RGB", (16, 16)).save(folder / f"{number}.png")
    return [["img", "img2", "cap", "label", "box"]] + [
        [f"{number}.png", f"{number}.png", f"number {number}", "ab"[number % 2], "1,2,9,9"] for number in range(count)
    ]


SEES = "[IMAGE:img] -> [TEXT:cap]"
REFUSED = {
    "one adaptor with two sets of options": [("a", SEES, ""), ("b", "[IMAGE:img2,patch=16] -> [TEXT:cap]", "")],
    "one adaptor with two sets of options in one line": [("a", "[IMAGE:img] [IMAGE:img2,patch=16] -> [TEXT:cap]", "")],
    "boxes of two numbers of bins": [("a", "[IMAGE:img] -> [BOX:box]", ""), ("b", "[IMAGE:img] -> [BOX:box,bins=32]", "")],
    "a closed set that no slot uses": [("a", SEES, ", closed_sets: {cap: [x, y]}")],
    "a closed set of one": [("a", "[IMAGE:img] -> [TEXT:label,closed_set]", ", closed_sets: {label: [a]}")],
    "an instruction without an answer": [("a", "[IMAGE:img] [TEXT:cap] ->", "")],
    "a contrast": [("a", "[IMAGE:img|TEXT:cap] ->", "")],
    "boxes in two forms": [("a", "[IMAGE:img] [BOX:box,format=xywh] -> [BOX:box]", "")],
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_training_refuses_is_a_mistake(ofa, tmp_path, what):
    path = write(tmp_path, REFUSED[what], pictures(tmp_path))
    code, found = report(ofa, path)
    assert code == 2
    assert found["mistakes"]
    assert ofa("train", path, "--output", str(tmp_path / "out")).code == 2


@pytest.mark.parametrize(
    ("tail", "key"),
    [
        ("trainer: {tokenizer: nowhere}\n", "trainer.tokenizer"),
        ("trainer: {mixture: round_robin}\n", ""),
    ],
)
def test_options_that_training_refuses_are_mistakes(ofa, tmp_path, tail, key):
    tasks = [("a", SEES, ", weight: 1"), ("b", "[IMAGE:img2] -> [TEXT:cap]", ", weight: 2")]
    code, found = report(ofa, write(tmp_path, tasks, pictures(tmp_path), tail=tail))
    assert (code, [one["key"] for one in found["mistakes"]]) == (2, [key])


def test_what_goes_together_is_ready(ofa, tmp_path):
    tasks = [("a", SEES, ""), ("b", "[IMAGE:img2] where? -> ([BOX:box])*", ""), ("c", "[IMAGE:img] -> [CATEGORY:label]", "")]
    code, found = report(ofa, write(tmp_path, tasks, pictures(tmp_path)))
    assert (code, found["mistakes"], found["warnings"]) == (0, [], [])


def test_missing_files_are_told_with_the_first_row_and_the_nearest_name(ofa, tmp_path):
    rows = pictures(tmp_path, 40)
    rows[7][0] = "5.pgn"
    code, found = report(ofa, write(tmp_path, [("a", SEES, "")], rows))
    assert code == 0
    (told,) = found["warnings"]
    assert "1 of 40 rows looked at name a `img` that cannot be opened, rows.csv:row 7: there is no file `5.pgn`" in told
    assert "did you mean `5.png`?" in told
    for row in rows[8:20]:
        row[0] = f"elsewhere/{row[0]}"
    code, found = report(ofa, write(tmp_path, [("a", SEES, "")], rows))
    assert code == 2
    assert "13 of 40 rows" in found["mistakes"][0]["message"]
    assert report(ofa, write(tmp_path, [("a", SEES, "")], rows), "--set", "trainer.max_bad_share=0.5")[0] == 0


def test_base64_urls_and_empty_cells_are_no_missing_files(ofa, tmp_path):
    import base64

    content = base64.b64encode((pictures(tmp_path) and (tmp_path / "0.png")).read_bytes()).decode()
    values = [content, f"data:image/png;base64,{content}", "https://example.org/a.png", "", "0.png"]
    rows = [["img", "cap"], *([value, f"cap {number}"] for number, value in enumerate(values * 4))]
    code, found = report(ofa, write(tmp_path, [("a", SEES, "")], rows))
    assert code == 0
    assert found["warnings"] == [
        f"{tmp_path / 'run.yaml'}:3: tasks.a.train: `img` is empty in 4 of 20 rows looked at, and read as nothing"
    ]


def test_empty_answers_are_told_and_data_without_any_is_a_mistake(ofa, tmp_path):
    line = "[TEXT:text] -> [TEXT:label]"
    rows = [["text", "label"], *([f"text {number}", "x" if number % 2 else ""] for number in range(10))]
    code, found = report(ofa, write(tmp_path, [("a", line, "")], rows))
    assert code == 0
    assert "`label` is empty in 5 of 10 rows looked at, which are left out" in found["warnings"][0]
    code, found = report(ofa, write(tmp_path, [("a", line, "")], [["text", "label"], ["a", ""], ["b", " "]]))
    assert code == 2
    assert "there is no answer to learn" in found["mistakes"][0]["message"]


def test_one_label_in_all_rows_is_a_mistake(ofa, tmp_path):
    rows = [["text", "label"], *([f"text {number}", "yes"] for number in range(30))]
    code, found = report(ofa, write(tmp_path, [("a", "[TEXT:text] -> [TEXT:label,closed_set]", "")], rows))
    assert code == 2
    assert "nothing to learn, the closed set of `label` holds `yes` alone" in found["mistakes"][0]["message"]


def test_boxes_of_another_form_are_told_without_torch(ofa, modules_after, tmp_path):
    rows = pictures(tmp_path)
    for row in rows[1:]:
        row[4] = "0.1,0.2,0.5,0.6"
    path = write(tmp_path, [("a", "[IMAGE:img] -> [BOX:box]", "")], rows)
    code, found = report(ofa, path)
    assert code == 0
    assert "[BOX:box,unit=share]" in found["warnings"][0]
    assert not HEAVY & modules_after("check", path)


def test_a_folder_that_holds_a_run_is_told(ofa, tmp_path):
    state = tmp_path / "out" / "checkpoints" / "step-000012" / "state.json"
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    path = write(tmp_path, [("a", SEES, "")], pictures(tmp_path), tail="output: out\n")
    code, found = report(ofa, path)
    assert code == 0
    assert "holds a run at step 12: `--resume` goes on with it" in found["warnings"][0]


@pytest.mark.parametrize("word", ["yes", "no", "on", "Off", "null", "~", "1", "2024-01-01"])
def test_labels_without_quotes_get_a_hint_to_quote_them(ofa, tmp_path, word):
    line = "[TEXT:text] -> [TEXT:label,closed_set]"
    path = write(tmp_path, [("a", line, f", closed_sets: {{label: [maybe, {word}]}}")], [["text", "label"], ["a", "maybe"]])
    code, found = report(ofa, path)
    assert code == 2
    hints = {one["key"]: one["hint"] for one in found["mistakes"]}
    assert f"`{word}` without quotes" in hints["tasks.a.closed_sets.label.1"]
    assert f'write "{word}"' in hints["tasks.a.closed_sets.label.1"]


@pytest.mark.parametrize("key", ["yes", "on", "1"])
def test_keys_without_quotes_too(ofa, tmp_path, key):
    path = write(tmp_path, [("a", "[TEXT:text] -> [TEXT:label]", f", columns: {{{key}: text}}")], [["text", "label"], ["a", "b"]])
    code, found = report(ofa, path)
    assert code == 2
    assert f'write "{key}":' in found["mistakes"][0]["message"]
