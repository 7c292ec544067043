"""Run files: what they say, and every mistake in them at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ofa_instruction import default_catalog
from ofa_trainer import Task
from ofa_trainer.plans import PATH_OPTIONS, TrainerOptions
from ofa_trainer.run_file import RunFileError, load_run, parse_run, tasks_of_run
from ofa_trainer.task import folder_of

GOOD = """\
model: tiny
tasks:
  caption:
    instruction: "[TEXT:text] ? -> [TEXT:first]"
    train: data/train.csv
    valid: 0.1
    columns: {text: sentence}
    metrics: [exact_match, {rouge_l: {stem: true}}]
  has:
    preset: summary
    train: {source: jsonl, path: more.jsonl}
    valid: false
trainer: {steps: 500, batch_tokens: 8192}
output: runs/caption
"""


def problems(text: str, overrides: tuple[str, ...] = ()) -> str:
    with pytest.raises(RunFileError) as found:
        parse_run(text, "run.yaml", overrides)
    return str(found.value)


def test_a_run_file_becomes_tasks(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.csv").write_text("sentence,first\n" + "a b,a\n" * 40)
    (tmp_path / "more.jsonl").write_text('{"src": "x", "tgt": "y"}\n' * 3)
    (tmp_path / "run.yaml").write_text(GOOD)
    run = load_run(tmp_path / "run.yaml", ["trainer.steps=7", "model.architecture.dropout=0.1"])
    assert run.trainer.steps == 7
    assert run.model.plan().architecture.dropout == 0.1
    caption, has = tasks_of_run(run, tmp_path)
    valid = caption.source("valid")
    assert valid is not None
    assert (len(valid), valid.read(0, 0)["text"]) == (4, "a b")
    assert has.source("valid") is None
    assert "summary of article" in has.instruction


def test_the_tokenizers_folder_lies_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(GOOD.replace("{steps: 500,", "{steps: 500, tokenizer: words,"))
    assert load_run(tmp_path / "run.yaml").trainer.tokenizer == str((tmp_path / "words").resolve())


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("steps: 500", "stepz: 500", "line 13: `trainer.stepz`: there is no such key; did you mean `steps`?"),
        ("model: tiny", "model: {precision: auto}", "line 1: `model.precision`: there is no such key; it is `trainer.precision`"),
        ("steps: 500", "steps: fast", "line 13: `trainer.steps`: input should be a valid integer"),
        ("steps: 500", "schedule: cosin", "did you mean `cosine`?"),
        ("steps: 500", "steps: 0", "line 13: `trainer.steps`: input should be greater than or equal to 1"),
        ("steps: 500", "steps: 5, stop_after: 9", "stop_after (9) lies beyond steps (5)"),
        ("train: data", "trian: data", "line 5: `tasks.caption.trian`: there is no such key; did you mean `train`?"),
        ("train: data", "trian: data", "line 3: `tasks.caption.train`: is missing"),
        ("preset: summary", "weight: 2", "needs an `instruction` or a `preset`"),
        ("valid: false", "valid: false\n    weight: 2", "all have a weight or none has; without one: `caption`"),
        ("output:", "outptu:", "line 14: `outptu`: there is no such key; did you mean `output`?"),
        ("output:", "model: small\noutput:", "line 14: `model`: is given twice"),
        ("tasks:", "tasks: {", "not YAML"),
        (GOOD, "- a", "a run file is a mapping"),
        (GOOD, "tasks: {}", "`tasks`"),
        ("valid: 0.1", "valid: &a {path: x, options: {a: *a}}", "refers to itself"),
    ],
)
def test_mistakes_have_a_place_and_a_hint(before: str, after: str, expected: str) -> None:
    assert before in GOOD
    assert expected in problems(GOOD.replace(before, after))


@pytest.mark.parametrize("given", ["cross_entropy", {"cross_entropy": {"label_smoothing": 0.1}}])
def test_a_lone_criterion_and_a_lone_metric_are_lists_of_one(given: Any) -> None:
    task = Task("copy", "[TEXT:text] -> [TEXT:first]", train=[{}], criteria={"first": given}, metrics="rouge_l")
    catalog = default_catalog()
    (choice,) = task.compile(catalog.backend("generalist").spec).instructions[0].slots[-1].criteria
    assert choice.options["label_smoothing"] == (0.1 if isinstance(given, dict) else 0.0)
    assert task.metrics == ("rouge_l",)
    assert Task("copy", "-> [TEXT:first]", train=[{}], metrics={"rouge_l": {"stem": True}}).metrics == (
        {"rouge_l": {"stem": True}},
    )


def test_criteria_of_a_run_file_are_those_of_a_task() -> None:
    text = GOOD.replace("valid: 0.1", "criteria: {first: [{cross_entropy: {label_smoothing: 0.1}}]}")
    task, _ = tasks_of_run(parse_run(text))
    same = Task("caption", task.instruction, train=[{}], criteria={"first": [{"cross_entropy": {"label_smoothing": 0.1}}]})
    profile = default_catalog().backend("generalist").spec
    assert task.compile(profile) == same.compile(profile)


def test_folders_in_an_instruction_start_at_the_file(tmp_path: Path) -> None:
    text = """
tasks:
  many:
    instruction: "([TEXT:text])* [VIDEO:film,processor=video_code,adaptor=text,model=../vq] -> ([IMAGE:img,model=vq])*"
    train: rows.csv
  contrast:
    instruction: "-> [IMAGE:img,processor=image_code,adaptor=text,model=vq|TEXT:text]"
    train: rows.csv
  sound:
    instruction: "[AUDIO:heard] [IMAGE:img] -> [AUDIO:said,vocoder=/voices/hifi]"
    train: rows.csv
"""
    profile = default_catalog().backend("generalist").spec
    folder = tmp_path / "runs"

    def folders(base: Path | None) -> list[str | None]:
        plans = [task.compile(profile) for task in tasks_of_run(parse_run(text), base)]
        found = [folder_of(slot) for plan in plans for slot in plan.instructions[0].slots]
        return [None if one is None else str(one[1]) for one in found]

    moved = [None, str(tmp_path / "vq"), str(folder / "vq"), str(folder / "vq"), None, None, None, "/voices/hifi"]
    assert folders(folder) == moved
    assert folders(None) == [None, "../vq", "vq", "vq", None, None, None, "/voices/hifi"]


def test_every_option_that_is_a_folder_is_one_of_its_processor() -> None:
    catalog = default_catalog()
    for processor, option in PATH_OPTIONS.items():
        assert option in catalog.processor(processor).spec.options.model_fields


@pytest.mark.parametrize("key", ["precision", "size", "attention"])
def test_an_architecture_holds_nothing_but_its_fields(key: str) -> None:
    run = parse_run(GOOD.replace("model: tiny", f"model: {{architecture: {{{key}: auto}}}}"))
    with pytest.raises(ValueError, match=f"unknown architecture field `{key}`"):
        run.model.plan()


def test_all_mistakes_are_told_at_once() -> None:
    text = GOOD.replace("steps:", "stepz:").replace("output", "outptu").replace("valid: 0.1", "valid: 3")
    found = problems(text).splitlines()
    assert len(found) == 3
    assert all(line.startswith("run.yaml: line ") for line in found)


@pytest.mark.parametrize("override", ["trainer.steps", "=3", "a..b=1", "output.x=1"])
def test_bad_overrides_are_errors(override: str) -> None:
    assert problems(GOOD, (override,))


def test_a_row_fits_into_the_budget_of_a_step() -> None:
    assert TrainerOptions(batch_tokens=64).row_limit == 64


def test_plans_and_run_files_load_without_torch() -> None:
    program = "import sys, ofa_trainer.plans, ofa_trainer.specs, ofa_trainer.run_file, ofa_trainer; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "False"
