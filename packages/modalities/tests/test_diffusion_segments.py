"""Answers by diffusion: clean units with what they are mixed with, in a sequence that is not causal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ofa_instruction import Catalog, compile
from ofa_instruction.specs import AdaptorSpec, BackendSpec, CriterionSpec, ModalitySpec
from ofa_modalities import TaskEncoder, Vocabulary, fit_vocabulary, train_tokenizer
from ofa_modalities import specs as own

GENERALIST = BackendSpec(name="generalist")
ROW = {"t": "some words", "u": "words", "m": np.arange(8.0, dtype=np.float32).reshape(4, 2)}


@pytest.fixture(scope="module")
def encoder(catalog: Catalog) -> TaskEncoder:
    """``catalog`` has a processor of float frames; here they are answered by diffusion."""
    known = Catalog.from_specs(
        own.TEXT,
        own.TEXT_PROCESSOR,
        ModalitySpec(name="MOTION", processor="frames", adaptor="noisy", criteria=("frames",), generator="diffusion"),
        catalog.processor("frames").spec.model_copy(update={"modalities": ("MOTION",)}),
        AdaptorSpec(name="text", units="ids"),
        AdaptorSpec(name="noisy", units="floats"),
        CriterionSpec(name="frames"),
        CriterionSpec(name="cross_entropy"),
        GENERALIST,
    )
    lines = {
        "move": "[TEXT:t] -> [MOTION:m]",
        "half": "[TEXT:t] -> [MOTION:m,condition_dropout=0.5]",
        "say": "[TEXT:t] -> [TEXT:u]",
    }
    tasks = [compile(line, known, GENERALIST, name=name) for name, line in lines.items()]
    tokenizer = train_tokenizer(["some words"], 300)
    return TaskEncoder(tasks, known, Vocabulary(fit_vocabulary(tasks, known, None, tokenizer), tokenizer))


def encode(encoder: TaskEncoder, task: str, seed: int = 0, **options: Any) -> Any:
    return encoder.encode(task, ROW, **{"split": "valid", "rng": np.random.default_rng(seed), **options})


def test_all_frames_are_units_and_labels_with_noise_and_a_time(encoder: TaskEncoder) -> None:
    example = encode(encoder, "move")
    (segment,) = example.target
    assert not example.causal
    assert not segment.begins
    assert segment.layout == (4,)
    assert np.array_equal(segment.units, ROW["m"])
    assert np.array_equal(segment.frames, ROW["m"])
    assert segment.stop.tolist() == [0, 0, 0, 0]
    assert segment.noise.shape == (4, 2)
    assert 0 <= segment.time < 1


def test_noise_and_time_follow_from_the_rows_generator(encoder: TaskEncoder) -> None:
    one, same, other = (encode(encoder, "move", seed).target[0] for seed in (1, 1, 2))
    assert one.time == same.time != other.time
    assert np.array_equal(one.noise, same.noise)
    assert not np.array_equal(one.noise, other.noise)


def test_a_batch_says_row_by_row_who_is_causal_and_keeps_times_by_item(encoder: TaskEncoder) -> None:
    examples = [encode(encoder, "move", 1), encode(encoder, "say"), encode(encoder, "move", 2)]
    batch = encoder.pack(examples)
    assert batch.target.causal.tolist() == [False, True, False]
    assert batch.source.causal.tolist() == [False, False, False]
    streams = {stream.adaptor: stream for stream in batch.target.streams}
    assert streams["text"].times is None
    noisy = streams["noisy"]
    assert noisy.times is not None
    assert noisy.times.tolist() == pytest.approx([examples[0].target[0].time, examples[2].target[0].time])
    assert noisy.noise is not None
    assert torch.equal(noisy.noise[4:], torch.from_numpy(examples[2].target[0].noise))
    assert len(batch.frame_labels[0].positions) == 8


def test_a_share_of_training_rows_loses_its_source(encoder: TaskEncoder) -> None:
    empty = [not encode(encoder, "half", seed, split="train").source for seed in range(60)]
    assert 15 < sum(empty) < 45
    assert all(encode(encoder, "half", seed, split="valid").source for seed in range(20))
