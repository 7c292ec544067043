"""``ofa evaluate``: judge a trained model on the rows of a run file, or of a file."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ofa_cli.console import print_json, print_table, print_warning, stderr
from ofa_cli.errors import UserError
from ofa_cli.options import AsJson, CheckpointArgument, Columns, Data, Delimiter, Device, Encoding, Root, Settings

if TYPE_CHECKING:
    from ofa_models.session import Session
    from ofa_trainer.evaluation import Evaluation
    from ofa_trainer.task import Task

    from ofa_cli.data_files import DataFile
    from ofa_cli.request import RunRequest


class Split(StrEnum):
    """Which rows."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


def evaluate(
    checkpoint: CheckpointArgument,
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN.YAML|INSTRUCTION",
            help="A run file; or an instruction, or a task's name, with --data.",
            show_default=False,
        ),
    ],
    data: Data = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    root: Root = None,
    split: Annotated[Split | None, typer.Option(help="Which rows of a run file to judge; test by itself.")] = None,
    rows: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many rows of a task, spread over all.")] = None,
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="Judge --data by this one; may be repeated.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write what was asked, right and answered, a line a row: .csv or .jsonl.")
    ] = None,
    settings: Settings = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Answer held-out rows and print the metrics with their 95 % intervals.

    [bold]Example[/bold]  ofa evaluate runs/caption run.yaml --split valid

    [bold]Example[/bold]  ofa evaluate runs/task '\\[IMAGE:img] what is this? -> \\[TEXT:label,closed_set]' --data test.csv

    [bold]Example[/bold]  ofa evaluate runs/task task --data test.csv --metric accuracy --save predictions.csv
    """
    from ofa_models.session import Session
    from ofa_trainer.checkpointing import find_checkpoint
    from ofa_trainer.evaluation import evaluate as judge
    from ofa_trainer.plans import EvaluatePlan
    from ofa_trainer.predictions import check_suffix

    from ofa_cli.data_files import DataFile, name_of

    if save is not None:
        check_suffix(save)
    given = DataFile(data=data, columns=columns, delimiter=delimiter, root=root, encoding=encoding)
    request = _request(what, given, split, metrics, settings or [], device)
    split = split or Split.TEST
    tasks = _tasks_of_file(what, request, split) if data is None else []
    trainer = request.run.trainer
    session = Session.from_pretrained(find_checkpoint(checkpoint), hosts=trainer.hosts, device=trainer.device)
    tasks = tasks or [_task_of_line(session, what, request, metrics)]
    plan = EvaluatePlan(split=split.value, rows=rows, generation=request.run.generation)
    evaluation = judge(session, tasks, plan)
    for name, task in evaluation.tasks.items():
        for column, count in task.unfinished.items():
            print_warning(f"task `{name}`: {count:,} of {task.rows:,} answers of `{column}` were cut at their longest length")
    if as_json:
        figures = evaluation.figures()
        print_json({task: {name: one.as_json() for name, one in metrics.items()} for task, metrics in figures.items()})
    else:
        _print(evaluation, f"{split} rows" if data is None else f"rows of {name_of(data)}")
    if save is not None:
        stderr().print(f"wrote {evaluation.save(save)}", style="dim", markup=False, soft_wrap=True)
    if complaint := evaluation.complaint():
        raise UserError(complaint)


def _request(
    what: str, given: DataFile, split: Split | None, metrics: list[str] | None, settings: Sequence[str], device: str | None
) -> RunRequest:
    from ofa_cli.request import is_instruction, read_request

    data = given.data
    if data is not None and split is not None:
        raise UserError(f"--split {split} goes with a run file; all rows of {data} are judged")
    if data is None and metrics:
        raise UserError("--metric goes with --data; a run file names the metrics of its tasks")
    if data is None and not is_instruction(what) and not Path(what).exists():
        raise UserError(f"{what}: no such run file; an instruction or the name of a task needs its rows: --data test.csv")
    named = data is not None and not is_instruction(what) and not Path(what).exists()
    return read_request(what, data=given, settings=settings, options={"trainer.device": device}, is_task=named)


def _tasks_of_file(what: str, request: RunRequest, split: Split) -> list[Task]:
    tasks = [task for task in request.tasks() if task.source(split.value) is not None]
    if not tasks:
        raise UserError(f"{what}: no task has {split} rows; give them as `{split}:`, or choose another --split")
    return tasks


def _task_of_line(session: Session, what: str, request: RunRequest, metrics: Sequence[str] | None) -> Task:
    """The task of an instruction, or of a trained task's name, with the rows of the request."""
    from ofa_trainer.sources.as_trained import open_as_trained
    from ofa_trainer.task import Task

    from ofa_cli.request import INLINE_TASK

    resolved = session.resolve(what)
    trained = session.instructions
    name = resolved.task if resolved.task in trained else next(name for name in (INLINE_TASK, "line") if name not in trained)
    (plan,) = request.run.tasks.values()
    columns = list(dict.fromkeys(slot.column for slot in resolved.plan.slots))
    source = open_as_trained(
        plan.train,
        session.checkpoint.plan,
        resolved.task,
        instruction=resolved.plan.text,
        needed=columns,
        known=columns,
        columns=plan.columns,
        delimiter=plan.delimiter,
        base=request.base,
    )
    return Task(name, resolved.plan.text, train=source, valid=False, test=source, metrics=metrics)


def _print(evaluation: Evaluation, title: str) -> None:
    rows = [
        (task, name, f"{figure.value:.3f}", figure.interval("{low:.3f} – {high:.3f}"), f"{figure.rows:,}", figure.beside)
        for task, metrics in evaluation.figures().items()
        for name, figure in metrics.items()
    ]
    columns = ("task", "metric", "value", "95 % interval", "rows", "a constant answer")
    print_table(columns, rows, right=columns[2:5], title=title)
