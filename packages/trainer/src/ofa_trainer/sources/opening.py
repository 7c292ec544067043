"""From what a user has to a source: a path, a named source with options, rows, a frame, a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ofa_instruction import Catalog, default_catalog

from ofa_trainer.plans import SourcePlan
from ofa_trainer.source import Source
from ofa_trainer.sources.common import DataError

Rows = Sequence[Mapping[str, object]]


def open_source(value: object, *, name: str = "rows", base: Path | None = None, catalog: Catalog | None = None) -> Source:
    """Open whatever holds rows.

    >>> from ofa_trainer import open_source
    >>> len(open_source([{"a": "x"}, {"a": "y"}]))
    2

    value: a path to a CSV, TSV, JSONL or Parquet file, a :class:`SourcePlan`, a list of mappings, a pandas frame, a
    `datasets.Dataset`, or any :class:`Source`. name: what addresses call rows in memory. base: where relative paths start.
    Raises DataError.
    """
    if isinstance(value, str) or hasattr(value, "__fspath__"):
        value = SourcePlan(path=str(value))
    if isinstance(value, SourcePlan):
        return _open_plan(value, base or Path(), catalog or default_catalog())
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if kind.startswith("pandas.") and hasattr(value, "to_dict"):
        from ofa_trainer.sources.memory import RowsSource, rows_of_frame

        return RowsSource(rows_of_frame(value), name)
    if kind.startswith("datasets."):
        return _open_dataset(value, name)
    if hasattr(value, "__arrow_c_stream__") and hasattr(value, "__len__"):
        return _open_arrow(value, name)
    if isinstance(value, Source):
        return value
    if isinstance(value, Sequence):
        from ofa_trainer.sources.memory import RowsSource

        return RowsSource(cast("Rows", value), name)
    raise DataError(f"rows come from a path, a list of mappings, a frame, a dataset or a source, not from {kind}")


def _open_plan(plan: SourcePlan, base: Path, catalog: Catalog) -> Source:
    name = plan.source or _source_of_path(base / Path(cast("str", plan.path)).expanduser(), catalog)
    plugin = catalog.source(name)
    options: dict[str, Any] = dict(plan.options)
    if plan.path is not None:
        options["path"] = plan.path
    typed = catalog.options_of(cast("Any", plugin), "ofa.sources", options)
    return cast("Source", plugin.spec.load()(typed, base))


def _source_of_path(path: Path, catalog: Catalog) -> str:
    """The source that reads a path, by its suffix; a folder by the files it holds."""
    suffixes = {suffix: plugin.spec.name for plugin in catalog.plugins("ofa.sources") for suffix in _suffixes(plugin.spec)}
    suffix = path.suffix.lower()
    if path.is_dir():
        held = sorted({entry.suffix.lower() for entry in path.iterdir()} & set(suffixes))
        suffix = held[0] if held else ""
    if suffix not in suffixes:
        known = " ".join(sorted(suffixes))
        raise DataError(f"`{path}`: no source reads `{path.suffix or 'a folder without data files'}`; known: {known}")
    return suffixes[suffix]


def _suffixes(spec: Any) -> tuple[str, ...]:
    return cast("tuple[str, ...]", spec.suffixes)


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
