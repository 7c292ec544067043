"""``ofa train``: from a run file, or straight from an instruction and its rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ofa_cli.console import print_json, stderr, stdout
from ofa_cli.options import AsJson, Data, RunOrInstruction, Settings

if TYPE_CHECKING:
    from ofa_trainer.trainer import Trained

    from ofa_cli.request import RunRequest


def train(
    what: RunOrInstruction,
    data: Data = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the run; runs/NAME by itself.")] = None,
    model: Annotated[str | None, typer.Option(metavar="SIZE", help="Size of the model: nano tiny small base large.")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Optimiser steps.")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="N", help="As many steps as fit into so many minutes.")] = None,
    settings: Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the output folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train one model on the tasks of a run file, or on one instruction and its rows.

    Ctrl-C finishes the step, saves and exits with 130; --resume goes on from there.

    [bold]Example[/bold]  ofa train run.yaml --set trainer.steps=500

    [bold]Example[/bold]  ofa train '\\[IMAGE:img] what is this? -> \\[TEXT:label,closed_set]' --data my.csv
    """
    from ofa_cli.request import read_request

    options = {"model.size": model, "trainer.steps": steps, "trainer.minutes": minutes}
    request = read_request(what, data=data, settings=settings or [], options=options)
    folder = output or _output(what, request)
    trained = _fit(request, folder, resume=resume, quiet=as_json)
    checkpoint = trained.save(folder / "checkpoint")
    if as_json:
        print_json(_summary(trained, folder, checkpoint))
    else:
        _print_next(trained, checkpoint)


def _output(what: str, request: RunRequest) -> Path:
    from ofa_cli.request import INLINE_TASK, is_instruction

    if request.run.output is not None:
        return request.base / request.run.output
    return Path("runs") / (INLINE_TASK if is_instruction(what) else Path(what).stem)


def _fit(request: RunRequest, folder: Path, *, resume: bool, quiet: bool) -> Trained:
    from ofa_trainer.reporting import ProgressReporter
    from ofa_trainer.trainer import Trainer

    run = request.run
    reporters = () if quiet else (ProgressReporter(stderr()),)
    trainer = Trainer(run.trainer, reporters=reporters, generation=run.generation)
    return trainer.fit(run.model.plan(), request.tasks(), output=folder, resume=resume)


def _summary(trained: Trained, folder: Path, checkpoint: Path) -> dict[str, Any]:
    figures = {task: {name: figure.model_dump() for name, figure in metrics.items()} for task, metrics in trained.figures.items()}
    return {
        "output": str(folder),
        "checkpoint": str(checkpoint),
        "steps": trained.state.step,
        "reason": trained.reason,
        "validation": figures,
    }


def _print_next(trained: Trained, checkpoint: Path) -> None:
    """What to do with it: one command line for the first task."""
    from ofa_cli.asking import example_command

    console = stdout()
    console.print(f"saved {checkpoint}", markup=False, soft_wrap=True)
    console.print(f"ask it: {example_command(checkpoint, trained.plan.tasks[0])}", markup=False, soft_wrap=True)
