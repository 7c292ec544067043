"""CSV and TSV: the standard library's reader over records found once, so that any row is read by itself."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

from ofa_modalities.processor import SampleError

from ofa_trainer.sources.common import DataError, check_header, file_digest, find_file
from ofa_trainer.sources.specs import CsvOptions

csv.field_size_limit(1 << 28)


class CsvSource:
    """Rows of a CSV file, all values text; an empty cell is an empty text.

    A row with too many or too few cells is a SampleError when it is read. ``root`` is where media paths start.
    """

    def __init__(self, path: Path, root: Path, *, delimiter: str, encoding: str) -> None:
        self.path, self.root = path, root
        self.delimiter, self.encoding = delimiter, encoding
        self._digest = file_digest(path)
        try:
            text = path.read_bytes().decode(encoding)
        except (UnicodeDecodeError, LookupError) as error:
            raise DataError(f"{path.name}: not {encoding}: {error}") from error
        records = _records(text, delimiter)
        header = next(records, None)
        if header is None:
            raise DataError(f"{path.name}: the file is empty; its first row names the columns")
        self.columns = check_header(self._cells(header[0]), path.name)
        self._text = text
        spans = [(start, line) for _, start, line in records]
        self._starts = array("q", [start for start, _ in spans])
        self._lines = array("q", [line for _, line in spans])

    def _cells(self, record: str) -> list[str]:
        reader = csv.reader(io.StringIO(record, newline=""), delimiter=self.delimiter, strict=True)
        try:
            return next(reader, [])
        except csv.Error as error:
            raise DataError(str(error)) from error

    def __len__(self) -> int:
        return len(self._starts)

    def address(self, index: int) -> str:
        """``my.csv:row 12``: the data row, counted from 1, and its line where they differ by more than the header."""
        line = self._lines[index]
        return f"{self.path.name}:row {index + 1}" + (f" (line {line})" if line != index + 2 else "")

    def fingerprint(self) -> str:
        """Digest of the file."""
        return self._digest

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row."""
        start = self._starts[index]
        stop = self._starts[index + 1] if index + 1 < len(self._starts) else len(self._text)
        try:
            cells = self._cells(self._text[start:stop])
        except DataError as error:
            raise SampleError("", str(error), self.address(index)) from error
        if len(cells) != len(self.columns):
            raise SampleError("", f"{len(cells)} cells under {len(self.columns)} columns", self.address(index))
        return dict(zip(self.columns, cells, strict=True))


def _records(text: str, delimiter: str) -> Iterator[tuple[str, int, int]]:
    """(record, offset, line number) of a CSV text: lines, joined while a quote is open; blank lines left out."""
    start, position, first, quoted = 0, 0, 1, False
    for line, piece in enumerate(io.StringIO(text, newline=""), 1):
        position += len(piece)
        if '"' in piece:
            quoted = _ends_quoted(piece, delimiter, quoted)
        if not quoted:
            if text[start:position].strip("\r\n"):
                yield text[start:position], start, first
            start, first = position, line + 1
    if start < len(text):
        yield text[start:], start, first


def _ends_quoted(piece: str, delimiter: str, quoted: bool) -> bool:
    """Whether a quote is open after ``piece``; only a quote at the start of a cell opens one, a doubled one is a character."""
    position, cell_start = 0, not quoted
    while position < len(piece):
        character = piece[position]
        if quoted and character == '"':
            if piece[position + 1 : position + 2] == '"':
                position += 1
            else:
                quoted = False
        elif not quoted:
            quoted = cell_start and character == '"'
            cell_start = character == delimiter
        position += 1
    return quoted


def open_csv(options: CsvOptions, base: Path) -> CsvSource:
    """The source ``csv``. Raises DataError."""
    path, root = find_file(options, base)
    if path.is_dir():
        raise DataError(f"`{path}` is a folder, not a CSV file")
    delimiter = options.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    return CsvSource(path, root, delimiter=delimiter, encoding=options.encoding)
