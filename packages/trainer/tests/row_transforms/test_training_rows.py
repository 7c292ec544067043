"""Row transforms in a run: drawn from the row's address, in training only, and written in run files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofa_models.checkpoint import CheckpointError
from ofa_trainer import Crop, Mirror, RunFileError, Task, Trainer
from ofa_trainer.plans import TaskFilePlan
from ofa_trainer.run_file import parse_run, tasks_of_run
from ofa_trainer.trainer import row_stream, validation_batches
from PIL import Image

INSTRUCTION = "[IMAGE:img] [TEXT:asked] where? -> [BOX:box]"


def rows(count: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    made: list[dict[str, object]] = []
    for _ in range(count):
        left, top = rng.integers(0, 20, 2).tolist()
        image = Image.new("RGB", (40, 32), "white")
        image.paste((200, 0, 0), (left, top, left + 12, top + 10))
        made.append({"img": image, "box": [left, top, left + 12, top + 10], "asked": "left or right ?"})
    return made


def trainer(**options: Any) -> Trainer:
    return Trainer(**({"steps": 2, "batch_tokens": 256, "tokenizer_size": 300, "valid_metrics": False} | options))


def task(*transforms: Any, **options: Any) -> Task:
    return Task("where", INSTRUCTION, train=rows(30), transforms=transforms, **options)


BOTH = (Crop(min_side=0.5), Mirror(swap={"left": "right"}))


def stream(workers: int, count: int = 4) -> list[bytes]:
    with_workers = trainer(workers=workers)
    prepared = with_workers.prepare("nano", [task(*BOTH)])
    found = row_stream(prepared, with_workers.options)
    steps = found.steps(found.start())
    try:
        return [
            b"".join(np.ascontiguousarray(segment.units).tobytes() for segment in (*example.source, *example.target))
            for step in islice(steps, count)
            for example in step.examples
        ]
    finally:
        steps.close()


@pytest.mark.parametrize(
    ("given", "plans"),
    [
        (["crop"], (Crop(),)),
        ("crop", (Crop(),)),
        ([{"mirror": {"swap": {"left": "right"}}}], (Mirror(swap={"left": "right"}),)),
        ({"mirror": {"sides": "none"}}, (Mirror(sides="none"),)),
        ([Crop(min_side=0.5), "crop"], (Crop(min_side=0.5), Crop())),
        (Crop(), (Crop(),)),
    ],
)
def test_a_task_takes_plans_and_what_a_run_file_says(given: Any, plans: tuple[Crop | Mirror, ...]) -> None:
    assert Task("where", INSTRUCTION, train=rows(1), transforms=given).transforms == plans


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["mirror"], r"`transforms\.0\.mirror`: a mirrored picture exchanges left and right"),
        (["crop", "miror"], r"`transforms\.1`: there is no transform `miror`; did you mean `mirror`\?"),
        ([3], r"`transforms\.0`: a transform is a name or \{name: options\}, not 3"),
        ([{"crop": {"min_side": 3}}], r"`transforms\.0\.crop\.min_side`: Input should be less than or equal to 1"),
        ([{"crop": {}, "mirror": {}}], r"`transforms\.0`: one transform with its options, not 2"),
    ],
)
def test_a_wrong_transform_of_a_task_is_told_with_its_place(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"task `where`: {message}"):
        Task("where", INSTRUCTION, train=rows(1), transforms=given)


def test_workers_change_nothing() -> None:
    alone = stream(0)
    assert stream(2) == alone
    assert len(set(alone)) > 8


def test_training_rows_change_and_validation_rows_do_not() -> None:
    plain, changed = (trainer().prepare("nano", [task(*transforms)]) for transforms in ((), BOTH))
    one, other = (validation_batches(prepared, trainer().options) for prepared in (plain, changed))
    assert np.array_equal(one[0].source.streams[0].units, other[0].source.streams[0].units)
    streams = [row_stream(prepared, trainer().options) for prepared in (plain, changed)]
    first, second = (next(found.steps(found.start())).examples for found in streams)
    assert not np.array_equal(first[0].source[0].units, second[0].source[0].units)


def test_a_function_of_the_task_comes_first() -> None:
    seen: list[object] = []

    def note(row: Any, rng: np.random.Generator) -> Any:
        seen.append(row["img"].size)
        return row | {"asked": "the left one"}

    prepared = trainer().prepare("nano", [task(Mirror(swap={"left": "right"}, probability=1), transform=note)])
    found = row_stream(prepared, trainer().options)
    example = next(found.steps(found.start())).examples[0]
    assert seen[0] == (40, 32)
    ids = example.source[1].units[1:].tolist()
    assert prepared.vocabulary.tokenizer.decode(ids) == "the right one"


def test_another_transform_is_another_run(tmp_path: Path) -> None:
    once = trainer(stop_after=1)
    once.fit("nano", [task(Crop(min_side=0.6))], output=tmp_path / "run")
    with pytest.raises(CheckpointError, match="task where: its transforms"):
        once.fit("nano", [task(Crop(min_side=0.7))], output=tmp_path / "run", resume=True)
    once.fit("nano", [task(Crop(min_side=0.6))], output=tmp_path / "run", resume=True)


def test_one_that_does_not_fit_is_told_before_training() -> None:
    with pytest.raises(ValueError, match="`crop` names `photo`"):
        trainer().prepare("nano", [task(Crop(image="photo"))])


RUN = """
tasks:
  where:
    instruction: "{instruction}"
    train: my.csv
    transforms:
      - crop
      - mirror: {mirror}
      - crop: {crop}
"""


def run_file(mirror: str = "{swap: {left: right}}", crop: str = "{keep: share}") -> str:
    return RUN.replace("{instruction}", INSTRUCTION).replace("{mirror}", mirror).replace("{crop}", crop)


def test_run_files_name_transforms() -> None:
    run = parse_run(run_file())
    wanted = (Crop(), Mirror(swap={"left": "right"}), Crop(keep="share"))
    assert run.tasks["where"].transforms == wanted
    assert tasks_of_run(run)[0].transforms == wanted
    assert TaskFilePlan.model_validate_json(run.tasks["where"].model_dump_json()).transforms == wanted


PLACE = "`tasks.where.transforms."
MISTAKES = [
    (run_file(mirror="{}"), 8, PLACE + "1.mirror`: a mirrored picture exchanges left and right"),
    (run_file(crop="{min_sid: 0.5}"), 9, PLACE + "2.crop.min_sid`: there is no such key; did you mean `min_side`?"),
    (run_file(crop="{min_side: 2}"), 9, PLACE + "2.crop.min_side`: input should be less than or equal to 1"),
    (run_file().replace("- crop\n", "- corp\n"), 7, PLACE + "0`: there is no transform `corp`; did you mean `crop`?"),
    (run_file().replace("- crop\n", "- {crop: {}, flip: {}}\n"), 7, PLACE + "0`: one transform with its options, not 2"),
]


@pytest.mark.parametrize(("text", "line", "message"), MISTAKES, ids=[message for _, _, message in MISTAKES])
def test_mistakes_are_told_with_their_line(text: str, line: int, message: str) -> None:
    with pytest.raises(RunFileError) as caught:
        parse_run(text)
    assert f"line {line}: " in str(caught.value)
    assert message in str(caught.value)
