"""JSON lines, by byte offset: only the offsets stay in memory."""

from __future__ import annotations

import hashlib
import io
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from ofa_modalities.lines import encoding_of, read_text_file
from ofa_modalities.processor import SampleError

from ofa_trainer.sources.common import DataError, find_file
from ofa_trainer.sources.specs import JsonlOptions


class JsonlSource:
    """Rows of a file of JSON objects; blank lines are no rows. ``root`` is where media paths start."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root = path, root
        digest = hashlib.sha256()
        starts, lines = array("q"), array("q")
        offset = 0
        self._content = _as_utf8(path)
        with self._open() as file:
            for number, line in enumerate(file, 1):
                digest.update(line)
                if line.strip(b"\xef\xbb\xbf \t\r\n"):
                    starts.append(offset)
                    lines.append(number)
                offset += len(line)
        if not starts:
            raise DataError(f"{path.name}: the file holds no rows")
        self._starts, self._lines = starts, lines
        self._digest = digest.hexdigest()

    def _open(self) -> BinaryIO:
        return self.path.open("rb") if self._content is None else io.BytesIO(self._content)

    def __len__(self) -> int:
        return len(self._starts)

    def address(self, index: int) -> str:
        """``my.jsonl:line 12``."""
        return f"{self.path.name}:line {self._lines[index]}"

    def fingerprint(self) -> str:
        """Digest of the file."""
        return self._digest

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row."""
        with self._open() as file:
            file.seek(self._starts[index])
            line = file.readline()
        return self._row(line, index)

    def scan(self, names: Sequence[str]) -> Iterator[tuple[object, ...]]:
        """The values of some columns, row by row; None where a row has none or cannot be read."""
        index = 0
        with self._open() as file:
            for number, line in enumerate(file, 1):
                if index < len(self) and self._lines[index] == number:
                    try:
                        row = self._row(line, index)
                    except SampleError:
                        row = {}
                    index += 1
                    yield tuple(row.get(name) for name in names)

    def _row(self, line: bytes, index: int) -> Mapping[str, object]:
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise SampleError("", f"not JSON: {error}", self.address(index)) from error
        if not isinstance(row, dict):
            raise SampleError("", f"expected a JSON object, found {type(row).__name__}", self.address(index))
        return row


def _as_utf8(path: Path) -> bytes | None:
    """The content of a file in UTF-16 or UTF-32, as its byte order mark says; None: it is read from the disk as it is."""
    with path.open("rb") as file:
        if encoding_of(file.read(4)) not in ("utf-16", "utf-32"):
            return None
    try:
        return read_text_file(path).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: not the text that its byte order mark announces: {error}") from error


def open_jsonl(options: JsonlOptions, base: Path) -> JsonlSource:
    """The source ``jsonl``. Raises DataError."""
    path, root = find_file(options, base)
    if path.is_dir():
        raise DataError(f"`{path}` is a folder, not a JSON lines file")
    return JsonlSource(path, root)
