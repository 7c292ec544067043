"""Rows that the program already holds: lists of mappings, pandas frames, Hugging Face datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ofa_modalities.processor import SampleError


class RowsSource:
    """A sequence of mappings; recorded as columns and count, so a resumed run must be given them again."""

    def __init__(self, rows: Sequence[Mapping[str, object]], name: str = "rows", root: Path | None = None) -> None:
        self.rows, self.name, self.root = rows, name, root

    def __len__(self) -> int:
        return len(self.rows)

    def address(self, index: int) -> str:
        """``rows:row 12``, counted from 1."""
        return f"{self.name}:row {index + 1}"

    def fingerprint(self) -> str:
        """Digest of columns and count."""
        columns = sorted(self.rows[0]) if self.rows and isinstance(self.rows[0], Mapping) else []
        return hashlib.sha256(repr((columns, len(self.rows))).encode()).hexdigest()

    def column(self, name: str) -> list[object]:
        """All values of one column; None where a row has none."""
        return [row.get(name) if isinstance(row, Mapping) else None for row in self.rows]

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row."""
        row = self.rows[index]
        if not isinstance(row, Mapping):
            raise SampleError("", f"expected a mapping of columns, found {type(row).__name__}", self.address(index))
        return row


class DatasetSource:
    """A `datasets.Dataset`: rows are read from its Arrow table, pictures stay encoded until a processor opens them."""

    root: Path | None = None

    def __init__(self, dataset: Any, name: str = "dataset") -> None:
        self.dataset, self.name = _undecoded(dataset), name

    def __len__(self) -> int:
        return len(self.dataset)

    def address(self, index: int) -> str:
        """``dataset:row 12``, counted from 1."""
        return f"{self.name}:row {index + 1}"

    def fingerprint(self) -> str:
        """Digest of the dataset's columns and its own fingerprint, where it keeps one."""
        own = getattr(self.dataset, "_fingerprint", "")
        return hashlib.sha256(repr((sorted(self.dataset.column_names), len(self), own)).encode()).hexdigest()

    def column(self, name: str) -> Sequence[object]:
        """All values of one column; class labels by their names, as in :meth:`read`."""
        values = list(self.dataset[name])
        feature = self.dataset.features.get(name)
        return [_class_name(feature, value) for value in values] if _is(feature, "ClassLabel") else values

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        """One row; class labels by their names."""
        row = dict(self.dataset[index])
        for name, feature in self.dataset.features.items():
            value = row[name]
            if _is(feature, "ClassLabel"):
                row[name] = _class_name(feature, value)
            elif _is(feature, "Image") and isinstance(value, dict):
                content, path = value.get("bytes"), value.get("path")
                row[name] = content if content is not None or path is None else Path(path)
        return row


def _is(feature: object, kind: str) -> bool:
    """Whether a column's feature is of a kind, told by name so that the library need not be imported."""
    return type(feature).__name__ == kind


def _class_name(feature: Any, value: object) -> object:
    """The name of a class label; None where it has none (-1)."""
    if not isinstance(value, int):
        return value
    return feature.int2str(value) if value >= 0 else None


def _undecoded(dataset: Any) -> Any:
    """The dataset with its pictures left as bytes, so that a broken one is a broken row and nothing more."""
    from datasets import Image

    for name, feature in dataset.features.items():
        if isinstance(feature, Image):
            dataset = dataset.cast_column(name, Image(decode=False))
    return dataset


def rows_of_frame(frame: Any) -> list[Mapping[str, object]]:
    """Rows of a pandas frame; missing values become None."""
    frame = frame.astype(object).where(frame.notna(), None)
    return [dict(row) for row in frame.to_dict(orient="records")]
