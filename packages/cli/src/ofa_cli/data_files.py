"""What ``--data`` may be: a file, a folder, or ``-`` and pipes, which are read to their end first."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from ofa_cli.errors import UserError

_FIRST_BYTES = 1024


def name_of(data: Path) -> str:
    """What the data is called in a message."""
    return "stdin" if str(data) == "-" else str(data)


def source_of(data: Path) -> dict[str, object]:
    """The data as a run file names it; media paths of what came through a pipe start at the current folder. Raises UserError."""
    piped = data.exists() and not data.is_file() and not data.is_dir()
    if str(data) != "-" and not piped:
        return {"path": str(data)}
    with contextlib.nullcontext(sys.stdin.buffer) if str(data) == "-" else data.open("rb") as stream:
        path = _spooled(cast("BinaryIO", stream), Path(name_of(data)).name)
    return {"path": str(path), "options": {"root": str(Path.cwd())}}


def _spooled(stream: BinaryIO, name: str) -> Path:
    """A file of what a stream holds, with the suffix that its first bytes tell; it goes when the program ends."""
    first = stream.read(_FIRST_BYTES)
    if not first.strip():
        raise UserError(f"{name}: nothing came through the pipe; expected rows as CSV, JSON lines or Parquet")
    suffix = (
        ".parquet" if first.startswith(b"PAR1") else ".jsonl" if first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else ".csv"
    )
    path = Path(_folder().name) / f"{name}{suffix}"
    with path.open("wb") as file:
        file.write(first)
        shutil.copyfileobj(stream, file)
    return path


def _suffix(first: bytes) -> str:
    if first.startswith(b"PAR1"):
        return ".parquet"
    return ".jsonl" if first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else ".csv"


_folders: list[tempfile.TemporaryDirectory[str]] = []


def _folder() -> tempfile.TemporaryDirectory[str]:
    """One for each stream; they are removed with the interpreter."""
    _folders.append(tempfile.TemporaryDirectory(prefix="ofa-"))
    return _folders[-1]
