"""What some rows would be misread as is told before a run, in every split, in repeats and lists, and moves with its picture."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofa_instruction import default_catalog
from ofa_modalities.box.forms import Box, BoxForm
from ofa_modalities.box.reading import read_box
from ofa_trainer import Task, Trainer
from ofa_trainer.looking import look_at_boxes
from ofa_trainer.row_transforms.applying import row_changes
from ofa_trainer.sources.opening import open_source
from PIL import Image

CATALOG = default_catalog()
WHERE = "[IMAGE:img] where? -> [BOX:box]"
PIXELS: list[Box] = [(10, 20, 50, 45), (70, 10, 99, 24), (5, 30, 25, 49)]


def plan_of(line: str) -> Any:
    return Task("t", line, train=[]).compile(CATALOG.backend("generalist").spec, CATALOG)


def rows_of(form: BoxForm, boxes: list[Box] = PIXELS) -> list[dict[str, object]]:
    picture = Image.new("RGB", (100, 50))
    return [{"img": picture, "q": "it", "box": form.of_pixels(box, picture.size)} for box in boxes * 8]


@pytest.mark.parametrize("line", [WHERE, "[IMAGE:img] [BOX:box] what? -> [TEXT:q]", "[IMAGE:img] where? -> ([BOX:box])*"])
@pytest.mark.parametrize("form", [BoxForm(unit="share"), BoxForm(format="xywh"), BoxForm(format="cxcywh", unit="share")])
def test_another_form_is_told_at_the_start_of_a_run_and_read_with_its_options(
    line: str, form: BoxForm, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rows_of(form)
    if "*" in line:
        rows = [{**row, "box": [row["box"], row["box"]]} for row in rows]
    Trainer(tokenizer_size=300).prepare("nano", [Task("t", line, train=rows, valid=False)])
    assert re.search(r"task `t`, train rows: .*boxes of `box` do not look like .*\[BOX:box,", caplog.text)
    caplog.clear()
    options = f"format={form.format},unit={form.unit}"
    good = Task("t", line.replace("[BOX:box]", f"[BOX:box,{options}]"), train=rows, valid=False)
    Trainer(tokenizer_size=300).prepare("nano", [good])
    assert "boxes" not in caplog.text


def test_validation_rows_of_another_form_are_told_too(caplog: pytest.LogCaptureFixture) -> None:
    task = Task("t", WHERE, train=rows_of(BoxForm()), valid=rows_of(BoxForm(unit="share")))
    Trainer(tokenizer_size=300).prepare("nano", [task])
    assert "valid rows: 24 of 24 boxes" in caplog.text


def test_boxes_of_a_file_are_looked_at_with_the_sizes_of_their_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (100, 50)).save(tmp_path / "a.png")
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["img", "box"], *(["a.png", "10,20,50,45"] for _ in range(5)), ["a.png", "20,10,45,70"]])
    (told,) = look_at_boxes(plan_of(WHERE), open_source(tmp_path / "a.csv"))
    assert "1 of 6 boxes of `box`" in told
    assert "a.csv:row 6: (20, 10, 45, 70) in a picture of 100 × 50 pixels" in told


def test_pictures_of_a_repeat_have_boxes_of_their_own() -> None:
    small, large = Image.new("RGB", (20, 20)), Image.new("RGB", (200, 200))
    row = {"imgs": [small, large], "boxes": [[1, 2, 15, 16], [100, 100, 190, 190]], "cap": "x"}
    plan = plan_of("([IMAGE:imgs] [BOX:boxes])* -> [TEXT:cap]")
    assert look_at_boxes(plan, open_source([row])) == []
    (told,) = look_at_boxes(plan, open_source([{**row, "imgs": [large, small]}]))
    assert "1 of 2 boxes" in told


def test_one_column_is_read_in_one_form() -> None:
    with pytest.raises(ValueError, match=r"boxes of `box` are read as .* in one slot, and as"):
        look_at_boxes(plan_of("[IMAGE:img] [BOX:box,format=xywh] -> [BOX:box]"), open_source([]))


@pytest.mark.parametrize(
    "form", [BoxForm(unit="share"), BoxForm(format="cxcywh", unit="percent"), BoxForm(format="yxyx")], ids=str
)
@pytest.mark.parametrize("transform", ["crop", {"mirror": {"sides": "none"}}])
def test_boxes_of_any_form_move_with_their_picture(form: BoxForm, transform: Any) -> None:
    picture = Image.new("RGB", (100, 50))
    picture.paste((255, 0, 0), (70, 10, 90, 24))
    rows = [{"img": picture, "q": "it", "box": form.of_pixels((70, 10, 90, 24), picture.size)}]
    line = f"[IMAGE:img] [TEXT:q] -> [BOX:box,format={form.format},unit={form.unit}]"
    task = Task("t", line, train=rows, transforms=[transform])
    change = row_changes(task, plan_of(line))
    assert change is not None
    for seed in range(5):
        changed = change(rows[0], np.random.default_rng(seed))
        image = changed["img"]
        assert isinstance(image, Image.Image)
        left, top, right, bottom = (round(edge) for edge in read_box(changed["box"], "box", image.size, form))
        red = np.argwhere(np.asarray(image)[:, :, 0] > 0)
        assert (left, top, right, bottom) == (red[:, 1].min(), red[:, 0].min(), red[:, 1].max() + 1, red[:, 0].max() + 1)
