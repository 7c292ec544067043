"""Files of a folder that somebody else may have written: opened only where they are regular, inside of it and not too large.

A link is followed where it stays inside; a FIFO, a device, a socket or a link out of the folder is never opened. What is read is
bounded before it is read, and JSON is bounded in depth and number of values. Whatever is wrong is a :class:`CheckpointError` of
one line that names the file. No torch here.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, TypeVar

from ofa_instruction.documents import DocumentError, parse_json
from ofa_instruction.telling import complaint, told
from pydantic import BaseModel, ValidationError

MOST_PLAN_BYTES = 8 << 20
"""Of one plan as JSON; a thousand tasks take about 4 MB."""

PlanT = TypeVar("PlanT", bound=BaseModel)

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class CheckpointError(ValueError):
    """A folder that is no checkpoint, or one whose files cannot be read or do not fit each other."""


def file_error(path: Path, what: str) -> CheckpointError:
    """``what`` is wrong with a file: one line of bounded length."""
    return CheckpointError(f"`{told(str(path), 240)}` {told(what)}")


def open_inside(folder: Path, name: str) -> int:
    """A descriptor of the regular file ``name`` of a folder, for reading. Raises CheckpointError."""
    path = folder / name
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            raise file_error(path, "is a link out of its folder, and only files inside of it are read")
        _check_kind(path, real.stat().st_mode)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(real, flags)
    except FileNotFoundError as error:
        raise file_error(path, "is missing" if not path.is_symlink() else "is a link that leads nowhere") from error
    except UnicodeEncodeError as error:
        raise file_error(path, "has a name that no file can have") from error
    except CheckpointError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise file_error(path, f"cannot be read: {reason}") from error
    try:
        _check_kind(path, os.fstat(handle).st_mode)
    except CheckpointError:
        os.close(handle)
        raise
    return handle


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((word for test, word in _KINDS if test(mode)), "something else")
        raise file_error(path, f"is {kind}, not a file")


def read_bytes(folder: Path, name: str, *, most: int) -> bytes:
    """The content of a file of at most ``most`` bytes. Raises CheckpointError."""
    path = folder / name
    with open(open_inside(folder, name), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise file_error(path, f"has {size:,} bytes, more than the {most:,} that such a file may have")
        try:
            data = file.read(most + 1)
        except OSError as error:
            raise file_error(path, f"cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise file_error(path, f"has more than the {most:,} bytes that such a file may have")
    return data


def read_json(folder: Path, name: str, *, most: int) -> Any:
    """The JSON of a file. Raises CheckpointError."""
    data = read_bytes(folder, name, most=most)
    try:
        return parse_json(data)
    except DocumentError as error:
        raise file_error(folder / name, str(error)) from error


def read_plan(folder: Path, name: str, kind: type[PlanT]) -> PlanT:
    """A plan out of a JSON file. Raises CheckpointError that names the first field that is wrong."""
    data = read_json(folder, name, most=MOST_PLAN_BYTES)
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise file_error(folder / name, complaint(error, data)) from error
