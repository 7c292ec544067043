"""``ofa demo``: the main job on the starter pack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ofa_cli.console import stderr, stdout


def demo(
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the checkpoint and the page.")] = Path("demo"),
    minutes: Annotated[
        float | None, typer.Option(metavar="N", min=0.1, help="Minutes of training instead of the recipe's.")
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="So many steps instead of minutes.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of weights, rows and scenes.")] = 0,
) -> None:
    """Train one model on six tasks of the starter pack, judge it on held-out rows, and draw a page of its answers.

    Image classification, captioning, VQA, visual grounding, summarisation and text infilling, in minutes on two cores.

    [bold]Example[/bold]  ofa demo --output demo --minutes 5
    """
    from ofa_trainer.demo import recipe
    from ofa_trainer.demo.report import TABLE_HEADER, table_rows
    from ofa_trainer.demo.run import CHECKPOINT, run_demo
    from ofa_trainer.reporting import ProgressReporter
    from rich.table import Table

    budget = recipe.TRAINING_MINUTES if minutes is None else minutes
    result = run_demo(output, minutes=budget, steps=steps, seed=seed, reporters=(ProgressReporter(stderr()),))
    table = Table(*TABLE_HEADER, box=None, pad_edge=False, header_style="bold")
    for row in table_rows(result):
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    console = stdout()
    console.print(table)
    console.print(f"the model  {output / CHECKPOINT}", markup=False, soft_wrap=True)
    console.print(f"the page   {output / 'index.html'}", markup=False, soft_wrap=True)
