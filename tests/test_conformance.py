"""The modalities hold the seam: one call each, the same that a third party makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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


def other_table(value: Any, answer: Any) -> float:
    """0 where a table is what a raw value says."""
    return float(answer != TableReader(column="sample").read(value))


CASES: dict[str, tuple[list[Sample], dict[str, Any]]] = {
    "TEXT": ([Sample("a red cat"), Sample("7 words")], {"distance": differs, "broken": ["", ["a"], b"a"]}),
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
    assert report.num_refused == 2 + len(options.get("broken", ()))


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
            ("encode", lambda real: lambda self, value, context: real(self, value or "x", context), "taken without an error"),
            ("token_rule", lambda real: lambda self: type(real(self))(blocks=("control",)), "outside of the blocks"),
        ],
    )
    def test_a_processor_that_breaks_it(
        self, monkeypatch: pytest.MonkeyPatch, method: str, broken: Callable[..., Any], message: str
    ) -> None:
        from ofa_modalities.text.processor import TextProcessor

        monkeypatch.setattr(TextProcessor, method, broken(getattr(TextProcessor, method)))
        with pytest.raises(AssertionError, match=message):
            check_modality("TEXT", [Sample("some words")], distance=differs, broken=[""])


COUNT = iter(range(1000))


def _jitter(item: Any) -> Any:
    item.units[0] += next(COUNT)
    return item
