"""How a command ends: 0, 2 for what the user can mend, 130 for Ctrl-C; anything else is a bug and shows its traceback."""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import typer

from ofa_cli.console import ReaderGone, print_error, print_warning, to_nowhere

USER_ERROR = 2
INTERRUPTED = 130

# Typer carries its own copy of click in some versions and uses the installed one in others; this is whichever it raises.
_COMMAND_LINE_ERROR: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class UserError(ValueError):
    """Something the user can mend; its text says what, where and what to do next."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean `x`?`` or nothing."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""


def guard(command: Callable[[], int]) -> int:
    """Run a command and turn what users cause into one message and an exit code.

    ``ValueError``, ``OSError``, ``ImportError`` (a missing extra) and this project's own errors (too many bad rows, a loss that
    is not finite) are the users'; ``OFA_DEBUG=1`` shows where they rose.
    """
    warnings.showwarning = _show_warning
    try:
        return command()
    except typer.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print_error("interrupted")
        return INTERRUPTED
    except _COMMAND_LINE_ERROR as error:
        if _debugging():
            raise
        if message := error.format_message():  # type: ignore[attr-defined]
            print_error(_usage_message(error, message))
        return USER_ERROR
    except (ReaderGone, SystemExit):  # typer and rich leave so when the reader of a help page is gone
        to_nowhere(sys.stdout)
        return 0
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if _debugging() or _is_bug(error):
            raise
        print_error(_message(error))
        return INTERRUPTED if type(error).__name__ == "Interrupted" else USER_ERROR


def _debugging() -> bool:
    return os.environ.get("OFA_DEBUG", "") not in ("", "0")


def _is_bug(error: Exception) -> bool:
    """Errors of these kinds that no user causes."""
    if isinstance(error, RuntimeError):
        return not _is_own(type(error))
    return isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("ofa_")


def _is_own(kind: type[BaseException]) -> bool:
    return kind.__module__.startswith("ofa_")


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if type(error).__name__ == "ValidationError":  # pydantic's, which is not imported for an error that never comes
        return _validation_message(error)
    return "\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])


def _validation_message(error: Any) -> str:
    """Every complaint on a line of its own, without pydantic's types and links."""
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join(map(str, item["loc"]))
        message = item["msg"].removeprefix("Value error, ")
        lines.append(f"`{where}`: {message}, got {item['input']!r}" if where else message)
    return "\n".join(lines)


def _usage_message(error: Exception, message: str) -> str:
    """What is wrong with the command line, and where the command's own help is."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "ofa"
    return f"{message.replace('Value error, ', '')}\nSee `{path} --help`."


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: object = None, line: str | None = None
) -> None:
    """Warnings of this project read like its errors; those of others keep the place they come from."""
    print_warning(str(message) if _is_own(category) else f"{filename}:{lineno}: {category.__name__}: {message}")
