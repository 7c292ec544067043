"""Where words go: answers to stdout, everything about how they came about to stderr.

rich would turn the `:label:` of an address into a picture, hence ``emoji=False``.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def stdout() -> Console:
    """The console of answers. Made anew, because the stream may have been replaced."""
    from rich.console import Console

    return Console(highlight=False, emoji=False)


def stderr() -> Console:
    """The console of progress, warnings and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """Print one JSON document to stdout and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_warning(message: str) -> None:
    """One warning on stderr."""
    from rich.text import Text

    stderr().print(Text.assemble(("warning: ", "bold yellow"), message), soft_wrap=True)


def print_error(message: str) -> None:
    """One error on stderr; its lines are kept as they are, because carets stand under words."""
    from rich.text import Text

    stderr().print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
