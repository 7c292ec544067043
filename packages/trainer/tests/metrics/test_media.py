"""Metrics of pictures, clips, sound and motion."""

from __future__ import annotations

import numpy as np
import pytest
from ofa_modalities.audio.mel import MelSettings
from ofa_modalities.audio.output import Audio
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.skeleton import Skeleton
from ofa_modalities.video.output import Video
from ofa_trainer.metrics.media import cepstra, joint_error, mel_cepstral_distortion, psnr, warped_mean
from ofa_trainer.metrics.metric import Judged
from ofa_trainer.metrics.specs import CepstralOptions, NoOptions
from PIL import Image

SETTINGS = MelSettings.of(sample_rate=8000, num_mels=20, hop_ms=12.5, window_ms=50, min_hz=80, max_hz=3800)
ARM = Skeleton(names=("hip", "hand"), parents=np.array([-1, 0]), offsets=np.array([[0, 0, 0], [2.0, 0, 0]]))


def judged(answer: object, reference: object) -> list[Judged]:
    return [Judged(answer=answer, reference=reference)]


def test_psnr_is_that_of_the_formula() -> None:
    grey, lighter = Image.new("RGB", (8, 8), (100, 100, 100)), Image.new("RGB", (8, 8), (110, 110, 110))
    assert psnr(judged(grey, lighter), NoOptions()).value == pytest.approx(10 * np.log10(255**2 / 100))
    assert psnr(judged(grey, grey), NoOptions()).value > 100
    assert psnr(judged(None, grey), NoOptions()).value == 0


def test_psnr_of_a_clip_compares_frame_by_frame() -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    frames[1] = 200
    clip, reversed_clip = (Video(frames=order, fps=4) for order in (frames, frames[::-1].copy()))
    same = psnr(judged(clip, clip), NoOptions()).value
    swapped = psnr(judged(reversed_clip, clip), NoOptions()).value
    assert same > 100
    assert swapped == pytest.approx(10 * np.log10(255**2 / 200**2))


def tone(hz: float, seconds: float) -> np.ndarray:
    samples = np.sin(2 * np.pi * hz * np.arange(round(8000 * seconds)) / 8000)
    return (0.5 * samples).astype(np.float32)


def test_sound_is_nearer_to_itself_stretched_in_time_than_to_another() -> None:
    def distortion(answer: np.ndarray, reference: np.ndarray) -> float:
        said, true = (Audio(SETTINGS, waveform=waveform) for waveform in (answer, reference))
        return mel_cepstral_distortion(judged(said, true), CepstralOptions()).value

    low, high = tone(300, 0.5), tone(2000, 0.5)
    assert distortion(low, low) == pytest.approx(0, abs=1e-4)
    stretched = np.concatenate([tone(300, 0.3), tone(300, 0.4)])
    assert distortion(low, stretched) < 0.5 * distortion(low, high)


def test_loudness_does_not_count() -> None:
    mel = np.random.default_rng(0).normal(size=(4, 20))
    assert cepstra(mel, 13).shape == (4, 13)
    assert np.allclose(cepstra(mel, 13), cepstra(mel + 0.7, 13))


def test_warping_finds_the_least_path() -> None:
    assert warped_mean(np.array([[0.0, 5.0, 5.0], [5.0, 0.0, 5.0], [5.0, 0.0, 5.0], [5.0, 5.0, 1.0]])) == pytest.approx(0.25)
    assert warped_mean(np.array([[3.0, 1.0]])) == pytest.approx(2.0)


def motion(angles: list[float], fps: float = 10, height: float = 0.0) -> Motion:
    turns = np.zeros((len(angles), 2, 3, 3))
    turns[:, 1] = np.eye(3)
    cosine, sine = np.cos(angles), np.sin(angles)
    turns[:, 0] = np.eye(3)
    turns[:, 0, 0, 0], turns[:, 0, 0, 1], turns[:, 0, 1, 0], turns[:, 0, 1, 1] = cosine, -sine, sine, cosine
    root = np.full((len(angles), 3), height)
    return Motion(rotations=turns, root_position=root, skeleton=ARM, fps=fps)


def test_joints_are_compared_from_the_root_in_units_of_the_skeleton() -> None:
    still, turned = motion([0.0, 0.0]), motion([0.0, np.pi])
    assert joint_error(judged(still, motion([0.0, 0.0], height=5)), NoOptions()).value == pytest.approx(0)
    assert joint_error(judged(still, turned), NoOptions()).value == pytest.approx(4.0 / ARM.size / 4)


def test_the_shorter_motion_is_held_at_its_end() -> None:
    assert joint_error(judged(motion([0.0]), motion([0.0, np.pi])), NoOptions()).value == pytest.approx(4.0 / ARM.size / 4)


def test_other_skeletons_are_an_error() -> None:
    other = Skeleton(names=("hip", "foot"), parents=np.array([-1, 0]), offsets=np.array([[0, 0, 0], [2.0, 0, 0]]))
    answer = Motion(rotations=np.eye(3)[None, None].repeat(2, 1), root_position=np.zeros((1, 3)), skeleton=other, fps=10)
    with pytest.raises(ValueError, match="different skeletons"):
        joint_error(judged(answer, motion([0.0])), NoOptions())
