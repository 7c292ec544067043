"""Answers by diffusion: length, noise of the row's own, guidance, given frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ofa_instruction import Catalog, compile, default_catalog
from ofa_modalities import TaskEncoder, Vocabulary, fit_assets, fit_vocabulary, train_tokenizer
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.rotations import angles_between, axis_angles_to_matrices
from ofa_modalities.motion.skeleton import Skeleton
from ofa_models import Checkpoint, InferPlan, ModelPlan, Session, build_model
from ofa_models.generation.asked import check_asked
from ofa_models.generation.planning import UnsupportedGeneration, plan_steps
from ofa_models.plans import GenerationOptions

MOVE = "[TEXT:cap] -> [MOTION:m,num_steps=4]"
BETWEEN = "[MOTION:m,known=ends:3] fill in the motion -> [MOTION:m,num_steps=4]"
LIKE = "[MOTION:a] the same again -> [MOTION:b,num_steps=3]"
ALONE = "-> motion: [MOTION:m,num_steps=3,length=7]"


def motion(frames: int, seed: int = 0) -> Motion:
    rng = np.random.default_rng(seed)
    skeleton = Skeleton(names=("a", "b"), parents=np.array([-1, 0]), offsets=np.array([[0, 0, 0], [0, 1.0, 0]]))
    turns = axis_angles_to_matrices(np.cumsum(rng.standard_normal((frames, 2, 3)) * 0.2, 0))
    return Motion(rotations=turns, root_position=np.cumsum(rng.standard_normal((frames, 3)) * 0.1, 0), skeleton=skeleton, fps=20)


@pytest.fixture(scope="module")
def session() -> Session:
    """Random weights: nothing is learnt, everything is drawn."""
    catalog: Catalog = default_catalog()
    profile = catalog.backend("generalist").spec
    lines = {"move": MOVE, "between": BETWEEN, "like": LIKE, "alone": ALONE}
    tasks = tuple(compile(line, catalog, profile, name=name, with_criteria=False) for name, line in lines.items())
    tokenizer = train_tokenizer(["wave the arms", "a slow walk"], 300)
    vocabulary = Vocabulary(fit_vocabulary(tasks, catalog, None, tokenizer), tokenizer)
    assets = fit_assets(tasks, catalog, lambda task, column: [(motion(20), None), (motion(14, 1), None)])
    encoder = TaskEncoder(tasks, catalog, vocabulary, assets=assets)
    features = {name: need.unit_features for name, need in encoder.streams.items()}
    plan = ModelPlan.of_size("nano").complete(vocabulary_size=vocabulary.plan.size, tasks=tasks, unit_features=features)
    model = build_model(plan, catalog, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) * 0.1
    infer = InferPlan(model=plan, tasks=tasks, vocabulary=vocabulary.plan)
    return Session(
        Checkpoint(plan=infer, model=model.double().eval(), vocabulary=vocabulary, closed_sets={}, assets=assets), catalog=catalog
    )


def move(session: Session, cap: str = "wave the arms", **options: Any) -> Motion:
    return session(MOVE, cap=cap, generation=GenerationOptions(**options)).motion


def same(one: Motion, other: Motion, degrees: float = 1e-3) -> bool:
    return (
        one.num_frames == other.num_frames
        and np.degrees(angles_between(one.rotations, other.rotations)).max() < degrees
        and np.allclose(one.root_position, other.root_position, atol=1e-4)
    )


def test_the_same_seed_gives_the_same_answer_and_another_another(session: Session) -> None:
    assert same(move(session), move(session), 1e-9)
    assert not same(move(session), move(session, seed=1))
    assert not same(move(session), move(session, cap="a slow walk"))


def test_rows_answered_together_are_answered_as_alone(session: Session) -> None:
    caps = ["wave the arms", "a slow walk", "wave", "a slow walk"]
    options = GenerationOptions(guidance=2.0)
    together = [output.motion for output in session.batch(MOVE, [{"cap": cap} for cap in caps], generation=options)]
    for cap, found in zip(caps, together, strict=True):
        assert same(found, move(session, cap, guidance=2.0))
    assert not same(together[0], together[1])
    assert same(together[1], together[3], 1e-6)


def test_rows_of_several_lengths_are_answered_together(session: Session) -> None:
    rows = [{"a": motion(count, count)} for count in (5, 12, 9)]
    together = [output.motion for output in session.batch(LIKE, rows)]
    assert [found.num_frames for found in together] == [5, 12, 9]
    for row, found in zip(rows, together, strict=True):
        assert same(found, session(LIKE, row).motion)


def test_small_batches_give_the_same_answers(session: Session) -> None:
    small = Session(session.checkpoint, catalog=session.catalog, batch_tokens=40)
    rows = [{"cap": f"walk {number}"} for number in range(4)]
    for one, other in zip(session.batch(MOVE, rows), small.batch(MOVE, rows), strict=True):
        assert same(one.motion, other.motion)


def test_length_is_asked_for_or_said_by_the_slot_or_by_the_source_or_usual(session: Session) -> None:
    assert move(session, length=11).num_frames == 11
    assert move(session).num_frames == 17  # the median of 20 and 14
    assert session(ALONE).motion.num_frames == 7
    assert session(ALONE, generation=GenerationOptions(length=3)).motion.num_frames == 3
    assert session(LIKE, a=motion(6)).motion.num_frames == 6
    assert session(LIKE, a=motion(6), generation=GenerationOptions(length=8)).motion.num_frames == 8


def test_guidance_of_one_is_the_conditional_answer_and_of_none_the_unconditional(session: Session) -> None:
    assert same(move(session, guidance=1), move(session), 1e-9)
    near = move(session, guidance=1.0000001)
    assert same(near, move(session), 1e-3)
    assert not same(move(session, guidance=3), move(session))
    step = move(session, guidance=0, seed=5)
    assert not same(step, move(session, guidance=1, seed=5))


def test_one_step_of_guidance_is_what_its_formula_says(session: Session) -> None:
    line = MOVE.replace("num_steps=4", "num_steps=1")
    units = []
    for guidance in (0.0, 1.0, 2.5):
        resolved = session.resolve(line)
        example = resolved.encoder.encode(
            resolved.task, {"cap": "wave"}, split="infer", rng=np.random.default_rng(0), with_targets=False
        )
        from ofa_models.generation.diffusion import answer_by_diffusion, diffusion_step
        from ofa_models.generation.planning import plan_steps
        from ofa_models.zoo import as_backend

        options = GenerationOptions(guidance=guidance)
        step = diffusion_step(plan_steps(resolved.encoder, resolved.program, options))
        assert step is not None
        (answer,) = answer_by_diffusion(
            as_backend(session.checkpoint.model),
            resolved.encoder,
            resolved.program,
            step,
            [example],
            options=options,
            row_keys=[3],
        )
        units.append(answer.slots[step.slot, ()][0].units)
    without, with_source, guided = units
    assert np.allclose(guided, without + 2.5 * (with_source - without), atol=1e-5)
    assert not np.allclose(without, with_source, atol=1e-3)


def test_given_frames_are_kept_and_stand_where_they_stood(session: Session) -> None:
    source = motion(12, 4)
    for guidance in (1.0, 2.0):
        found = session(BETWEEN, m=source, generation=GenerationOptions(guidance=guidance)).motion
        assert found.num_frames == 12
        ends = [0, 1, 2, 9, 10, 11]
        assert np.degrees(angles_between(found.rotations[ends], source.rotations[ends])).max() < 1e-3
        assert np.allclose(found.root_position[ends], source.root_position[ends], atol=1e-4)
        assert np.degrees(angles_between(found.rotations[3:9], source.rotations[3:9])).max() > 1
    with pytest.raises(UnsupportedGeneration, match="some of its 12 frames are given"):
        session(BETWEEN, m=source, generation=GenerationOptions(length=9))


def test_what_is_not_shown_does_not_matter(session: Session) -> None:
    one = motion(12, 4)
    turns = one.rotations.copy()
    turns[4:8, 1] = np.eye(3)
    other = Motion(rotations=turns, root_position=one.root_position, skeleton=one.skeleton, fps=20)
    assert same(session(BETWEEN, m=one).motion, session(BETWEEN, m=other).motion)


def test_several_answers_of_one_row_differ(session: Session) -> None:
    output = session(MOVE, cap="wave", generation=GenerationOptions(num_return=3, guidance=2))
    found = [candidate.value for candidate in output.candidates]
    assert len(found) == 3
    assert isinstance(found[0], Motion)
    assert not same(found[0], found[1])  # type: ignore[arg-type]
    assert same(found[0], move(session, "wave", guidance=2))
    assert output.probability == 1


def test_an_answer_is_saved_and_said(session: Session, tmp_path: Any) -> None:
    output = session(MOVE, cap="wave")
    assert same(Motion.load(output.save(tmp_path / "x.bvh")), output.motion, 1e-4)
    assert output.save(tmp_path / "x.gif").read_bytes()[:4] == b"GIF8"
    assert '"bvh": "data:' in output.to_json()
    with pytest.raises(AttributeError, match="none fits"):
        _ = output.image


def test_a_plan_asks_for_no_more_denoising_than_a_file_may(session: Session) -> None:
    plan = session.checkpoint.plan
    resolved = session.resolve("alone")

    def ask(own: GenerationOptions, options: GenerationOptions) -> None:
        steps = plan_steps(resolved.encoder, resolved.program, options)
        check_asked(plan.model_copy(update={"generation": own}), "alone", resolved.program, steps, options)

    hours = GenerationOptions(length=65_536)
    with pytest.raises(ValueError, match=r"`tasks\.3` \(`alone`\): an answer of 65,536 frames in 3 steps"):
        ask(hours, hours)
    ask(GenerationOptions(), hours)  # asked by the caller
    ask(GenerationOptions(length=256), GenerationOptions(length=256))
