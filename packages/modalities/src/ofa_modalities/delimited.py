"""Delimited text (CSV and its kin): records found once, cells by the standard library's reader, the delimiter recognised.

A record ends at a line feed or at CR LF outside of quotes; a lone CR is a character of its cell, as some writers leave it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice

DELIMITERS = (",", ";", "\t", "|")
"""What is recognised."""
_SAMPLE_RECORDS = 20
_SAMPLE_CHARACTERS = 1 << 16
_LONE_CR = "\udc0d"
"""Stands for a lone CR while the csv module reads, which takes one for the end of a line; no decoded text holds it."""
_EMPTY = frozenset({"\n", "\r\n", "\r"})
_CR_ALONE = re.compile(r"\r(?!\n)")


def records(text: str, delimiter: str) -> Iterator[tuple[str, int, int]]:
    """(record, offset, line number from 1) of a text: lines, joined while a quote is open; empty lines left out.

    A file that has no line feed at all is one of old machines, whose lines end at CR.
    """
    end_of_line = "\n" if "\n" in text else "\r"
    start, first, quoted, held = 0, 1, False, ""
    for line, piece in enumerate(_pieces(text, end_of_line), 1):
        if '"' in piece:
            quoted = _ends_quoted(piece, delimiter, quoted)
        if quoted:
            held += piece
            continue
        record = held + piece if held else piece
        if record not in _EMPTY:
            yield record, start, first
        start, first, held = start + len(record), line + 1, ""
    if held:
        yield held, start, first


def _pieces(text: str, end_of_line: str) -> Iterator[str]:
    """Lines with their ends."""
    if end_of_line == "\n":
        yield from io.StringIO(text, newline="\n")
        return
    position = 0
    while position < len(text):
        stop = text.find(end_of_line, position) + 1 or len(text)
        yield text[position:stop]
        position = stop


def cells(lines: Iterable[str], delimiter: str, longest: int = 1 << 17) -> Iterator[list[str]]:
    """The cells of each record. Raises csv.Error for one that is ill formed, or has a cell of over ``longest`` characters."""
    csv.field_size_limit(longest)  # one for the process, so it is said anew
    for row in csv.reader(map(_without_lone_cr, lines), delimiter=delimiter, strict=True):
        yield [cell.replace(_LONE_CR, "\r") for cell in row] if any(_LONE_CR in cell for cell in row) else row


def recognise(text: str, usual: str = ",") -> str:
    """The delimiter under which most of the first records have as many cells as the first, which has two or more.

    Where it has one under each of them, the one that cuts the fewest of the others. usual: wins where several fit alike.

    >>> recognise("name;price\\na;1,5\\nb;2,5"), recognise("text\\nhello, world\\n"), recognise("a\\tb\\n1\\t2\\n")
    (';', ';', '\\t')
    """
    sample = text[:_SAMPLE_CHARACTERS]
    best, most = usual, (False, 0.0)
    for delimiter in dict.fromkeys((usual, *DELIMITERS)):
        found = [record for record, _, _ in islice(records(sample, delimiter), _SAMPLE_RECORDS)]
        if len(sample) < len(text) and 1 < len(found) < _SAMPLE_RECORDS:
            found.pop()  # It may be cut.
        widths = [_width(record, delimiter) for record in found]
        fitting = (widths[0] > 1, widths.count(widths[0]) / len(widths)) if widths else most
        if fitting > most:
            best, most = delimiter, fitting
    return best


def _width(record: str, delimiter: str) -> int:
    try:
        return len(next(cells([record], delimiter), []))
    except csv.Error:
        return 0


def _without_lone_cr(record: str) -> str:
    """The record with marks where a CR stands inside it and before no line feed."""
    body = record.rstrip("\r\n")
    return record if "\r" not in body else _CR_ALONE.sub(_LONE_CR, body)


def _ends_quoted(piece: str, delimiter: str, quoted: bool) -> bool:
    """Whether a quote is open after ``piece``; only a quote at the start of a cell opens one, a doubled one is a character."""
    position = 0
    if not quoted and piece.startswith('"'):
        position, quoted = 1, True
    while True:
        if not quoted:
            start = piece.find(delimiter + '"', position)
            if start < 0:
                return False
            position, quoted = start + 2, True
        stop = piece.find('"', position)
        if stop < 0:
            return True
        quoted = piece.startswith('"', stop + 1)
        position = stop + 1 + quoted
