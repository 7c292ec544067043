"""From a CSV and one line of text to an answer, the way a user goes; and what it says when something is wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

LABEL = "[IMAGE:img] what does the image describe? -> [TEXT:label,closed_set]"
BOX = '[IMAGE:img] where is " [TEXT:label] "? -> [BOX:region]'
QUICK = ("--model", "nano", "--steps", "40", "--set", "trainer.batch_tokens=512", "--set", "trainer.valid_metrics=false")
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures of a coloured square on white, with labels and boxes, in ``my.csv``."""
    folder = tmp_path_factory.mktemp("pictures")
    with (folder / "my.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["img", "label", "region"])
        for number in range(30):
            colour = list(COLOURS)[number % 3]
            left, top = 2 * (number % 5), 3 * (number % 4)
            image = Image.new("RGB", (32, 32), "white")
            image.paste(COLOURS[colour], (left, top, left + 16, top + 16))
            image.save(folder / f"{number}.png")
            writer.writerow([f"{number}.png", colour, f"{left},{top},{left + 16},{top + 16}"])
    return folder


@pytest.fixture(scope="module")
def trained(pictures: Path) -> Path:
    """A run on the colours."""
    from ofa_cli.main import run

    output = pictures / "colours"
    assert run(["train", LABEL, "--data", str(pictures / "my.csv"), "--output", str(output), *QUICK]) == 0
    return output


@pytest.mark.slow
def test_it_learns_the_colours_and_says_the_word(ofa, trained, pictures):
    for number, colour in enumerate(COLOURS):
        answer = ofa("infer", str(trained), LABEL, "--img", str(pictures / f"{number}.png"))
        assert (answer.code, answer.out) == (0, f"{colour}\n")


@pytest.mark.slow
def test_three_spellings_of_a_column_and_the_tasks_name_give_one_answer(ofa, trained, pictures):
    picture = str(pictures / "1.png")
    ways = [[LABEL, "--img", picture], [LABEL, f"--img={picture}"], ["task", "--input", f"img={picture}"]]
    assert {ofa("infer", str(trained), *way).out for way in ways} == {"green\n"}


@pytest.mark.slow
def test_json_holds_all_candidates_with_their_probabilities(ofa, trained, pictures):
    answer = ofa("infer", str(trained), LABEL, "--img", str(pictures / "0.png"), "--json", "--return", "3")
    found = json.loads(answer.out)
    assert found["answer"] == {"label": "red"}
    assert {item["value"] for item in found["candidates"]["label"]} == set(COLOURS)


@pytest.mark.slow
def test_the_likeliest_of_a_closed_set_are_shown_with_their_probabilities(ofa, trained, pictures):
    answer = ofa("infer", str(trained), LABEL, "--img", str(pictures / "0.png"), "--top", "5")
    lines = [line.split("\t") for line in answer.out.splitlines()]
    assert lines[0][1] == "red"
    assert {label for _, label in lines} == set(COLOURS)
    chances = [float(chance) for chance, _ in lines]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(1, abs=0.001)
    rows = ofa("infer", str(trained), LABEL, "--data", str(pictures / "my.csv"), "--top", "1").out.splitlines()
    assert [line.split("\t")[2] for line in rows[:3]] == ["red", "green", "blue"]
    refused = ofa("infer", str(trained), LABEL, "--img", str(pictures / "0.png"), "--top", "2", "--sample")
    assert refused.code == 2
    assert "leave one of them out" in refused.err


@pytest.mark.slow
def test_candidates_from_a_file_narrow_the_answer(ofa, trained, pictures, tmp_path):
    (tmp_path / "two.txt").write_text("green\nblue\n", encoding="utf-8")
    arguments = ("infer", str(trained), LABEL, "--img", str(pictures / "0.png"), "--candidates", str(tmp_path / "two.txt"))
    assert ofa(*arguments).out in ("green\n", "blue\n")


@pytest.mark.slow
def test_a_file_of_rows_is_answered_row_by_row_and_bad_rows_are_told(ofa, trained, pictures):
    rows = pictures / "ask.csv"
    rows.write_text("img\n0.png\nmissing.png\n2.png\n", encoding="utf-8")
    answer = ofa("infer", str(trained), LABEL, "--data", str(rows))
    assert answer.code == 0
    assert answer.out == "ask.csv:row 1\tred\nask.csv:row 3\tblue\n"
    assert "skipped ask.csv:row 2:img" in answer.err


@pytest.mark.slow
def test_a_box_is_answered_and_drawn(ofa, pictures, tmp_path):
    output = tmp_path / "run"
    quick = (*QUICK[:3], "4", *QUICK[4:])
    assert ofa("train", BOX, "--data", str(pictures / "my.csv"), "--output", str(output), *quick).code == 0
    arguments = ("infer", str(output), BOX, "--img", str(pictures / "0.png"), "--label", "red")
    answer = ofa(*arguments, "--save", str(tmp_path / "drawn.png"))
    assert answer.code == 0
    assert len(answer.out.split(",")) == 4
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.size == (32, 32)
    assert ofa(*arguments, "--save", str(tmp_path / "answers")).code == 0
    assert sorted(path.name for path in (tmp_path / "answers").iterdir()) == ["answer.json", "answer.png"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--imge", "0.png"], "no column `imge`; did you mean `img`?"),
        ([], "also reads `img`: add --img"),
        (["--img"], "--img needs a value"),
        (["--img", "nothing.png"], "nothing.png"),
        (["--input", "img"], "write NAME=VALUE"),
        (["photo.png"], "unexpected argument `photo.png`"),
    ],
)
def test_a_wrong_question_is_one_message_and_exit_code_2(ofa, trained, arguments, message):
    answer = ofa("infer", str(trained), LABEL, *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert answer.out == ""


@pytest.mark.slow
def test_a_truncated_picture_and_an_unknown_checkpoint_are_told(ofa, trained, pictures, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes((pictures / "0.png").read_bytes()[:60])
    assert "column `img`" in ofa("infer", str(trained), LABEL, "--img", str(bad)).err
    missing = ofa("infer", str(tmp_path / "nowhere"), LABEL, "--img", str(bad))
    assert missing.code == 2
    assert "is not a folder" in missing.err


@pytest.mark.slow
def test_a_finished_run_is_not_trained_over(ofa, trained, pictures):
    answer = ofa("train", LABEL, "--data", str(pictures / "my.csv"), "--output", str(trained), *QUICK)
    assert answer.code == 2
    assert "--resume" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([LABEL], "--data my.csv"),
        (["nothing.yaml"], "no such run file"),
        ([LABEL, "--data", "nothing.csv"], "nothing.csv"),
        ([LABEL, "--data", "my.csv", "--model", "tinny"], "did you mean `tiny`?"),
        ([LABEL, "--data", "my.csv", "--set", "trainer.stepz=3"], "did you mean `steps`?"),
        (["[IMAGE:picture] what? -> [TEXT:label]", "--data", "my.csv"], "column `picture`"),
    ],
)
def test_what_cannot_be_trained_is_one_message_and_exit_code_2(ofa, pictures, monkeypatch, arguments, message):
    monkeypatch.chdir(pictures)
    answer = ofa("train", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("command", ["train", "explain"])
def test_an_instruction_of_a_run_file_is_told_with_its_line(ofa, run_yaml, command):
    run_yaml.write_text(run_yaml.read_text().replace("[TEXT:text]", "[TXET:text]"), encoding="utf-8")
    answer = ofa(command, str(run_yaml))
    assert answer.code == 2
    assert f"{run_yaml}: line 4: `tasks.mood.instruction`: OFA-I003: unknown modality `TXET`" in answer.err
    assert "^^^^" in answer.err


def test_explain_shows_tokens_labels_and_pictures(ofa, pictures, tmp_path):
    arguments = ("explain", LABEL, "--data", str(pictures / "my.csv"), "-n", "2")
    answer = ofa(*arguments, "--out", str(tmp_path / "seen"))
    assert answer.code == 0
    for part in ("my.csv:row 1", "16 tokens (4 × 4, each 192 floats)", "<begin:TEXT>", "learn"):
        assert part in answer.out
    seen = sorted((tmp_path / "seen").iterdir())
    assert len(seen) == 2
    with Image.open(seen[0]) as rebuilt, Image.open(pictures / "0.png") as original:
        assert rebuilt.size == original.size
        assert max(abs(a - b) for a, b in zip(rebuilt.getpixel((8, 8)), original.getpixel((8, 8)), strict=True)) <= 2
    rows = json.loads(ofa(*arguments, "--json").out)
    label = next(part for part in rows[0]["segments"] if part["column"] == "label")
    assert label["labels"][0] is not None


def test_explain_shows_the_frames_of_a_clip_and_the_picture_to_be_answered(ofa, tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "clip.webp", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    (tmp_path / "my.csv").write_text("clip,img\nclip.webp,clip.webp\n")
    line = "[VIDEO:clip,num_frames=3,tubelet=1] -> [IMAGE:img,size=16,codes=16,width=8,fit_steps=5]"
    answer = ofa("explain", line, "--data", str(tmp_path / "my.csv"), "-n", "1", "--out", str(tmp_path / "seen"))
    assert answer.code == 0, answer.err
    assert "48 tokens (3 × 4 × 4, each 192 floats)" in answer.out
    sizes = {}
    for path in (tmp_path / "seen").iterdir():
        with Image.open(path) as image:
            sizes[path.name.split("-")[2]] = image.size
    assert sizes == {"clip": (96, 32), "img": (16, 16)}


def test_values_are_told_in_words() -> None:
    from ofa_cli.asking import value_text
    from PIL import Image

    told = [value_text(value) for value in ("cat", [1, 2.25], ["a", ["b"]], [], Image.new("RGB", (32, 16)))]
    assert told == ["cat", "1.0,2.2", "a | b", "(none)", "Image(32 x 16 px)"]
