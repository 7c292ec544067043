"""``ofa check``: every mistake of a run file at once, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ofa_cli.console import print_json, stdout


def check(
    run_file: Annotated[Path, typer.Argument(help="The run file (YAML).", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Lay a.b=c over the run file; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Find every mistake of a run file: keys, values, instructions, plugins, data files and their columns.

    Exit code 2 where there are any. Nothing is trained, and torch is not loaded.

    [bold]Example[/bold]  ofa check run.yaml --set trainer.steps=500
    """
    from ofa_cli.checking import check_run_file

    report = check_run_file(run_file, settings or [])
    if as_json:
        mistakes = [{"place": item.place, "key": item.key, "message": item.message} for item in report.mistakes]
        print_json({"ok": not mistakes, "mistakes": mistakes, "tasks": [task.as_json() for task in report.tasks]})
    else:
        report.print(stdout())
    if report.mistakes:
        raise typer.Exit(2)
