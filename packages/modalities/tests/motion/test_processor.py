"""MOTION slots: options, what an answer shares with its source, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ofa_instruction import Catalog, InstructionError, TaskPlan, compile
from ofa_instruction.specs import AdaptorSpec, BackendSpec, CriterionSpec
from ofa_modalities import SampleError, TaskEncoder, Vocabulary, fit_assets, fit_vocabulary, train_tokenizer
from ofa_modalities import specs as own
from ofa_modalities.motion.encoding import put_on
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.processor import MotionItem, known_frames
from ofa_modalities.motion.rotations import headings
from ofa_modalities.motion.skeleton import Skeleton
from ofa_modalities.segment import Example
from ofa_modalities.testing import Sample, check_modality

from .test_encoding import apart

GENERALIST = BackendSpec(name="generalist")
CATALOG = Catalog.from_specs(
    own.TEXT,
    own.TEXT_PROCESSOR,
    own.MOTION,
    own.MOTION_PROCESSOR,
    *(
        AdaptorSpec(name=name, units=units)
        for name, units in [("text", "ids"), ("motion", "floats"), ("motion_diffusion", "floats")]
    ),
    CriterionSpec(name="diffusion"),
    CriterionSpec(name="cross_entropy"),
    GENERALIST,
)

Make = Callable[..., "Run"]


class Run:
    """An encoder of one instruction, fitted to some motions."""

    def __init__(self, line: str, values: Sequence[object]) -> None:
        self.task: TaskPlan = compile(line, CATALOG, GENERALIST)
        tokenizer = train_tokenizer(["some words"], 300)
        vocabulary = Vocabulary(fit_vocabulary([self.task], CATALOG, None, tokenizer), tokenizer)
        assets = fit_assets([self.task], CATALOG, lambda task, column: [(value, None) for value in values])
        self.encoder = TaskEncoder([self.task], CATALOG, vocabulary, assets=assets)

    def encode(self, row: dict[str, object], seed: int = 0, split: Any = "valid", **more: Any) -> Example:
        return self.encoder.encode("task", row, split=split, rng=np.random.default_rng(seed), **more)

    def answer(self, example: Example) -> Motion:
        (segment,) = (segment for segment in example.target if segment.frames is not None)
        value = self.encoder.decode(segment.slot, segment.units, example)
        assert isinstance(value, Motion)
        return value


def test_it_holds_what_every_modality_must_hold(jump: Motion, climb: Motion) -> None:
    report = check_modality(
        own.MOTION,
        [Sample(jump), Sample(climb)],
        attributes="fps=30",
        broken=[b"", "nothing", {"rotations": 1}, 7],
        distance=apart,
        tolerance=1e-4,
        catalog=CATALOG,
    )
    assert report.num_decoded == 2


def test_all_columns_of_one_rate_share_an_asset() -> None:
    line = "[MOTION:a] [MOTION:b,fps=30] [MOTION:c,sample_rate=20] -> [TEXT:t]"
    slots = compile(line, CATALOG, GENERALIST).instructions[0].slots[:3]
    names = [own.MOTION_PROCESSOR.load().asset(slot, CATALOG.validate(slot.processor, "ofa.processors")) for slot in slots]
    assert names == ["motion_20fps", "motion_30fps", "motion_20fps"]


def test_names_of_ofasys_are_read(walk: Motion) -> None:
    attributes = "preprocess=motion_6d,min_length=4,max_length=100,soft_trim=0.1,window=20"
    run = Run(f"motion capture: [TEXT:text] -> [MOTION:bvh_frames,{attributes}]", [walk])
    assert run.encode({"text": "a walk", "bvh_frames": walk}).num_target_tokens == 20


def test_what_cannot_be_read_is_passed_over_in_fitting(walk: Motion, jump: Motion) -> None:
    run = Run("[TEXT:t] -> [MOTION:m]", [b"", walk, jump, None])
    assert run.answer(run.encode({"t": "a", "m": walk})).skeleton.names == walk.skeleton.names
    with pytest.raises(SampleError, match="31 joints is not that of the run: it has no `hips` and 5 others"):
        run.encode({"t": "a", "m": jump})
    with pytest.raises(ValueError, match="there is no motion"):
        Run("[TEXT:t] -> [MOTION:m]", [b"", None])


def test_training_turns_a_motion_and_nothing_else_does(walk: Motion) -> None:
    run = Run("[TEXT:t] -> [MOTION:m]", [walk])
    row: dict[str, object] = {"t": "a", "m": walk}
    true = float(headings(walk.rotations[0, 0], 1))
    facing = [float(headings(run.answer(run.encode(row, seed, "train")).rotations[0, 0], 1)) for seed in range(8)]
    assert len({round(angle, 3) for angle in facing}) == 8
    assert all(
        float(headings(run.answer(run.encode(row, seed)).rotations[0, 0], 1)) == pytest.approx(true, abs=1e-5) for seed in (0, 1)
    )
    still = Run("[TEXT:t] -> [MOTION:m,turn=false]", [walk])
    assert apart(walk, still.answer(still.encode(row, 3, "train"))) < 1e-5


@pytest.mark.parametrize("frame", [0, 5, -1])
def test_an_anchor_frame_faces_forward(walk: Motion, frame: int) -> None:
    run = Run(f"[TEXT:t] -> [MOTION:m,anchor_frame={frame}]", [walk])
    found = run.answer(run.encode({"t": "a", "m": walk}, 1, "train"))
    assert float(headings(found.rotations[frame, 0], 1)) == pytest.approx(0, abs=1e-5)


def test_every_other_motion_is_mirrored_if_asked(walk: Motion) -> None:
    run = Run("[TEXT:t] -> [MOTION:m,turn=false,mirror]", [walk])
    row: dict[str, object] = {"t": "a", "m": walk}
    same = [apart(walk, run.answer(run.encode(row, seed, "train"))) < 1e-5 for seed in range(40)]
    assert 10 < sum(same) < 30
    assert all(apart(walk, run.answer(run.encode(row, seed))) < 1e-5 for seed in range(5))
    sideless = replace(walk, skeleton=replace(walk.skeleton, names=tuple("abcdef")))
    with pytest.raises(ValueError, match="`mirror` cannot be used"):
        Run("[TEXT:t] -> [MOTION:m,mirror]", [sideless])


def test_lengths_are_bounded_and_windows_cut(walk: Motion) -> None:
    row: dict[str, object] = {"t": "a", "m": walk}
    with pytest.raises(SampleError, match="30 frames at 20 a second; at most 10"):
        Run("[TEXT:t] -> [MOTION:m,max_frames=10]", [walk]).encode(row)
    with pytest.raises(SampleError, match="30 frames at 20 a second; at least 31"):
        Run("[TEXT:t] -> [MOTION:m,min_length=31]", [walk]).encode(row)
    run = Run("[TEXT:t] -> [MOTION:m,window=10,turn=false]", [walk])
    views = {run.encode(row, seed, "train").target[0].units.tobytes() for seed in range(30)}
    assert len(views) > 10
    assert run.encode(row, 1).target[0].units.tobytes() == run.encode(row, 2).target[0].units.tobytes()
    trim = Run("[TEXT:t] -> [MOTION:m,soft_trim=0.2,min_length=8]", [walk])
    counts = [trim.encode(row, seed, "train").num_target_tokens for seed in range(30)]
    assert min(counts) >= 8
    assert len(set(counts)) > 5


def test_rates_and_the_axis_that_points_up_are_brought_to_the_runs(walk: Motion) -> None:
    run = Run("[TEXT:t] -> [MOTION:m,fps=10]", [walk])
    assert run.encode({"t": "a", "m": walk}).num_target_tokens == 15
    from ofa_modalities.motion.encoding import upright

    found = run.answer(run.encode({"t": "a", "m": upright(walk, "z")}))
    assert apart(walk.resampled(10), found) < 1e-5
    lying = Run("[TEXT:t] -> [MOTION:m,up=z]", [walk])
    assert lying.answer(lying.encode({"t": "a", "m": walk})).up == "z"


# Known frames


def test_rules_of_known_frames() -> None:
    rng = np.random.default_rng(0)
    assert np.flatnonzero(known_frames("ends:2", 6, rng)).tolist() == [0, 1, 4, 5]
    assert np.flatnonzero(known_frames("start:2", 6, rng)).tolist() == [0, 1]
    assert np.flatnonzero(known_frames("end:1", 6, rng)).tolist() == [5]
    assert np.flatnonzero(known_frames("every:4", 6, rng)).tolist() == [0, 4]
    assert all(known_frames(".000001", 6, rng).sum() == 1 for _ in range(9))
    assert 200 < known_frames("0.3", 1000, rng).sum() < 400
    for word in ("ends", "ends:0", "1.5", "both:3", "-.1"):
        with pytest.raises(InstructionError, match="known"):
            compile(f"[MOTION:m,known={word}] -> [TEXT:t]", CATALOG, GENERALIST)


def test_a_source_shows_known_frames_and_shares_its_turn_with_the_answer(walk: Motion) -> None:
    run = Run("[MOTION:m,known=ends:4,mirror,window=20] fill in the motion -> [MOTION:m]", [walk])
    for seed in range(6):
        example = run.encode({"m": walk}, seed, "train", with_targets=True)
        if not example.source:
            continue  # left out, to be guided away from
        source, target = example.source[0], example.target[0]
        shown = source.units.any(1)
        assert np.flatnonzero(shown).tolist() == [0, 1, 2, 3, 16, 17, 18, 19]
        assert np.array_equal(source.units[shown], target.units[shown])
        (item,) = example.referred[0]
        assert isinstance(item, MotionItem)
        assert np.array_equal(item.units, source.units)
        assert np.array_equal(pickle.loads(pickle.dumps(item)).known, shown)


def test_an_answer_between_known_frames_stands_where_they_stand(walk: Motion) -> None:
    run = Run("[MOTION:m,known=ends:3] -> [MOTION:m]", [walk])
    example = run.encode({"m": walk})
    found = run.answer(example)
    assert np.allclose(found.root_position, walk.root_position, atol=1e-4)
    straight = example.target[0].units.copy()
    straight[3:-3, :2] += 1
    moved = run.encoder.decode(example.target[0].slot, straight, example)
    assert isinstance(moved, Motion)
    assert np.allclose(moved.root_position[[0, 1, 2, -3, -2, -1]], walk.root_position[[0, 1, 2, -3, -2, -1]], atol=1e-4)


def test_only_a_source_has_known_frames(walk: Motion) -> None:
    with pytest.raises(ValueError, match="what a source slot shows"):
        Run("[TEXT:t] -> [MOTION:m,known=ends:3]", [walk])


def test_a_usual_answer_is_as_long_as_the_runs_motions(walk: Motion, body: Skeleton) -> None:
    run = Run("[TEXT:t] -> [MOTION:m]", [walk, put_on(walk, body), walk.resampled(10)])
    assert run.encoder.processor(1).default_length() == 30
    short = Run("[TEXT:t] -> [MOTION:m,window=12]", [walk])
    assert short.encoder.processor(1).default_length() == 12
