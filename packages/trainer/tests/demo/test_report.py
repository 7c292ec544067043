"""The demo's page: well-formed, complete, and it opens from the disk."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ofa_trainer.demo.report import TABLE_HEADER, draw_answer, render_page, table_rows, write_report
from ofa_trainer.demo.results import Answer, CurvePoint, DemoResult, Figure, TaskFigures
from PIL import Image

VOID = {"meta", "img", "br", "rect", "circle", "line", "path"}


class Page(HTMLParser):
    """Checks that tags nest and collects what is referred to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[str] = []
        self.anchors: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        values = dict(attrs)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "img":
            self.pictures.append(values["src"])
            assert values["alt"]
        if tag == "a":
            self.anchors.append(values["href"])
        assert "http" not in str(values.get("src", "")) + str(values.get("href", ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        assert tag in VOID

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text.append(data)


def figures(task: str, title: str, instruction: str, **changes: object) -> TaskFigures:
    plain = {"split": "test", "metric": "accuracy", "num_rows": 250, "value": 0.5, "low": 0.4, "high": 0.6}
    return TaskFigures(
        task=task, title=title, instruction=instruction, baseline_name="majority", baseline=0.2, **(plain | changes)
    )


@pytest.fixture
def result() -> DemoResult:
    return DemoResult(
        model="tiny",
        num_parameters=1_430_000,
        steps=700,
        training_s=300.4,
        evaluation_s=12.0,
        tokens_per_s=28_000,
        seed=1,
        tasks=(
            figures(
                "ground", "Grounding", "[IMAGE:img] where is [TEXT:cap]? -> [BOX:box]", more=(Figure(name="iou", value=0.6),)
            ),
            figures("infill", "Infilling", "[TEXT:s,mask_ratio=0.3] -> [TEXT:s]", low=0.1, value=0.3),
        ),
        answers={
            "ground": (
                Answer(
                    address="x:row 0",
                    picture="pictures/ground-0.png",
                    picture_px=(64, 64),
                    question="a <b>bold</b> & cat",
                    answer="(8, 8, 24, 24)",
                    truth="(8, 9, 26, 26)",
                    right=True,
                    note="IoU 0.71",
                    box=(8, 8, 24, 24),
                    true_box=(8, 9, 26, 26),
                ),
            ),
            "infill": (
                Answer(
                    address="x:row 1", question="a <mask> for <mask>", answer="a tool for python", truth="a module for python"
                ),
            ),
        },
        curves={"ground": (CurvePoint(step=1, loss=3.0), CurvePoint(step=700, loss=0.5))},
    )


def test_the_folder_holds_a_page_that_parses_and_every_picture(result: DemoResult, tmp_path: Path) -> None:
    pictures = {"pictures/ground-0.png": Image.new("RGB", (64, 64), "white")}
    path = write_report(result, pictures, tmp_path / "demo")
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert not page.open
    assert page.pictures == ["pictures/ground-0.png"]
    for picture in page.pictures:
        with Image.open(path.parent / picture) as opened:
            assert opened.size == (256, 256)
    assert {anchor.removeprefix("#") for anchor in page.anchors} <= set(page.ids)
    assert "a <b>bold</b> & cat" in page.text
    assert DemoResult.model_validate_json((path.parent / "results.json").read_text()) == result


def test_words_that_were_masked_are_marked_in_answer_and_truth(result: DemoResult) -> None:
    html = render_page(result)
    assert "a <mark>tool</mark> for <mark>python</mark>" in html
    assert "a <mark>module</mark> for <mark>python</mark>" in html


def test_the_predicted_box_is_drawn_where_it_was_answered(result: DemoResult) -> None:
    answer = result.answers["ground"][0]
    drawn = draw_answer(Image.new("RGB", (64, 64), "white"), answer)
    assert drawn.getpixel((64, 32)) == (255, 122, 26)
    assert drawn.getpixel((32, 70)) == (255, 122, 26)
    assert drawn.getpixel((200, 200)) == (255, 255, 255)


def test_the_table_has_a_cell_for_every_column(result: DemoResult) -> None:
    rows = table_rows(result)
    assert all(len(row) == len(TABLE_HEADER) for row in rows)
    assert [row[5] for row in rows] == ["yes", "no"]


def test_learnt_asks_for_the_whole_interval_and_enough_rows() -> None:
    assert figures("a", "A", "x").learnt
    assert not figures("a", "A", "x", low=0.2).learnt
    assert not figures("a", "A", "x", num_rows=199).learnt


def test_results_are_json_with_nothing_but_numbers_and_words(result: DemoResult) -> None:
    data = json.loads(result.model_dump_json())
    assert data["tasks"][0]["more"] == [{"name": "iou", "value": 0.6, "baseline": None}]


def test_an_answer_without_an_end_is_cut_on_the_page(result: DemoResult) -> None:
    endless = Answer(address="x:row 2", answer="no " * 300, truth="yes", right=False)
    html = render_page(result.model_copy(update={"answers": {"ground": (endless,)}}))
    assert html.count("no no") < 100
    assert "no …" in html


def test_a_task_that_was_judged_on_few_rows_shows_no_interval(result: DemoResult, tmp_path: Path) -> None:
    few = figures("few", "Few", "[TEXT:s] -> [TEXT:t]", num_rows=3, value=1.0, low=1.0, high=1.0)
    shown = result.model_copy(update={"tasks": (few,), "answers": {}, "curves": {}})
    html = write_report(shown, {}, tmp_path / "demo").read_text(encoding="utf-8")
    assert "(3 rows: too few for an interval)" in html
    assert "class=band" not in html
    assert table_rows(shown)[0][3] == "1.000 (3 rows: too few for an interval)"
