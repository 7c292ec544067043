"""The modalities hold the seam: one call each, the same that a third party makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofa_instruction.binding import is_empty
from ofa_modalities.struct.reading import TableReader
from ofa_modalities.testing import Sample, check_modality

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def differs(one: object, other: object) -> float:
    return float(one != other)


def farthest(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).max())


SPEECH = Path(__file__).parents[1] / "packages/modalities/tests/fixtures/audio/hello-world.wav"
HISS = np.random.default_rng(0).normal(size=8000).astype(np.float32) * 0.1


def less_alike(sound: Any, audio: Any) -> float:
    """One less the correlation of what was said and what is heard, in the answer's own frames."""
    from ofa_modalities.audio.mel import waveform_to_mel
    from ofa_modalities.audio.reading import read_audio

    said = waveform_to_mel(read_audio(sound, sample_rate=audio.sample_rate_hz), audio.settings)
    heard = waveform_to_mel(audio.waveform, audio.settings)[: len(said)]
    return 1 - float(np.corrcoef(said.ravel(), heard.ravel())[0, 1])


CLIMB, JUMP = (SPEECH.parents[1] / "motion" / f"cmu_{name}.bvh" for name in ("01_03", "01_01"))


def joints_apart(path: Any, motion: Any) -> float:
    """Largest distance of a joint over the size of the skeleton, both motions starting over the origin."""
    from ofa_modalities.motion.output import Motion

    places = [one.positions() - one.root_position[:1] * [1, 0, 1] for one in (Motion.load(path), motion)]
    return float(np.linalg.norm(places[0] - places[1], axis=-1).max() / motion.skeleton.size)


def other_table(value: Any, answer: Any) -> float:
    """0 where a table is what a raw value says."""
    return float(answer != TableReader(column="sample").read(value))


GRADIENT = np.indices((24, 32, 3)).sum(0).astype(np.uint8) * 4
SWEEP = np.stack([np.roll(GRADIENT, 8 * number, axis=1) for number in range(6)])
FILM = Path(__file__).parents[1] / "packages/modalities/tests/fixtures/video/street.mp4"
BOOK = "size=16,downsample=4,codes=32,width=16,fit_steps=60"


def picture_error(raw: Any, picture: Any) -> float:
    """Mean error of a picture's colours in 0 .. 255, where the raw value was squeezed to its size."""
    from ofa_modalities.image.reading import read_image

    return float(np.abs(np.asarray(read_image(raw)[0].resize(picture.size), float) - np.asarray(picture, float)).mean())


def clip_error(raw: Any, video: Any) -> float:
    """The same of three frames of a clip."""
    from functools import partial

    from ofa_modalities.video.reading import read_video
    from ofa_modalities.video.sampling import uniform_times

    clip = read_video(raw, times=partial(uniform_times, count=3), shrink=lambda width, height: (16, 16))
    return float(np.abs(clip.frames.astype(float) - video.frames).mean())


CASES: dict[str, tuple[list[Sample], dict[str, Any]]] = {
    "TEXT": ([Sample("a red cat"), Sample("7 words")], {"distance": differs, "broken": ["", ["a"], b"a"]}),
    "IMAGE": (
        [Sample(GRADIENT), Sample(GRADIENT[::-1])],
        {"attributes": "augment=mild,mask_ratio=0.3", "target_attributes": BOOK, "distance": picture_error, "tolerance": 12}
        | {"broken": [b"", b"GIF89a", "none.png", np.full((4, 4), np.nan), 5]},
    ),
    "VIDEO": (
        [Sample(SWEEP), Sample(FILM)],
        {"attributes": "num_frames=4,fps=3,mask_ratio=0.3,mask=tube", "target_attributes": f"{BOOK},num_frames=3"}
        | {"distance": clip_error, "tolerance": 25, "broken": [b"", b"RIFF", "none.mp4", np.zeros((0, 4, 4, 3)), [], 5]},
    ),
    "BOX": (
        [Sample([3, 4, 20, 30], {"img": ("IMAGE", PICTURE)}), Sample("0,0,64,48", {"img": ("IMAGE", PICTURE)})],
        {"distance": lambda raw, box: farthest([3, 4, 20, 30] if raw[0] == 3 else [0, 0, 64, 48], box), "tolerance": 0.5001}
        | {"broken": ["box", [1, 2, 3], [30, 1, 2, 5], [0, 0, 640, 10], [float("nan"), 0, 1, 1]]},
    ),
    "STRUCT": (
        [Sample([["a", "b"], [1, "x | y"], [2, ""]]), Sample({"city": ["Oslo : north"], "people": [7]})],
        {"distance": other_table, "broken": [[["a", "b"], [1]], [list(range(10_000))], [["x\0y"]], b"", "none.csv", 5]},
    ),
    "CATEGORY": ([Sample("cat"), Sample("dog")], {"candidates": ["cat", "dog"], "distance": differs, "broken": ["bird", 5]}),
    "AUDIO": (
        [Sample(SPEECH), Sample((HISS, 8000))],
        {"attributes": "sample_rate=8000,num_mels=40,spec_augment=mild,mask_ratio=0.2,frames_per_step=2"}
        | {"target_attributes": "sample_rate=8000,num_mels=40,frames_per_step=3", "distance": less_alike, "tolerance": 0.1}
        | {"broken": [b"", b"RIFF", HISS, (HISS * np.nan, 8000), "none.wav", (np.zeros((0, 9), np.float32), 8000), 7]},
    ),
    "MOTION": (
        [Sample(CLIMB), Sample(JUMP)],
        {
            "attributes": "fps=30,soft_trim=0.1,known=0.5",
            "target_attributes": "fps=30",
            "distance": joints_apart,
            "tolerance": 1e-4,
        }
        | {"broken": [b"", b"HIERARCHY", "none.bvh", {"rotations": np.zeros((2, 3, 3))}, 7]},
    ),
    "PHONE": (
        [Sample("HH AH0 L OW1 | W ER1 L D"), Sample("K AE1 T")],
        {"distance": differs, "broken": ["", "...", b"a"], "attributes": "punctuation"},
    ),
}
"""Samples by modality, and what else the check is told."""


@pytest.mark.parametrize("modality", CASES)
def test_a_modality_conforms(modality: str) -> None:
    samples, options = CASES[modality]
    report = check_modality(modality, samples, **options)
    assert report.num_encoded == len(samples)
    broken = [value for value in options.get("broken", ()) if not is_empty(value)]
    assert report.num_refused == len(broken) + 1, "each of them, and a question without the column"


class TestWhatIsFound:
    """A modality that breaks the seam is told which part."""

    def test_a_tolerance_that_is_not_kept(self) -> None:
        with pytest.raises(AssertionError, match=r"decode\(encode\(x\)\) is .* more than 0"):
            check_modality("BOX", [Sample([3, 4, 20, 30], {"img": ("IMAGE", PICTURE)})], distance=farthest)

    def test_a_value_that_should_be_refused(self) -> None:
        with pytest.raises(AssertionError, match="'fine' is taken without an error"):
            check_modality("TEXT", [Sample("words")], broken=["fine"])

    @pytest.mark.parametrize(
        ("method", "broken", "message"),
        [
            ("encode", lambda real: lambda self, value, context: _jitter(real(self, value, context)), "the second time"),
            ("encode", lambda real: lambda self, value, context: real(self, str(value), context), "taken without an error"),
            ("token_rule", lambda real: lambda self: type(real(self))(blocks=("control",)), "outside of the blocks"),
        ],
    )
    def test_a_processor_that_breaks_it(
        self, monkeypatch: pytest.MonkeyPatch, method: str, broken: Callable[..., Any], message: str
    ) -> None:
        from ofa_modalities.text.processor import TextProcessor

        monkeypatch.setattr(TextProcessor, method, broken(getattr(TextProcessor, method)))
        with pytest.raises(AssertionError, match=message):
            check_modality("TEXT", [Sample("some words")], distance=differs, broken=[b"a"])


COUNT = iter(range(1000))


def _jitter(item: Any) -> Any:
    item.units[0] += next(COUNT)
    return item
