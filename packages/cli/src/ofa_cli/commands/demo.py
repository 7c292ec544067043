"""``ofa demo``: the main job on the starter pack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ofa_cli.console import print_table, stderr, stdout


def demo(
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the checkpoint and the page.")] = Path("demo"),
    minutes: Annotated[
        float | None, typer.Option(metavar="N", min=0.1, help="Minutes of training instead of the recipe's.")
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="So many steps instead of minutes.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of weights, rows and scenes.")] = 0,
    everything: Annotated[bool, typer.Option("--all", help="Fifteen tasks over all nine modalities instead of six.")] = False,
) -> None:
    """Train one model on tasks of the starter pack, judge it on held-out rows, and draw a page of its answers.

    Image classification, captioning, VQA, visual grounding, summarisation and text infilling, in minutes on two cores; with
    --all also speech, phones, motion, video, tables and pictures, read and answered.

    [bold]Example[/bold]  ofa demo --output demo --minutes 5

    [bold]Example[/bold]  ofa demo --all --output demo-all
    """
    from ofa_trainer.checkpointing import CHECKPOINT
    from ofa_trainer.demo.plan import EVERYTHING, SIX
    from ofa_trainer.demo.report import TABLE_HEADER, more_figures, table_rows
    from ofa_trainer.demo.run import run_demo
    from ofa_trainer.reporting import ProgressReporter

    plan = EVERYTHING if everything else SIX
    result = run_demo(output, plan=plan, minutes=minutes, steps=steps, seed=seed, reporters=(ProgressReporter(stderr()),))
    console = stdout()
    print_table(TABLE_HEADER, table_rows(result))
    for task in result.tasks:
        console.print(f"\n{task.title}", style="bold", markup=False)
        also = f"; {more_figures(task)}" if task.more else ""
        console.print(f"  baseline: {task.baseline_name}{also}", style="dim", markup=False)
        console.print(f"  {task.instruction}", markup=False)
        for answer in result.answers[task.task][:1]:
            shown = f"{answer.picture or ''} {answer.question or ''}".strip()
            console.print(f"  {shown} -> {answer.answer}   (truth: {answer.truth})", markup=False)
    console.print()
    console.print(f"the model  {output / CHECKPOINT}", markup=False, soft_wrap=True)
    console.print(f"the page   {output / 'index.html'}", markup=False, soft_wrap=True)
