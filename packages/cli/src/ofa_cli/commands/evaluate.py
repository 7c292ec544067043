"""``ofa evaluate``: judge a trained model on the rows of a run file."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ofa_cli.console import print_json, print_table, print_warning
from ofa_cli.errors import UserError
from ofa_cli.options import AsJson, CheckpointArgument, RunFileArgument, Settings

if TYPE_CHECKING:
    from ofa_trainer.evaluation import Evaluation


class Split(StrEnum):
    """Which rows."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


def evaluate(
    checkpoint: CheckpointArgument,
    run_file: RunFileArgument,
    split: Annotated[Split, typer.Option(help="Which rows to judge.")] = Split.TEST,
    rows: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many rows of a task, spread over all.")] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Answer held-out rows of every task and print the metrics with their 95 % intervals.

    [bold]Example[/bold]  ofa evaluate runs/caption run.yaml --split valid
    """
    from ofa_models.session import Session
    from ofa_trainer.checkpointing import find_checkpoint
    from ofa_trainer.evaluation import evaluate as judge
    from ofa_trainer.plans import EvaluatePlan

    from ofa_cli.request import read_request

    request = read_request(str(run_file), settings=settings or [])
    tasks = [task for task in request.tasks() if task.source(split.value) is not None]
    if not tasks:
        raise UserError(f"{run_file}: no task has {split} rows; give them as `{split}:`, or choose another --split")
    session = Session.from_pretrained(find_checkpoint(checkpoint), hosts=request.run.trainer.hosts)
    plan = EvaluatePlan(split=split.value, rows=rows, generation=request.run.generation)
    evaluation = judge(session, tasks, plan)
    for name, task in evaluation.tasks.items():
        for column, count in task.unfinished.items():
            print_warning(f"task `{name}`: {count:,} of {task.rows:,} answers of `{column}` were cut at their longest length")
    if as_json:
        figures = evaluation.figures()
        print_json({task: {name: one.as_json() for name, one in metrics.items()} for task, metrics in figures.items()})
    else:
        _print(evaluation, split)
    if complaint := evaluation.complaint():
        raise UserError(complaint)


def _print(evaluation: Evaluation, split: Split) -> None:
    rows = [
        (task, name, f"{figure.value:.3f}", figure.interval("{low:.3f} – {high:.3f}"), f"{figure.rows:,}")
        for task, metrics in evaluation.figures().items()
        for name, figure in metrics.items()
    ]
    columns = ("task", "metric", "value", "95 % interval", "rows")
    print_table(columns, rows, right=columns[2:], title=f"{split} rows")
