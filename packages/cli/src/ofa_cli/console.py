"""Where words go: answers to stdout, everything about how they came about to stderr.

A reader that is a program (a pipe, a file) gets every name and figure whole, a line a row, without colours; the width of a
terminal is for people. rich would turn the `:label:` of an address into a picture, hence ``emoji=False``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

UNFOLDED = 100_000
"""Width in columns of a console that no person looks at."""


class ReaderGone(Exception):
    """Whoever read stdout has closed it, as ``| head`` does; nothing is wrong."""


def stdout() -> Console:
    """The console of answers. Made anew, because the stream may have been replaced."""
    return _console(sys.stdout, _give_up)


def stderr() -> Console:
    """The console of progress, warnings and errors. Where nobody reads it any more, the command goes on without."""
    return _console(sys.stderr, _leave_silent)


def _console(stream: IO[str], on_broken_pipe: Any) -> Console:
    from rich.console import Console

    console = Console(file=stream, highlight=False, emoji=False, width=None if stream.isatty() else UNFOLDED)
    console.on_broken_pipe = on_broken_pipe  # type: ignore[method-assign]
    return console


def _give_up() -> None:
    raise ReaderGone


def _leave_silent() -> None:
    to_nowhere(sys.stderr)


def to_nowhere(stream: IO[str]) -> None:
    """Let what is still written to a stream without a reader vanish, at the interpreter's end too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def write(text: str) -> None:
    """Write lines of an answer to stdout as they are. Raises ReaderGone."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def print_json(value: Any) -> None:
    """Print one JSON document to stdout and nothing else."""
    write(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = (), title: str = "") -> None:
    """A table on stdout: aligned, its cells folded where a terminal is too narrow and never cut. right: columns of figures."""
    from rich.table import Table
    from rich.text import Text

    table: Table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(Text(name), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = stdout()
    if title:
        console.print(title, style="italic", markup=False, soft_wrap=True)
    console.print(table)


def print_warning(message: str) -> None:
    """One warning on stderr."""
    from rich.text import Text

    stderr().print(Text.assemble(("warning: ", "bold yellow"), message), soft_wrap=True)


def print_error(message: str) -> None:
    """One error on stderr; its lines are kept as they are, because carets stand under words."""
    from rich.text import Text

    stderr().print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
