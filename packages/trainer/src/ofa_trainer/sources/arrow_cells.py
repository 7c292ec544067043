"""Cells of Arrow columns as raw values: the same from Parquet, from a dataset in any of its formats and from a table in memory.

numbers      as Python's, narrow floats with their shortest spelling, whole where pandas made floats of whole ones with gaps
labels       the names of classes, also inside lists and structs (``ClassLabel`` of datasets; dictionaries)
media        pictures, sounds and films are left encoded, as bytes or a path, for the readers of their modality
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ofa_modalities.processor import SampleError
from ofa_modalities.text.numbers import shortest, whole_numbers

_MEDIA = frozenset({"Audio", "Image", "Video"})
_LISTS = frozenset({"List", "LargeList", "Sequence"})
_VALUES_OF_THEIR_OWN = frozenset({"arrow.uuid", "arrow.json", "arrow.bool8"})
"""Extension types whose values are not those of their storage."""

_SHORT = {"float": np.float32, "halffloat": np.float16}
_Way = Literal["as it is", "narrow", "label", "medium", "parts"]

Feature = Any
"""What datasets says of a column, as in JSON: ``{"_type": "ClassLabel", "names": […]}``, a mapping by field, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrowCells:
    """How the columns of a schema become values. whole: columns of floats that hold whole numbers and gaps."""

    features: Mapping[str, Feature] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    _ways: dict[str, _Way] = field(default_factory=dict, init=False, repr=False, compare=False)
    """How a single cell of a column is read, found with its first."""

    @classmethod
    def of_schema(cls, schema: Any, column: Callable[[str], Any]) -> ArrowCells:
        """What the schema's metadata says, as datasets and pandas write it. column: gives all of a column by its name."""
        metadata = schema.metadata or {}
        described = _json(metadata.get(b"huggingface")).get("info")
        features = described.get("features") if isinstance(described, Mapping) else None
        listed = _json(metadata.get(b"pandas")).get("columns")
        floats = [
            str(one.get("field_name"))
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, Mapping) and str(one.get("numpy_type")).startswith("float")
        ]
        whole = frozenset(name for name in floats if name in schema.names and _is_whole(schema.field(name).type, column(name)))
        return cls(features=features if isinstance(features, Mapping) else {}, whole=whole)

    def row(self, table: Any, position: int, columns: Sequence[str], address: str) -> dict[str, object]:
        """One row of a table. Raises SampleError for a cell that cannot be read."""
        return {name: self._cell(table.column(name), position, name, address) for name in columns}

    def _cell(self, column: Any, position: int, name: str, address: str) -> object:
        way = self._ways.get(name)
        if way is None:
            way = self._ways[name] = _way_of(column.type, self.features.get(name))
        try:
            if way == "parts":
                return self._values(column.slice(position, 1), name)[0]
            value = column[position].as_py()
            if value is None or name in self.whole:
                return _whole(value)
            if way == "as it is":
                return value
            if way == "narrow":
                return float(str(_SHORT[str(column.type)](value)))
            return _names([value], self.features[name].get("names") or ())[0] if way == "label" else _encoded(value)
        except (ValueError, OverflowError, NotImplementedError, KeyError) as error:
            raise SampleError(name, str(error), address) from error

    def column(self, column: Any, name: str) -> list[object]:
        """All values of a column; None for those that cannot be read."""
        try:
            return self._values(column, name)
        except (ValueError, OverflowError, NotImplementedError, KeyError):
            return [self._cell_or_none(column, position, name) for position in range(len(column))]

    def _cell_or_none(self, column: Any, position: int, name: str) -> object:
        try:
            return self._cell(column, position, name, "")
        except SampleError:
            return None

    def _values(self, column: Any, name: str) -> list[object]:
        chunks = column.chunks if hasattr(column, "chunks") else [column]
        values = [value for chunk in chunks for value in _listed(chunk, self.features.get(name))]
        return list(map(_whole, values)) if name in self.whole else values


def _json(content: bytes | None) -> Mapping[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _whole(value: Any) -> int | None:
    """A whole number that is kept as a float; None where it is missing."""
    return None if value is None or math.isnan(value) else int(value)


def _is_whole(kind: Any, column: Any) -> bool:
    import pyarrow.types as types

    if not types.is_floating(kind) or not column.null_count:
        return False
    return whole_numbers(np.asarray(column.to_numpy())) is not None


def _way_of(kind: Any, feature: Feature) -> _Way:
    """The quickest way to read one cell: most need no array to be made of it."""
    import pyarrow.types as types

    said = feature.get("_type") if isinstance(feature, Mapping) else None
    if str(kind) in _SHORT:
        return "narrow"
    if types.is_integer(kind):
        return "label" if said == "ClassLabel" else "as it is"
    if types.is_struct(kind) and said in _MEDIA:
        return "medium"
    plain = types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    return "as it is" if plain or types.is_float64(kind) or types.is_boolean(kind) else "parts"


def _listed(array: Any, feature: Feature) -> list[Any]:
    """The values of an Arrow array as Python's."""
    import pyarrow as pa
    import pyarrow.types as types

    kind = array.type
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name not in _VALUES_OF_THEIR_OWN:
        return _listed(array.storage, feature)
    if types.is_dictionary(kind):
        return _listed(array.dictionary_decode(), feature)
    said = feature.get("_type") if isinstance(feature, Mapping) else None
    if types.is_struct(kind):
        return _structs(array, feature, media=said in _MEDIA)
    if _is_list(types, kind):
        return _lists(array, _inner(feature))
    if types.is_integer(kind) and said == "ClassLabel":
        return _names(array.to_pylist(), feature.get("names") or ())
    if types.is_floating(kind) and not types.is_float64(kind):
        numbers = shortest(np.asarray(array.to_numpy(zero_copy_only=False))).tolist()
        return [number if there else None for number, there in zip(numbers, array.is_valid().to_pylist(), strict=True)]
    if types.is_temporal(kind) and getattr(kind, "unit", "") == "ns":
        return array.cast(_in_microseconds(pa, kind), safe=False).to_pylist()  # type: ignore[no-any-return]
    return array.to_pylist()  # type: ignore[no-any-return]


def _is_list(types: Any, kind: Any) -> bool:
    views = getattr(types, "is_list_view", None), getattr(types, "is_large_list_view", None)
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or any(is_view is not None and is_view(kind) for is_view in views)
    )


def _inner(feature: Feature) -> Feature:
    """What is said of the items of a list."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return feature.get("feature") if isinstance(feature, Mapping) else None


def _lists(array: Any, feature: Feature) -> list[list[Any] | None]:
    import pyarrow.compute as compute

    lengths = compute.list_value_length(array).to_pylist()
    there = array.is_valid().to_pylist()
    items = _listed(array.flatten(), feature)
    stops = np.cumsum([0, *(length if valid else 0 for length, valid in zip(lengths, there, strict=True))]).tolist()
    return [items[start:stop] if valid else None for (start, stop), valid in zip(pairwise(stops), there, strict=True)]


def _structs(array: Any, feature: Feature, *, media: bool) -> list[Any]:
    names = [array.type.field(number).name for number in range(array.type.num_fields)]
    fields = feature if isinstance(feature, Mapping) and not media else {}
    if fields.get("_type") in _LISTS and isinstance(fields.get("feature"), Mapping):
        # A sequence of mappings is stored as a mapping of lists.
        fields = {name: [inner] for name, inner in fields["feature"].items()}
    columns = [_listed(part, fields.get(name)) for name, part in zip(names, array.flatten(), strict=True)]
    there = array.is_valid().to_pylist()
    rows = [dict(zip(names, cells, strict=True)) if valid else None for valid, *cells in zip(there, *columns, strict=True)]
    return [row if row is None else _encoded(row) for row in rows] if media else rows


def _encoded(row: Mapping[str, Any]) -> object:
    """A medium as its bytes, or the path of its file; None: it has neither."""
    content, path = row.get("bytes"), row.get("path")
    return content if content is not None or path is None else Path(path)


def _names(indices: Sequence[int | None], names: Sequence[str]) -> list[str | None]:
    """Class names; None for -1, which is no label."""
    for index in indices:
        if index is not None and not -1 <= index < len(names):
            raise ValueError(f"there is no class {index}; the {len(names)} classes are numbered from 0")
    return [None if index is None or index < 0 else names[index] for index in indices]


def _in_microseconds(pa: Any, kind: Any) -> Any:
    """The same type, of times that Python's own can hold."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return pa.time64("us") if pa.types.is_time(kind) else pa.duration("us")
