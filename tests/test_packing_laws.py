"""Packing changes nothing: a row has the same logits alone as in any mix of tasks; but order and place do matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ofa_modalities.encoder import TaskEncoder
from ofa_modalities.segment import Example
from ofa_models import build_model
from ofa_trainer import Task, Trainer
from ofa_trainer.demo.recipe import DEMO_TASKS
from ofa_trainer.starter import starter_source
from PIL import Image
from torch import Tensor, nn

# L labelled positions, V vocabulary, F unit features

ROWS_A_TASK = 5
MORE = {
    "two_images": "[IMAGE:a] and [IMAGE:b] : which one is red? -> [TEXT:which]",
    "two_texts": "[TEXT:a] or [TEXT:b] : which is longer? -> [TEXT:which]",
    "picture": "[IMAGE:img] -> [TEXT:label]",
}


@dataclass(frozen=True)
class Run:
    """One encoder and one model over every task, and encoded rows of each."""

    encoder: TaskEncoder
    build: Callable[..., nn.Module]
    examples: tuple[Example, ...]


def tasks_of_every_shape(remembered: Any, draw: Any) -> list[Task]:
    """The six starter tasks on real rows, SERIES in and out, a repeat, several pictures and texts, and no source at all."""
    six = [
        Task(
            task.name,
            task.instruction,
            train=[starter_source(task.name, "valid").read(index) for index in range(ROWS_A_TASK)],  # type: ignore[arg-type]
            valid=False,
        )
        for task in DEMO_TASKS
    ]
    own = [Task(f"own_{name}", text, train=remembered.rows[name], valid=False) for name, text in remembered.instructions.items()]
    red, wide = draw(((0, 0, 16, 32), "red")), draw(((8, 8, 16, 16), "blue"), size=(48, 24))
    more = [
        {"a": red, "b": wide, "img": red, "which": "first", "label": "red"},
        {"a": wide, "b": red, "img": wide, "which": "second", "label": "blue"},
    ]
    texts = [{"a": "one cat", "b": "two dogs", "which": "second"}, {"a": "a", "b": "b c d e f", "which": "second"}]
    return [
        *six,
        *own,
        *(Task(name, text, train=texts if name == "two_texts" else more, valid=False) for name, text in MORE.items()),
    ]


@pytest.fixture(scope="module")
def run(remembered, catalog, draw, noise) -> Run:
    tasks = tasks_of_every_shape(remembered, draw)
    prepared = Trainer(catalog=catalog, tokenizer_size=500, precision="float32").prepare("nano", tasks)
    examples = [
        prepared.encoder.encode(task.name, source.read(index, 0), split="train", rng=np.random.default_rng(index))
        for task in tasks
        if (source := task.source("train")) is not None
        for index in range(len(source))
    ]

    def build(dtype: torch.dtype, **changes: object) -> nn.Module:
        plan = prepared.model_plan.model_copy(update=changes)
        return noise(build_model(plan, catalog)).to(dtype)

    return Run(prepared.encoder, build, tuple(examples))


@torch.no_grad()
def outputs_of(run: Run, model: Any, examples: Sequence[Example]) -> list[Tensor]:
    """All that the heads say of each row at its labels: logits ``[L · V]``, then frames and stops ``[L · (F + 1)]``."""
    batch = run.encoder.pack(examples)
    memory = model.encode(batch)
    found: list[list[Tensor]] = [[] for _ in examples]
    bounds = batch.target.lengths.cumsum(0)

    def share(positions: Tensor, values: Tensor) -> None:
        rows = torch.searchsorted(bounds, positions, right=True)
        for row, value in zip(rows.tolist(), values, strict=True):
            found[row].append(value.flatten())

    labels = batch.token_labels.positions
    share(labels, model.decode(batch, memory, labels) @ model.token_weight().T)
    for stream in batch.frame_labels:
        hidden = model.decode(batch, memory, stream.positions)
        output = model.read_frames(stream.adaptor, hidden)
        share(stream.positions, torch.cat([output.frames, output.stop_logits[:, None]], 1).to(hidden.dtype))
    return [torch.cat(parts) for parts in found]


@pytest.mark.parametrize("attention", ["reference", "sdpa"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_packed_equals_one_row_at_a_time_for_every_mix_of_tasks(run, dtype, tolerance, attention):
    model = run.build(dtype, attention=attention)
    alone = [outputs_of(run, model, [example])[0] for example in run.examples]
    largest = max(float(output.abs().max()) for output in alone)
    limit = tolerance if dtype == torch.float64 else tolerance * largest

    def holds(chosen: Sequence[int]) -> None:
        together = outputs_of(run, model, [run.examples[number] for number in chosen])
        for number, output in zip(chosen, together, strict=True):
            assert output.shape == alone[number].shape
            assert (output - alone[number]).abs().max() <= limit, run.encoder.task_names[run.examples[number].task]

    holds(range(len(run.examples)))
    assert {example.task for example in run.examples} == set(range(len(run.encoder.task_names)))

    @settings(max_examples=12, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.integers(0, len(run.examples) - 1), min_size=1, max_size=12))
    def any_mix(chosen: list[int]) -> None:
        holds(chosen)

    any_mix()


def answer_of(run: Run, model: nn.Module, task: str, **row: object) -> Tensor:
    example = run.encoder.encode(task, row, split="valid", rng=np.random.default_rng(0))
    return outputs_of(run, model, [example])[0]


@pytest.fixture(scope="module")
def model(run):
    return run.build(torch.float64)


def test_the_same_row_gives_the_same_output(run, model, draw):
    row = {"img": draw(((0, 0, 8, 8), "red")), "label": "red"}
    assert torch.equal(answer_of(run, model, "picture", **row), answer_of(run, model, "picture", **row))


def test_swapping_two_images_changes_the_output(run, model, draw):
    red, blue = draw(((0, 0, 16, 16), "red")), draw(((16, 16, 32, 32), "blue"))
    there = answer_of(run, model, "two_images", a=red, b=blue, which="first")
    assert (there - answer_of(run, model, "two_images", a=blue, b=red, which="first")).abs().max() > 1e-2


def test_swapping_two_texts_changes_the_output(run, model):
    there = answer_of(run, model, "two_texts", a="one cat", b="two cats", which="first")
    assert (there - answer_of(run, model, "two_texts", a="two cats", b="one cat", which="first")).abs().max() > 1e-2


@pytest.mark.parametrize("move", [(8, 0), (0, 8), (16, 16)])
def test_moving_a_thing_to_another_patch_changes_the_output(run, model, draw, move):
    right, down = move
    here = answer_of(run, model, "picture", img=draw(((0, 0, 8, 8), "red")), label="red")
    there = answer_of(run, model, "picture", img=draw(((right, down, right + 8, down + 8), "red")), label="red")
    assert (here - there).abs().max() > 1e-2


def test_exchanging_two_patches_changes_the_output(run, model, draw):
    first = draw(((0, 0, 8, 8), "red"), ((24, 16, 32, 24), "blue"))
    second = draw(((0, 0, 8, 8), "blue"), ((24, 16, 32, 24), "red"))
    here, there = (answer_of(run, model, "picture", img=img, label="red") for img in (first, second))
    assert (here - there).abs().max() > 1e-2


def test_cropping_a_picture_changes_the_output(run, model, draw):
    whole = draw(((8, 8, 24, 24), "red"))
    here = answer_of(run, model, "picture", img=whole, label="red")
    for box in ((8, 8, 24, 24), (0, 0, 24, 32), (8, 0, 32, 32)):
        assert (here - answer_of(run, model, "picture", img=whole.crop(box), label="red")).abs().max() > 1e-2


def test_the_same_patches_in_another_shape_change_the_output(run, model):
    square, line, column = (Image.new("RGB", size, "red") for size in ((32, 32), (128, 8), (8, 128)))
    outputs = [answer_of(run, model, "picture", img=img, label="red") for img in (square, line, column)]
    for here, there in zip(outputs, [*outputs[1:], outputs[0]], strict=True):
        assert (here - there).abs().max() > 1e-2


def test_equal_patches_of_a_picture_are_told_apart_in_memory(run, model):
    """Cross-attention has no rotary term, so the memory itself must say where a patch is: in a way that a line can read."""
    example = run.encoder.encode(
        "picture", {"img": Image.new("RGB", (64, 32), "red"), "label": "red"}, split="valid", rng=np.random.default_rng(0)
    )
    batch = run.encoder.pack([example])
    with torch.no_grad():
        states = model.encode(batch).states
    assert len(states) == 8 * 4
    rows, columns = np.divmod(np.arange(32), 8)
    for place in (rows, columns):
        design = torch.cat([states, torch.ones(32, 1, dtype=states.dtype)], 1)[::2]
        wanted = torch.tensor(place, dtype=states.dtype)
        weights = torch.linalg.lstsq(design, wanted[::2, None], driver="gelsd").solution[:, 0]
        read = torch.cat([states, torch.ones(32, 1, dtype=states.dtype)], 1)[1::2] @ weights
        assert torch.corrcoef(torch.stack([read, wanted[1::2]]))[0, 1] > 0.9
