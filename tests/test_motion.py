"""Motion, from file to model and back: two short motions learnt from their captions, and one filled in between its ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.rotations import angles_between, turn
from ofa_modalities.motion.skeleton import Skeleton
from ofa_models import GenerationOptions, Session
from ofa_trainer import Task, Trainer
from PIL import Image

MOVE = "motion capture: [TEXT:cap] -> [MOTION:clip,turn=false,num_steps=8]"
BETWEEN = "[MOTION:clip,turn=false,known=ends:3] fill in the motion -> [MOTION:clip,turn=false,num_steps=8]"
FRAMES = 16
BODY = Skeleton(
    names=("hips", "chest", "arm_l", "arm_r"),
    parents=np.array([-1, 0, 1, 1]),
    offsets=np.array([[0, 0, 0], [0, 0.5, 0], [0.2, 0.1, 0], [-0.2, 0.1, 0]]),
    end_parents=np.array([2, 3]),
    end_offsets=np.array([[0.5, 0, 0], [-0.5, 0, 0]]),
)


def arms(sign: float) -> Motion:
    """Both arms go up (1) or down (-1) while the hips move forward or back."""
    angles = sign * 1.2 * np.sin(np.linspace(0, np.pi / 2, FRAMES))
    turns = np.tile(np.eye(3), (FRAMES, 4, 1, 1))
    turns[:, 2], turns[:, 3] = turn(2, angles), turn(2, -angles)
    path = np.stack([np.zeros(FRAMES), np.ones(FRAMES), sign * np.linspace(0, 0.4, FRAMES)], 1)
    return Motion(rotations=turns, root_position=path, skeleton=BODY, fps=20)


CLIPS = {"raise the arms": arms(1), "lower the arms": arms(-1)}


def apart(one: Motion, other: Motion) -> float:
    return float(np.linalg.norm(one.positions(with_ends=True) - other.positions(with_ends=True), axis=-1).mean())


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A nano model that knows two motions, read from BVH files."""
    folder = tmp_path_factory.mktemp("motion")
    rows = [{"cap": cap, "clip": str(clip.save(folder / f"{number}.bvh"))} for number, (cap, clip) in enumerate(CLIPS.items())]
    tasks = [Task(name, line, train=rows * 4, valid=False) for name, line in (("move", MOVE), ("between", BETWEEN))]
    trainer = Trainer(steps=120, batch_tokens=500, tokenizer_size=300, valid_metrics=False, precision="float32", reporters=[])
    return Session.from_pretrained(trainer.fit("nano", tasks).save(folder / "checkpoint"))


@pytest.mark.parametrize("cap", CLIPS)
def test_a_text_becomes_its_motion_of_the_length_asked_for(session: Session, tmp_path: Path, cap: str) -> None:
    options = GenerationOptions(length=FRAMES, guidance=1.5)
    output = session(MOVE, cap=cap, generation=options)
    found = output.motion
    assert found.num_frames == FRAMES
    own, other = (apart(found, clip) for clip in (CLIPS[cap], next(clip for name, clip in CLIPS.items() if name != cap)))
    assert own < 0.5 * other

    again = Motion.load(output.save(tmp_path / "found.bvh"))
    assert np.degrees(angles_between(found.rotations, again.rotations)).max() < 1e-4
    assert apart(found, again) < 1e-3 * BODY.size
    with Image.open(output.save(tmp_path / "found.gif")) as picture:
        assert picture.n_frames == FRAMES
    assert session(MOVE, cap=cap).motion.num_frames == FRAMES  # as the run's clips are
    assert session(MOVE, cap=cap, generation=GenerationOptions(length=9)).motion.num_frames == 9


@pytest.mark.parametrize("cap", CLIPS)
def test_a_motion_is_filled_in_between_its_ends(session: Session, cap: str) -> None:
    true = CLIPS[cap]
    found = session(BETWEEN, clip=true).motion
    ends = [0, 1, 2, -3, -2, -1]
    assert np.degrees(angles_between(found.rotations[ends], true.rotations[ends])).max() < 0.1
    assert np.allclose(found.root_position[ends], true.root_position[ends], atol=1e-3)
    assert apart(found, true) < 0.5 * apart(arms(1), arms(-1))
