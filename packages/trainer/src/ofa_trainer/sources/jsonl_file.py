"""JSON lines, by byte offset: only the offsets stay in memory."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Mapping
from pathlib import Path

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
        with path.open("rb") as file:
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
        with self.path.open("rb") as file:
            file.seek(self._starts[index])
            line = file.readline()
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise SampleError("", f"not JSON: {error}", self.address(index)) from error
        if not isinstance(row, dict):
            raise SampleError("", f"expected a JSON object, found {type(row).__name__}", self.address(index))
        return row


def open_jsonl(options: JsonlOptions, base: Path) -> JsonlSource:
    """The source ``jsonl``. Raises DataError."""
    path, root = find_file(options, base)
    if path.is_dir():
        raise DataError(f"`{path}` is a folder, not a JSON lines file")
    return JsonlSource(path, root)
