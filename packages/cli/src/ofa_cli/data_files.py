"""What ``--data`` may be: a file, a folder, or ``-`` and pipes, which are read to their end first."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ofa_cli.errors import UserError

_FIRST_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """``--data`` with what its options say of it. columns: ``NAME=HEADER``, as given.

    Raises UserError for an option without ``data``.
    """

    data: Path | None
    columns: Sequence[str] | None = None
    delimiter: str | None = None
    root: Path | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        given = {"--column": self.columns, "--delimiter": self.delimiter, "--root": self.root, "--encoding": self.encoding}
        unused = next((option for option, value in given.items() if value), None)
        if self.data is None and unused is not None:
            itself = "`columns`, `delimiter` and `root` of each task, and `encoding` in the options of a source, itself"
            raise UserError(f"{unused} goes with --data; a run file says {itself}")

    def names(self) -> dict[str, str]:
        """Column of the instruction → column of the data."""
        found: dict[str, str] = {}
        for given in self.columns or ():
            name, equals, header = given.partition("=")
            if not equals or not name or not header:
                raise UserError(f"--column {given}: write NAME=HEADER, for example --column 'label=1st choice'")
            if name in found:
                raise UserError(f"--column: `{name}` is given twice")
            found[name] = header
        return found

    def source(self) -> dict[str, object]:
        """The rows as a run file names them; see :func:`source_of`."""
        assert self.data is not None
        found = source_of(self.data)
        options = {"root": None if self.root is None else str(self.root.expanduser().absolute()), "encoding": self.encoding}
        found["options"] = cast("dict[str, object]", found.get("options", {})) | {
            k: v for k, v in options.items() if v is not None
        }
        return found

    def task(self) -> dict[str, object]:
        """The keys of a task of a run file that say where its rows come from."""
        return {"train": self.source(), "columns": self.names(), "delimiter": self.delimiter}


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
    path = Path(_folder().name) / f"{name}{_suffix(first)}"
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
