"""The demo, start to end: its tasks, one model, a table and a page.

demo_tasks ─▶ Trainer.fit ─▶ save ─▶ answer held-out rows ─▶ judge beside baselines ─▶ page
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from ofa_models.session import Session
from ofa_models.zoo import GeneralistModel
from PIL import Image

from ofa_trainer.checkpointing import CHECKPOINT, MODEL_FILE, clean
from ofa_trainer.demo import recipe
from ofa_trainer.demo.cards import shown_rows
from ofa_trainer.demo.judging import AnsweredRow, judge, reads
from ofa_trainer.demo.plan import SIX, DemoPlan
from ofa_trainer.demo.recipe import DemoTask
from ofa_trainer.demo.report import write_report
from ofa_trainer.demo.results import Answer, CurvePoint, DemoResult, TaskFigures
from ofa_trainer.demo.showing import Showing
from ofa_trainer.locking import locked
from ofa_trainer.metrics.infilling import shown_text
from ofa_trainer.metrics.metric import Judged
from ofa_trainer.mixture import row_rng
from ofa_trainer.reporting.events import Event, Reporter, StepDone
from ofa_trainer.source import Source
from ofa_trainer.starter import starter_source
from ofa_trainer.starter._extension_pack import clips
from ofa_trainer.starter._pack import drawings, sprites
from ofa_trainer.task import Task
from ofa_trainer.trainer import Trainer

HeldOut = Literal["valid", "test"]


class CurveReporter:
    """Keeps each task's training loss and the speed, for the page."""

    def __init__(self) -> None:
        self.curves: dict[str, list[CurvePoint]] = {}
        self.tokens = 0
        self.elapsed_s = 0.0

    def report(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, StepDone):
            self.tokens += event.tokens
            self.elapsed_s = event.elapsed_s
            for task, loss in event.losses.items():
                self.curves.setdefault(task, []).append(CurvePoint(step=event.step, loss=loss))

    def close(self) -> None:
        """Nothing to give back."""


def run_demo(
    output: Path,
    *,
    plan: DemoPlan = SIX,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = recipe.SEED,
    split: HeldOut = "test",
    rows: int | None = None,
    size: str | None = None,
    reporters: Sequence[Reporter] = (),
) -> DemoResult:
    """Train, save ``output/checkpoint``, judge held-out rows, and write ``output/index.html``.

    minutes: of training; None: the plan's. steps: so many instead. split: ``valid`` while choosing, ``test`` once at the end.
    rows: held-out rows of each task, the first of the split; None: the plan's number. reporters: told what happens while it
    trains. An older checkpoint there is replaced; raises ValueError, before training, where ``output/checkpoint`` is something
    else, and where the folder is in use or cannot be written.
    """
    with locked(output):
        clean(output)
        return _train_and_judge(output, plan, minutes, steps, seed, split, rows or plan.rows, size or plan.size, reporters)


def _train_and_judge(
    output: Path,
    plan: DemoPlan,
    minutes: float | None,
    steps: int | None,
    seed: int,
    split: HeldOut,
    rows: int,
    size: str,
    reporters: Sequence[Reporter],
) -> DemoResult:
    checkpoint = output / CHECKPOINT
    if checkpoint.exists() and any(checkpoint.iterdir()) and not (checkpoint / MODEL_FILE).is_file():
        raise ValueError(f"`{checkpoint}` holds something else than a checkpoint: choose another output folder")
    curves = CurveReporter()
    tasks = demo_tasks(seed, plan)
    trainer = Trainer(
        plan.options(minutes=plan.minutes if minutes is None else minutes, steps=steps, seed=seed),
        reporters=(*reporters, curves),
        generation=recipe.GENERATION,
    )
    trained = trainer.fit(GeneralistModel(size, **plan.overrides), tasks)
    trained.save(checkpoint)
    started = time.perf_counter()
    showing = Showing(output)
    figures, answers, pictures = judge_tasks(trained.session(), plan, showing, seed=seed, split=split, rows=rows)
    result = DemoResult(
        model=size,
        num_parameters=sum(parameter.numel() for parameter in trained.model.parameters()),
        steps=trained.state.step,
        training_s=trained.state.elapsed_s or curves.elapsed_s,
        evaluation_s=time.perf_counter() - started,
        seed=seed,
        tokens_per_s=curves.tokens / max(curves.elapsed_s, 1e-9),
        split=split,
        tasks=tuple(figures),
        answers={task: tuple(cards) for task, cards in answers.items()},
        curves={task.name: tuple(curves.curves.get(task.name, ())) for task in plan.tasks},
        checkpoint=CHECKPOINT,
    )
    write_report(result, pictures, output)
    return result


def demo_tasks(seed: int = recipe.SEED, plan: DemoPlan = SIX) -> list[Task]:
    """The tasks on the starter pack, without validation during training: the budget is for learning."""
    return [
        Task(
            task.name,
            task.instruction,
            train=starter_source(task.name, "train", seed),
            valid=False,
            test=starter_source(task.name, "test"),
            closed_sets=closed_sets(task.name),
            metrics=task.metrics,
            criteria=task.criteria,
            weight=task.rows_per_step,
            loss_weight=task.loss_weight,
        )
        for task in plan.tasks
    ]


def closed_sets(task: str) -> dict[str, tuple[str, ...]]:
    """Candidates by column: what the pack says of itself, so that no scene has to be composed to find them."""
    match task:
        case "classify":
            return {"label": tuple(sorted({drawing.category for drawing in drawings()}))}
        case "vqa":
            things = {word for styles in sprites() for word in (styles[0].name, styles[0].category)}
            return {"answer": tuple(sorted({*things, *recipe.PLAIN_ANSWERS}))}
        case "clip":
            return {"label": tuple(sorted({clip.label for clip in clips()}))}
        case _:
            return {}


def judge_tasks(
    session: Session, plan: DemoPlan, showing: Showing, *, seed: int, split: HeldOut, rows: int
) -> tuple[list[TaskFigures], dict[str, list[Answer]], dict[str, Image.Image]]:
    """Figures of all tasks, cards by task, pictures by file name."""
    figures: list[TaskFigures] = []
    cards: dict[str, list[Answer]] = {}
    pictures: dict[str, Image.Image] = {}
    for task in plan.tasks:
        answered = answer_rows(session, task, starter_source(task.name, split), rows)
        train = starter_source(task.name, "train", seed)
        figures.append(judge(task, train, answered, split, partial(right_answer, session, task)))
        cards[task.name], shown = shown_rows(task, answered, showing)
        pictures |= shown
    return figures, cards, pictures


def right_answer(session: Session, task: DemoTask, row: Mapping[str, object]) -> object:
    """What should be answered to a row."""
    resolved = session.resolve(task.name)
    example = resolved.encoder.encode(
        resolved.task, row, split="valid", rng=row_rng(0, task.name, 0, 0), with_targets=False, alternative=resolved.alternative
    )
    return resolved.encoder.references(row, example, split="valid")[task.target]


def answer_rows(session: Session, task: DemoTask, source: Source, count: int) -> list[AnsweredRow]:
    """The first ``count`` rows of a held-out source, answered. What is masked depends on the row alone."""
    resolved = session.resolve(task.name)
    indices = range(min(count, len(source)))
    rows = [source.read(index, 0) for index in indices]
    examples = [
        resolved.encoder.encode(
            resolved.task,
            row,
            split="test",
            rng=row_rng(0, task.name, 0, index),
            address=source.address(index),
            with_targets=False,
            alternative=resolved.alternative,
        )
        for index, row in zip(indices, rows, strict=True)
    ]
    outputs = session.answer(resolved, examples, generation=task.generation, rows=rows)
    return [
        AnsweredRow(
            address=example.address,
            row=row,
            judged=Judged(
                answer=out[task.target],
                reference=resolved.encoder.references(row, example, split="test")[task.target],
                shown=shown_text(resolved.encoder, example, task.target),
                given={column: row[column] for metric in task.metrics for column in reads(metric)},
            ),
        )
        for row, example, out in zip(rows, examples, outputs, strict=True)
    ]
