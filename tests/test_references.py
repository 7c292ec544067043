"""What a row says should be answered has the form of answers: a perfect answer is judged as one, whatever form the row has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofa_instruction import default_catalog
from ofa_instruction.plans import walk_slots
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.rotations import turn
from ofa_modalities.motion.skeleton import Skeleton
from ofa_modalities.processor import SampleError
from ofa_models.plans import ModelPlan
from ofa_trainer import Task, Trainer
from ofa_trainer.metrics.media import joint_error, mel_cepstral_distortion, psnr
from ofa_trainer.metrics.metric import Judged
from ofa_trainer.metrics.specs import CepstralOptions, NoOptions
from ofa_trainer.plans import TrainerOptions
from ofa_trainer.preparing import prepare
from PIL import Image

Row = Mapping[str, object]


def both(line: str, rows: Sequence[Row], row: Row | None = None, **task: Any) -> tuple[dict[str, object], dict[str, object]]:
    """By column, what should be answered to a row, and what comes out of its own units."""
    row = rows[0] if row is None else row
    told = Task("task", line, train=list(rows), valid=False, **task)
    options = TrainerOptions(tokenizer_size=300, max_row_tokens=8192)
    encoder = prepare([told], ModelPlan.of_size("nano"), options, default_catalog()).encoder
    rng = np.random.default_rng(0)
    asked = encoder.encode("task", row, split="test", rng=rng, with_targets=False)
    learnt = encoder.encode("task", row, split="test", rng=rng)
    answers = {}
    for slot in walk_slots(encoder.instruction("task").target):
        line_ = encoder.line("task", slot)
        (segment, *_) = (segment for segment in learnt.target if segment.slot == line_)
        units = segment.frames if segment.frames is not None else segment.labels
        assert units is not None
        rule = encoder.rule(line_)
        answers[slot.column] = encoder.decode(line_, units[:-1] if rule is not None and rule.length is None else units, asked)
    return encoder.references(row, asked, split="test"), answers


@pytest.mark.parametrize(
    ("line", "value", "expected", "sets"),
    [
        ("-> [TEXT:x,uncased,no_punctuation]", "Hello, World!", "hello world", {}),
        ("-> [TEXT:x,closed_set,uncased]", "DOG", "Dog", {"x": ("Dog", "cat")}),
        ("-> [CATEGORY:x]", 1, "cat", {"x": ("dog", "cat")}),
        ("-> [CATEGORY:x,uncased]", "CAT", "cat", {"x": ("dog", "cat")}),
        ("-> [PHONE:x]", "hello", "HH AH0 L OW1", {}),
        ("-> [STRUCT:x,as=sql]", "select a from t ;", "select a from t", {}),
        ("-> [STRUCT:x,header=false]", [[1, 2]], "row 1 : 1 | 2", {}),
    ],
)
def test_words_are_those_that_are_answered(line: str, value: object, expected: object, sets: dict[str, tuple[str, ...]]) -> None:
    reference, answer = both(line, [{"x": value}] * 30, closed_sets=sets)
    assert str(answer["x"]) == str(reference["x"]) == expected


def test_a_label_outside_the_set_stays_and_an_index_outside_of_it_is_an_error() -> None:
    rows, sets = [{"x": "dog"}] * 30, {"x": ("dog", "cat")}
    told = Task("task", "-> [CATEGORY:x]", train=rows, valid=False, closed_sets=sets)
    encoder = prepare([told], ModelPlan.of_size("nano"), TrainerOptions(tokenizer_size=300), default_catalog()).encoder
    asked = encoder.encode("task", {}, split="test", rng=np.random.default_rng(0), with_targets=False)
    assert encoder.references({"x": "bird"}, asked, split="test") == {"x": "bird"}
    for row, message in (({"x": 7}, "index 7"), ({"x": None}, "is empty"), ({}, "is empty")):
        with pytest.raises(SampleError, match=message):
            encoder.references(row, asked, split="test")


def test_answers_of_a_repeat_are_lists_and_boxes_must_lie_in_their_picture() -> None:
    row = {"img": Image.new("RGB", (32, 32)), "boxes": np.array([[1, 2, 9, 9], [0, 0, 32, 32]]), "names": ["A", "B"]}
    line = "[IMAGE:img] what is there? -> ([BOX:boxes] [TEXT:names,uncased])*"
    reference, _ = both(line, [row] * 30)
    assert reference == {"boxes": [[1, 2, 9, 9], [0, 0, 32, 32]], "names": ["a", "b"]}
    line = "[IMAGE:img] where? -> [BOX:box]"
    with pytest.raises(SampleError, match="box"):
        both(line, [{"img": row["img"], "box": [1, 2, 9, 9]}] * 30, {"img": row["img"], "box": [1, 2, 99, 99]})


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width)
    return Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("crop", ["true", "false"])
def test_a_picture_is_the_square_that_its_codes_are_made_of(crop: str) -> None:
    row = {"img": picture(80, 40)}
    reference, answer = both(f"-> [IMAGE:img,size=16,codes=16,crop={crop},fit_steps=20]", [row] * 4)
    box = (20, 0, 60, 40) if crop == "true" else None
    wanted = picture(80, 40).resize((16, 16), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    assert psnr([Judged(answer=wanted, reference=reference["img"])], NoOptions()).value > 60
    assert answer["img"].size == reference["img"].size  # type: ignore[attr-defined]


def test_a_clip_is_the_window_that_its_codes_are_made_of() -> None:
    frames = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[:, None, None, None], 16, 1).repeat(16, 2).repeat(3, 3)
    row = {"clip": {"frames": frames, "fps": 8}}
    line = "-> [VIDEO:clip,num_frames=4,fps=8,size=16,codes=8,fit_steps=5]"
    reference, answer = both(line, [row] * 4)
    assert answer["clip"].frames.shape == reference["clip"].frames.shape  # type: ignore[attr-defined]
    assert reference["clip"].frames[:, 0, 0, 0].tolist() == [60, 70, 80, 90]  # type: ignore[attr-defined]


def test_a_sound_has_the_answers_bands() -> None:
    time = np.arange(8000) / 16_000
    row = {"audio": (0.5 * np.sin(2 * np.pi * 440 * time).astype(np.float32), 16_000)}
    reference, answer = both("-> [AUDIO:audio,sample_rate=8000,num_mels=20]", [row] * 4)
    judged = [Judged(answer=answer["audio"], reference=reference["audio"])]
    assert mel_cepstral_distortion(judged, CepstralOptions()).value < 1


def body(names: Sequence[str]) -> Skeleton:
    offsets = np.zeros((len(names), 3))
    offsets[1:, 1] = 0.5
    return Skeleton(names=tuple(names), parents=np.arange(-1, len(names) - 1), offsets=offsets)


def bow(skeleton: Skeleton, up: str = "y") -> Motion:
    turns = np.tile(np.eye(3), (20, len(skeleton.names), 1, 1))
    turns[:, 1] = turn(0, np.linspace(0, 1, 20))
    return Motion(rotations=turns, root_position=np.ones((20, 3)), skeleton=skeleton, fps=20)


@pytest.mark.parametrize("given", [lambda: bow(body("abcd")), lambda: bow(body("abcde"))], ids=["its own", "more joints"])
def test_a_motion_stands_on_the_runs_skeleton(given: Callable[[], Motion]) -> None:
    rows = [{"clip": bow(body("abcd"))}] * 4
    reference, answer = both("-> [MOTION:clip,turn=false]", rows, {"clip": given()})
    assert reference["clip"].skeleton.names == ("a", "b", "c", "d")  # type: ignore[attr-defined]
    judged = [Judged(answer=answer["clip"], reference=reference["clip"])]
    assert joint_error(judged, NoOptions()).value < 1e-3


def test_a_reference_that_cannot_be_read_is_a_bad_row_of_an_evaluation(tmp_path: Path) -> None:
    picture(16, 16).save(tmp_path / "good.png")
    rows = [{"cap": "it", "img": str(tmp_path / "good.png")}, {"cap": "it", "img": str(tmp_path / "gone.png")}]
    line = "draw [TEXT:cap] -> [IMAGE:img,size=16,codes=8,fit_steps=5]"
    trained = Trainer(steps=1, tokenizer_size=300, reporters=[]).fit(
        "nano", [Task("draw", line, train=rows[:1] * 4, test=rows, valid=False)]
    )
    found = trained.evaluate("test").tasks["draw"]
    assert (found.rows, [row.column for row in found.bad]) == (1, ["img"])
    assert found.metrics["img/psnr"].value > 0
