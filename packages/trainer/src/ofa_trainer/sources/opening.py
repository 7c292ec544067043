"""From what a user has to a source: a path, a named source with options, rows, a frame, a table, a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ofa_instruction import Catalog, default_catalog

from ofa_trainer.plans import SourcePlan
from ofa_trainer.source import Source
from ofa_trainer.sources.common import DataError, nearest_file
from ofa_trainer.sources.folder import FolderSlots, folder_slots, split_parts

Rows = Sequence[Mapping[str, object]]
_ONE_FILE = frozenset({"csv", "jsonl"})
"""Sources of which a folder may hold one file; others read a folder of files themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files are read where their own options do not say it.

    delimiter: of CSV files. usual: the delimiter that is recognised where several fit, or none does. usual_encoding: of CSV files
    that are no UTF-8 text. root: where media paths start. slots: what an instruction calls the columns of a folder of media.
    """

    delimiter: str | None = None
    usual: str | None = None
    usual_encoding: str | None = None
    root: str | None = None
    slots: FolderSlots = field(default_factory=FolderSlots)


_TABLE = "save the sheet as CSV"
_SAVE_AS = {
    ".json": "write a JSON object a line, as .jsonl",
    ".ods": _TABLE,
    ".txt": "name the columns in a first line, and call it .csv",
    ".xls": _TABLE,
    ".xlsx": _TABLE,
}
"""What to do with a file that is often given and not read."""


def open_source(
    value: object,
    *,
    name: str = "rows",
    base: Path | None = None,
    catalog: Catalog | None = None,
    delimiter: str | None = None,
    root: str | Path | None = None,
    instruction: str | None = None,
    usual: str | None = None,
    usual_encoding: str | None = None,
) -> Source:
    """Open whatever holds rows.

    >>> from ofa_trainer import open_source
    >>> len(open_source([{"a": "x"}, {"a": "y"}]))
    2

    value: a path to a CSV, TSV, JSONL or Parquet file or to a folder (of Parquet files, of one data file, of a folder of media
    for each class), a :class:`SourcePlan`, a list of mappings, a pandas or polars frame, an Arrow table, a `datasets.Dataset`, or
    any :class:`Source`. name: what addresses call rows in memory. base: where relative paths start.
    delimiter: of CSV files; by itself it is recognised, ``usual`` where several fit. usual_encoding: of CSV files that are no
    UTF-8 text. root: folder that media paths start from and stay in. instruction: names the columns of a folder of media.
    Raises DataError.
    """
    catalog = catalog or default_catalog()
    if is_path(value):
        value = value if isinstance(value, SourcePlan) else SourcePlan(path=str(value))
        slots = FolderSlots() if instruction is None else folder_slots(instruction, catalog)
        reading = Reading(
            delimiter=delimiter,
            usual=usual,
            usual_encoding=usual_encoding,
            root=None if root is None else str(root),
            slots=slots,
        )
        return _open_plan(value, base or Path(), catalog, reading)
    if delimiter is not None:
        raise DataError("a delimiter is that of a file, and these rows are in memory")
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if kind.startswith("pandas.") and hasattr(value, "to_dict"):
        from ofa_trainer.sources.memory import RowsSource, rows_of_frame

        return RowsSource(rows_of_frame(value), name, _folder(root, base))
    if kind.startswith("datasets."):
        return _open_dataset(value, name)
    if hasattr(value, "__arrow_c_stream__") and hasattr(value, "__len__"):
        return _open_arrow(value, name)
    if isinstance(value, Source):
        return value
    if isinstance(value, Sequence):
        from ofa_trainer.sources.memory import RowsSource

        return RowsSource(cast("Rows", value), name, _folder(root, base))
    raise DataError(f"rows come from a path, a list of mappings, a frame, a dataset or a source, not from {kind}")


def is_path(value: object) -> bool:
    """Whether rows come from a file or a folder."""
    return isinstance(value, str | SourcePlan) or hasattr(value, "__fspath__")


def parts_of(value: object, base: Path | None = None, catalog: Catalog | None = None) -> dict[str, SourcePlan]:
    """The train, valid and test parts of a folder that is split already, each as its own source; nothing for anything else."""
    if isinstance(value, str) or hasattr(value, "__fspath__"):
        value = SourcePlan(path=str(value))
    if not isinstance(value, SourcePlan) or value.path is None or value.source is not None:
        return {}
    folder = (base or Path()) / Path(value.path).expanduser()
    suffixes = _sources_by_suffix(catalog or default_catalog())
    return {
        split: value.model_copy(update={"path": str(part.absolute())})
        for split, part in split_parts(folder, tuple(suffixes)).items()
    }


def _folder(root: str | Path | None, base: Path | None) -> Path | None:
    return None if root is None else ((base or Path()) / Path(root).expanduser()).resolve()


def _open_plan(plan: SourcePlan, base: Path, catalog: Catalog, reading: Reading) -> Source:
    path = plan.path
    name = plan.source
    if name is None:
        name, path = _source_of_path(base / Path(cast("str", path)).expanduser(), cast("str", path), catalog)
    plugin = catalog.source(name)
    options: dict[str, Any] = dict(plan.options)
    if path is not None:
        options["path"] = path
    takes = plugin.spec.options.model_fields
    if reading.delimiter is not None and "delimiter" not in takes:
        raise DataError(f"`{path or name}` has no delimiter: the source `{name}` reads it")
    given = {
        "delimiter": reading.delimiter,
        "usual": reading.usual,
        "usual_encoding": reading.usual_encoding,
        "root": reading.root,
    }
    if name == "folder":
        given |= {"modality": reading.slots.modality, "column": reading.slots.column, "label": reading.slots.label}
    for key, value in given.items():
        if value is not None and key in takes:
            options.setdefault(key, value)
    typed = catalog.options_of(cast("Any", plugin), "ofa.sources", options)
    return cast("Source", plugin.spec.load()(typed, base))


def _source_of_path(path: Path, given: str, catalog: Catalog) -> tuple[str, str]:
    """The source that reads a path, and the path it reads: by its suffix; of a folder by what it holds."""
    suffixes = _sources_by_suffix(catalog)
    if path.is_dir():
        return _source_of_folder(path, given, suffixes)
    suffix = path.suffix.lower()
    if not path.exists():
        raise DataError(f"no data at `{path}`{nearest_file(path)}")
    if suffix not in suffixes:
        known = " ".join(sorted(suffixes))
        hint = "" if suffix not in _SAVE_AS else f"; {_SAVE_AS[suffix]}"
        raise DataError(
            f"`{path}`: no source reads {f'`{path.suffix}`' if path.suffix else 'a file without a suffix'}"
            f"; known: {known}, and folders{hint}"
        )
    return suffixes[suffix], given


def _source_of_folder(path: Path, given: str, suffixes: Mapping[str, str]) -> tuple[str, str]:
    held = sorted(entry for entry in path.iterdir() if entry.is_file() and entry.suffix.lower() in suffixes)
    parts = split_parts(path, tuple(suffixes))
    if parts:
        names = ", ".join(f"`{part.name}`" for part in parts.values())
        raise DataError(f"`{path}` is split already, into {names}: name one of them, or give the folder as `train` of a task")
    kinds = {suffixes[entry.suffix.lower()] for entry in held}
    if len(kinds) > 1 or (kinds & _ONE_FILE and len(held) > 1):
        names = ", ".join(f"`{entry.name}`" for entry in held[:5])
        raise DataError(f"`{path}` holds {len(held)} data files, {names}{' …' if len(held) > 5 else ''}: name one of them")
    if not kinds:
        return "folder", given
    (kind,) = kinds
    return kind, str(Path(given) / held[0].name) if kind in _ONE_FILE else given


def _sources_by_suffix(catalog: Catalog) -> dict[str, str]:
    return {
        suffix: plugin.spec.name
        for plugin in catalog.plugins("ofa.sources")
        for suffix in cast("tuple[str, ...]", cast("Any", plugin.spec).suffixes)
    }


def _open_arrow(value: Any, name: str) -> Source:
    import pyarrow

    from ofa_trainer.sources.memory import ArrowSource

    return ArrowSource(pyarrow.table(value), name)


def _open_dataset(value: Any, name: str) -> Source:
    from ofa_trainer.sources.memory import DatasetSource

    if type(value).__name__ == "DatasetDict":
        raise DataError(f"a dataset of several splits: give one of them ({', '.join(value)})")
    if not hasattr(value, "__len__"):
        raise DataError("a streamed dataset has no length; load it without `streaming=True`")
    return DatasetSource(value, name)
