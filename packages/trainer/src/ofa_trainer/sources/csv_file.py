"""CSV and TSV: the standard library's reader over records found once, so that any row is read by itself."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ofa_modalities.delimited import cells, recognise, records
from ofa_modalities.lines import decode_text
from ofa_modalities.processor import SampleError

from ofa_trainer.sources.common import DataError, check_header, file_digest, find_file
from ofa_trainer.sources.specs import CsvOptions

_LONGEST_CELL = 1 << 28
_SCANNED_AT_ONCE = 4096


class CsvSource:
    """Rows of a CSV file, all values text; an empty cell is an empty text.

    A row with too many or too few cells is a SampleError when it is read. ``root`` is where media paths start.
    delimiter: None: recognised. usual: what is recognised where several fit, or none does. encoding: None: UTF-8, or
    ``usual_encoding`` of a file that is no UTF-8 text. The attribute ``encoding`` is what was read by, None of UTF-8.
    """

    def __init__(
        self,
        path: Path,
        root: Path,
        *,
        delimiter: str | None = None,
        usual: str = ",",
        encoding: str | None = None,
        usual_encoding: str | None = None,
    ) -> None:
        """Raises DataError for a file that is not text of its encoding, is empty, or names a column twice."""
        self.path, self.root = path, root
        self._digest = file_digest(path)
        content = path.read_bytes()
        self.encoding = encoding or (None if usual_encoding is None or _is_utf8(content) else usual_encoding)
        try:
            text = decode_text(content, self.encoding or "utf-8")
        except (UnicodeDecodeError, LookupError) as error:
            raise DataError(
                f"{path.name}: not {self.encoding or 'utf-8'}: {error}; "
                "`encoding` says another, on the command line --encoding cp1252"
            ) from error
        self.delimiter = delimiter or recognise(text, usual)
        found = records(text, self.delimiter)
        header = next(found, None)
        if header is None:
            raise DataError(f"{path.name}: the file is empty; its first row names the columns")
        if "\0" in header[0]:
            raise DataError(
                f"{path.name}: its first row holds NUL characters; UTF-16 without a byte order mark? `encoding` says it"
            )
        self.columns = check_header(self._cells(header[0]), path.name)
        self._text = text
        spans = [(start, line) for _, start, line in found]
        self._starts = array("q", [start for start, _ in spans])
        self._lines = array("q", [line for _, line in spans])

    def _cells(self, record: str) -> list[str]:
        try:
            return next(cells([record], self.delimiter, _LONGEST_CELL), [])
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

    def scan(self, names: Sequence[str]) -> Iterator[tuple[object, ...]]:
        """The values of some columns, row by row; None of a column that is not there and of a row that cannot be read."""
        places = [self.columns.index(name) if name in self.columns else None for name in names]
        for start in range(0, len(self), _SCANNED_AT_ONCE):
            for row in self._rows(start, min(len(self), start + _SCANNED_AT_ONCE)):
                sound = len(row) == len(self.columns)
                yield tuple(row[place] if sound and place is not None else None for place in places)

    def _rows(self, start: int, stop: int) -> Iterable[list[str]]:
        """The cells of rows ``start .. stop - 1``; none of one that cannot be read."""
        try:
            rows = list(cells(map(self._record, range(start, stop)), self.delimiter, _LONGEST_CELL))
        except csv.Error:
            rows = []
        return rows if len(rows) == stop - start else map(self._cells_or_none, range(start, stop))

    def _record(self, index: int) -> str:
        stop = self._starts[index + 1] if index + 1 < len(self._starts) else len(self._text)
        return self._text[self._starts[index] : stop]

    def _cells_or_none(self, index: int) -> list[str]:
        try:
            return [str(value) for value in self.read(index, 0).values()]
        except SampleError:
            return []

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row."""
        try:
            row = self._cells(self._record(index))
        except DataError as error:
            raise SampleError("", str(error), self.address(index)) from error
        if len(row) != len(self.columns):
            raise SampleError("", f"{len(row)} cells under {len(self.columns)} columns", self.address(index))
        return dict(zip(self.columns, row, strict=True))


def _is_utf8(content: bytes) -> bool:
    """Whether bytes are text as they stand; NUL is a sign of UTF-16 and ESC of ISO 2022, which are valid UTF-8 too."""
    try:
        text = decode_text(content)
    except UnicodeDecodeError:
        return False
    return "\0" not in text and "\x1b" not in text


def open_csv(options: CsvOptions, base: Path) -> CsvSource:
    """The source ``csv``. Raises DataError."""
    path, root = find_file(options, base)
    if path.is_dir():
        raise DataError(f"`{path}` is a folder, not a CSV file")
    usual = options.usual or ("\t" if path.suffix.lower() == ".tsv" else ",")
    return CsvSource(
        path,
        root,
        delimiter=options.delimiter,
        usual=usual,
        encoding=options.encoding,
        usual_encoding=options.usual_encoding,
    )
