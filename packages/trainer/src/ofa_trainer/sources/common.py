"""What the file sources share: finding the file, the data root, digests."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ofa_trainer.sources.specs import FileOptions


class DataError(ValueError):
    """Data that cannot be used as a whole: no such file, no header, a column that is missing everywhere."""


def find_file(options: FileOptions, base: Path) -> tuple[Path, Path]:
    """The data file and its media root. Raises DataError, naming the nearest file, where there is none."""
    path = base / Path(options.path).expanduser()
    if not path.exists():
        raise DataError(f"no data at `{path}`{nearest_file(path)}")
    root = base / Path(options.root).expanduser() if options.root is not None else (path if path.is_dir() else path.parent)
    if not root.is_dir():
        raise DataError(f"the data root `{root}` is not a folder")
    return path, root.resolve()


def nearest_file(path: Path) -> str:
    """What lies beside a file that is not there: ``; did you mean `x`?``, or nothing."""
    if not path.parent.is_dir():
        return f": there is no folder `{path.parent}`"
    names = sorted(entry.name for entry in path.parent.iterdir())
    matches = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""


def missing_column(column: str, stored: str, seen: Sequence[str], where: str) -> str:
    """What to say of a column of an instruction that no row has: the nearest one, and how to name another.

    stored: what it is called in the data. where: the address of the first row.
    """
    lower = {name.lower(): name for name in reversed(seen)}
    near = [lower[name] for wanted in (stored, column) for name in difflib.get_close_matches(wanted.lower(), lower, n=1)]
    hint = f"; did you mean `{near[0]}`?" if near else "."
    other = near[0] if near else "its name"
    if len(seen) == 1 and any(sign in seen[0] for sign in _SEPARATING):
        advice = f"Where another sign than a comma stands between cells, say it: delimiter (--delimiter '{_separator(seen[0])}')."
    else:
        advice = f'Another name is given with `columns`, on the command line with --column "{column}={other}".'
    return (
        f"the instruction reads the column `{stored}`, and no row has one, from {where} on; "
        f"the columns: {' '.join(seen)}{hint} {advice}"
    )


_SEPARATING = ";|^~:\t,/"


def _separator(header: str) -> str:
    return max(_SEPARATING, key=header.count).replace("\t", "tab")


def file_digest(*paths: Path) -> str:
    """SHA-256 of the contents, one file after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def check_header(header: list[str], where: str) -> tuple[str, ...]:
    """Column names, stripped; one without a name is called as pandas calls it, ``Unnamed: 0`` where it is the first (as pandas
    writes a frame's index). Raises DataError where one occurs twice, or none has a name.
    """
    columns = tuple(name.strip() or f"Unnamed: {number}" for number, name in enumerate(header))
    if not any(map(str.strip, header)):
        raise DataError(f"{where}: its first row names no column")
    for name in columns:
        if columns.count(name) > 1:
            raise DataError(f"{where}: the header names the column `{name}` twice")
    return columns
