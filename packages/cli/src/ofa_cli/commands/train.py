"""``ofa train``: from a run file, or straight from an instruction and its rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ofa_cli.console import print_json, stderr, stdout
from ofa_cli.errors import UserError
from ofa_cli.options import AsJson, Columns, Data, Delimiter, Device, Encoding, Root, RunOrInstruction, Settings

if TYPE_CHECKING:
    from ofa_trainer.trainer import Trained

    from ofa_cli.request import RunRequest


def train(
    what: RunOrInstruction,
    data: Data = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    root: Root = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the run; runs/NAME by itself.")] = None,
    model: Annotated[str | None, typer.Option(metavar="SIZE", help="Size of the model: nano tiny small base large.")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Optimiser steps.")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="N", help="As many steps as fit into so many minutes.")] = None,
    device: Device = None,
    settings: Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the output folder.")] = False,
    from_step: Annotated[
        int | None, typer.Option("--from-step", metavar="N", min=1, help="Of --resume: go back to the checkpoint of this step.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train one model on the tasks of a run file, or on one instruction and its rows.

    Ctrl-C finishes the step, saves and exits with 130; --resume goes on from there, and with more --steps beyond the end.

    [bold]Example[/bold]  ofa train run.yaml --set trainer.steps=500

    [bold]Example[/bold]  ofa train '\\[IMAGE:img] what is this? -> \\[TEXT:label,closed_set]' --data my.csv

    [bold]Example[/bold]  ofa train '\\[TEXT:text] mood? -> \\[TEXT:mood,closed_set]' --data odd.csv --column 'mood=1st choice'
    """
    from ofa_cli.data_files import DataFile
    from ofa_cli.request import read_request

    options = {"model.size": model, "trainer.steps": steps, "trainer.minutes": minutes, "trainer.device": device}
    rows = DataFile(data=data, columns=columns, delimiter=delimiter, root=root, encoding=encoding)
    request = read_request(what, data=rows, settings=settings or [], options=options)
    folder = output or _output(what, request)
    if from_step is not None and not resume:
        raise UserError("--from-step says where --resume goes on: give both")
    trained = _fit(request, folder, resume=resume if from_step is None else from_step, quiet=as_json)
    if as_json:
        print_json(_summary(trained, folder))
    else:
        _print_next(trained, folder)


def _output(what: str, request: RunRequest) -> Path:
    from ofa_cli.request import INLINE_TASK, is_instruction

    if request.run.output is not None:
        return request.base / request.run.output
    return Path("runs") / (INLINE_TASK if is_instruction(what) else Path(what).stem)


def _fit(request: RunRequest, folder: Path, *, resume: bool | int, quiet: bool) -> Trained:
    from ofa_trainer.reporting import ProgressReporter
    from ofa_trainer.trainer import Trainer

    run = request.run
    reporters = () if quiet else (ProgressReporter(stderr()),)
    trainer = Trainer(run.trainer, reporters=reporters, generation=run.generation)
    return trainer.fit(run.model.plan(), request.tasks(), output=folder, resume=resume)


def _summary(trained: Trained, folder: Path) -> dict[str, Any]:
    from ofa_trainer.checkpointing import CHECKPOINT, LAST

    figures = {task: {name: figure.as_json() for name, figure in metrics.items()} for task, metrics in trained.figures.items()}
    return {
        "output": str(folder),
        "checkpoint": str(folder / CHECKPOINT),
        "last": str(folder / LAST),
        "steps": trained.state.step,
        "best_step": trained.state.best_step,
        "best_by": trained.state.best_by,
        "reason": trained.reason,
        "verdict": list(trained.verdict),
        "validation": figures,
    }


def _print_next(trained: Trained, folder: Path) -> None:
    """What is where, and what to do with it: one command line for the first task."""
    from ofa_trainer.checkpointing import CHECKPOINT, LAST

    from ofa_cli.column_options import infer_options
    from ofa_cli.hints import ask_command

    console, state = stdout(), trained.state
    best = "" if state.best_step is None else f": step {state.best_step}, the best by {state.best_by}"
    last = "" if trained.step == state.step else f"; the last one, {state.step}, is {folder / LAST}"
    console.print(f"saved {folder / CHECKPOINT}{best}{last}", markup=False, soft_wrap=True)
    command = ask_command(folder / CHECKPOINT, trained.prepared.tasks[0], trained.plan.tasks[0], infer_options())
    if command:
        console.print(f"ask it: {command}", markup=False, soft_wrap=True)
