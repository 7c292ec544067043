"""The door: ``ofa`` and its commands.

Nothing here or at the top of a command's file imports numpy, torch or the packages that need them.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from ofa_cli.column_options import ColumnsCommand, InstructionCommand
from ofa_cli.commands.check import check
from ofa_cli.commands.demo import demo
from ofa_cli.commands.doctor import doctor
from ofa_cli.commands.evaluate import evaluate
from ofa_cli.commands.explain import explain
from ofa_cli.commands.infer import infer
from ofa_cli.commands.list import list_plugins
from ofa_cli.commands.plan import plan
from ofa_cli.commands.train import train
from ofa_cli.console import to_nowhere
from ofa_cli.errors import guard
from ofa_cli.threads import let_threads_sleep

app = typer.Typer(
    name="ofa",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ofa {version('ofa-cli')}")
        raise typer.Exit


@app.callback()
def ofa(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """A task over many modalities is one line of text. Train one model on any mixture of them, then ask it.

    [bold]Try[/bold]  ofa plan '\\[IMAGE:img] what does the image describe? -> \\[TEXT:cap]'
    """


app.command("plan", cls=InstructionCommand, rich_help_panel="Before training")(plan)
app.command("check", rich_help_panel="Before training")(check)
app.command("explain", cls=InstructionCommand, rich_help_panel="Before training")(explain)
app.command("train", cls=InstructionCommand, rich_help_panel="Training")(train)
app.command("evaluate", cls=InstructionCommand, rich_help_panel="Training")(evaluate)
app.command("demo", rich_help_panel="Training")(demo)
app.command("infer", cls=ColumnsCommand, context_settings={"allow_extra_args": True}, rich_help_panel="Answers")(infer)
app.command("list", rich_help_panel="About this installation")(list_plugins)
app.command("doctor", rich_help_panel="About this installation")(doctor)


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    words = sys.argv[1:] if arguments is None else arguments
    return guard(lambda: app(args=words, prog_name="ofa", standalone_mode=False) or 0)


def main() -> None:
    """The console script."""
    let_threads_sleep()
    code = run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        to_nowhere(sys.stdout)
    sys.exit(code)
