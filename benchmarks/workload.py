"""The six-task mix of the demo as packed batches, and a model for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ofa_instruction import default_catalog
from ofa_modalities.segment import Example
from ofa_models.plans import ModelPlan
from ofa_trainer.demo.recipe import DEMO_TASKS, TOKENIZER_SIZE
from ofa_trainer.demo.run import demo_tasks
from ofa_trainer.mixture import Mixture
from ofa_trainer.plans import TrainerOptions
from ofa_trainer.preparing import Prepared, prepare
from ofa_trainer.starter import starter_source
from ofa_trainer.stream import RowStream
from ofa_trainer.workers import RowReader

TEXT_TASKS = ("summary", "infill")
FIT_ROWS = 400
"""Rows of each task that the tokenizer is trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """prepared: the run. steps: rows of each step, in the order training would draw them."""

    prepared: Prepared
    steps: tuple[tuple[Example, ...], ...]


def make_workload(size: str, batch_tokens: int, num_steps: int, names: Sequence[str] | None = None) -> Workload:
    """Draw ``num_steps`` steps of the demo's mixture, or of some of its tasks (the vocabulary is that of all six)."""
    tasks = demo_tasks()
    options = TrainerOptions(batch_tokens=batch_tokens, tokenizer_size=TOKENIZER_SIZE, fit_rows=FIT_ROWS)
    prepared = prepare(tasks, ModelPlan.of_size(size), options, default_catalog())
    drawn = [task for task in DEMO_TASKS if names is None or task.name in names]
    rows = {task.name: len(starter_source(task.name, "train")) for task in drawn}
    weights = {task.name: task.rows_per_step for task in drawn}
    reader = RowReader(
        encoder=prepared.encoder,
        names=tuple(rows),
        sources=tuple(starter_source(name, "train") for name in rows),
        transforms=(None,) * len(rows),
        split="train",
        seed=0,
    )
    stream = RowStream(reader=reader, mixture=Mixture(rows, seed=0, weights=weights), budget=batch_tokens)
    steps = stream.steps(stream.start())
    drawn_steps = tuple(tuple(next(steps).examples) for _ in range(num_steps))
    steps.close()
    return Workload(prepared=prepared, steps=drawn_steps)
