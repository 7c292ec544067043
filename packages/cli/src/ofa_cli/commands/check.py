"""``ofa check``: every mistake of a run file at once, without torch."""

from __future__ import annotations

import typer

from ofa_cli.console import print_json, stdout
from ofa_cli.options import AsJson, RunFileArgument, Settings


def check(
    run_file: RunFileArgument,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Find every mistake of a run file: keys, values, instructions, plugins, data files and their columns.

    Exit code 2 where there are any. Nothing is trained, and torch is not loaded.

    [bold]Example[/bold]  ofa check run.yaml --set trainer.steps=500
    """
    from ofa_cli.checking import check_run_file

    report = check_run_file(run_file, settings or [])
    if as_json:
        print_json(report.as_json())
    else:
        report.print(stdout())
    if report.mistakes:
        raise typer.Exit(2)
