"""The data that a checkpoint is asked about or judged on, read as what it was trained on was read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ofa_models.plans import DataReading, InferPlan

from ofa_trainer.source import Source
from ofa_trainer.sources.choosing import unseen_columns
from ofa_trainer.sources.common import DataError, missing_column
from ofa_trainer.sources.opening import open_source
from ofa_trainer.sources.views import Renamed


def kept_reading(plan: InferPlan, task: str, columns: Iterable[str]) -> DataReading:
    """How the files of a task were read; of an instruction that was not trained, what its columns were in all tasks alike."""
    if task in plan.data:
        return plan.data[task]
    if any(task == trained.name for trained in plan.tasks):
        return DataReading()
    named = {column: {one.columns[column] for one in plan.data.values() if column in one.columns} for column in columns}
    delimiters = {one.delimiter for one in plan.data.values()}
    encodings = {one.encoding for one in plan.data.values()}
    return DataReading(
        columns={column: next(iter(stored)) for column, stored in named.items() if len(stored) == 1},
        delimiter=next(iter(delimiters)) if len(delimiters) == 1 else None,
        encoding=next(iter(encodings)) if len(encodings) == 1 else None,
    )


def open_as_trained(
    value: object,
    plan: InferPlan,
    task: str,
    *,
    instruction: str,
    needed: Sequence[str],
    known: Sequence[str],
    columns: Mapping[str, str] | None = None,
    delimiter: str | None = None,
    root: str | Path | None = None,
    base: Path | None = None,
) -> Source:
    """Rows of ``value`` under the columns of an instruction.

    plan, task: of the checkpoint, whose own columns, delimiter and encoding are used where the file has them. needed: columns
    that some row must have; known: those that may be mapped. columns: column of the instruction → column of the data, which must
    be there. delimiter, root, base: as :func:`open_source` takes them.
    Raises DataError, naming the nearest column, for one that no row has.
    """
    for name in columns or {}:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; it has {' '.join(known)}"
            raise DataError(f"the instruction has no column `{name}` to be read from another one{hint}")
    kept = kept_reading(plan, task, known)
    source = open_source(
        value,
        base=base,
        delimiter=delimiter,
        usual=kept.delimiter,
        usual_encoding=kept.encoding,
        root=root,
        instruction=instruction,
    )
    mapping = kept.columns | dict(columns or {})
    renamed = Renamed(source, mapping, either=True) if mapping else source
    if len(source):
        for stored in dict.fromkeys((columns or {}).values()):
            missing, seen = unseen_columns(source, [stored])
            if missing:
                name = next(name for name, one in mapping.items() if one == stored)
                raise DataError(missing_column(name, stored, seen, source.address(0)))
        missing, seen = unseen_columns(renamed, needed)
        for name in missing:
            raise DataError(missing_column(name, mapping.get(name, name), seen, source.address(0)))
    return renamed
