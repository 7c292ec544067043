"""Values that are longer than their limits: told before the first step, counted by task and column on the way.

A text that is cut is learnt without its end, so that a model does not learn to stop there. A sound, phones or items of a repeat
are learnt whole where only the answer has a limit, and answers will stop at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ofa_modalities.batch import BatchSlot
from ofa_modalities.processor import EncodeContext, SampleError
from ofa_modalities.program import SlotStep
from ofa_modalities.segment import Cut, Example

from ofa_trainer.mixture import row_rng
from ofa_trainer.preparing import Prepared, training_rows
from ofa_trainer.sources.choosing import spread_rows

if TYPE_CHECKING:
    from ofa_trainer.task import Task

ROWS_LOOKED_AT = 200
_LOOKED_AT = frozenset({"TEXT", "PHONE"})
"""Modalities whose lengths cost nothing to find out: no file is opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutColumn:
    """A column with values longer than its limit. column: see :func:`column_of`. example: the first. rows: of ``total``."""

    column: str
    example: str
    rows: int
    total: int

    def __str__(self) -> str:
        return f"`{self.column}`: {self.rows:,} of {self.total:,} rows looked at are longer than the limit; {self.example}"


def cut_message(cut: Cut, slots: Sequence[BatchSlot]) -> str:
    """What happens to one value, and the option that allows more."""
    slot = slots[cut.line].slot
    name, total = f"[{slot.modality}:{slot.column}]", f"{cut.total:,}"
    if cut.limit == "max_items":
        return f"{name} holds {total} items, all of them learnt, and answers stop at generation.max_items={cut.kept}"
    if cut.is_learnt:
        return f"{name} is {total} units long, all of them learnt, and answers stop at {cut.limit}={cut.kept}"
    if slot.generator is None:
        return f"{name} is cut: {cut.kept:,} of {total} tokens are read; a larger {cut.limit} allows more"
    return f"{name} is cut: {cut.kept:,} of {total} tokens are learnt, and no end behind them; a larger {cut.limit} allows more"


def column_of(cut: Cut, slots: Sequence[BatchSlot]) -> str:
    """``task/column`` of an answer, ``task/column (read)`` of what is read."""
    slot = slots[cut.line]
    return f"{slot.task}/{slot.slot.column}" + ("" if slot.slot.generator is not None else " (read)")


def count_cuts(examples: Iterable[Example], slots: Sequence[BatchSlot]) -> dict[str, int]:
    """Rows that hold values longer than their limits, by :func:`column_of`."""
    columns = (dict.fromkeys(column_of(cut, slots) for cut in example.cuts) for example in examples if example.cuts)
    return dict(Counter(column for found in columns for column in found))


def summary(cuts: Mapping[str, int], drawn: Mapping[str, int]) -> list[str]:
    """One sentence a column. drawn: rows so far, by task."""
    rows = {column: drawn[column.partition("/")[0]] for column in cuts}
    return [f"`{column}`: {count:,} of {rows[column]:,} rows drawn were longer than the limit" for column, count in cuts.items()]


def look_for_cuts(prepared: Prepared) -> list[CutColumn]:
    """The columns of texts and phones that are cut in some of up to 200 training rows of each task, spread over all."""
    found = []
    for task in prepared.tasks:
        if task.transform is None:  # what it does to a text is known when it is drawn
            program = prepared.encoder.program(task.name)
            steps = [step for step in program.slots.values() if step.is_open and step.slot.modality in _LOOKED_AT]
            found += [column for step in steps if (column := _look(prepared, task, step)) is not None]
    return found


def _look(prepared: Prepared, task: Task, step: SlotStep) -> CutColumn | None:
    rng = row_rng(0, task.name, 0, 0)
    cuts, total, first = 0, 0, None
    for row in spread_rows(training_rows(task), ROWS_LOOKED_AT):
        context = EncodeContext(split="valid", rng=rng, row=row)
        total += 1
        try:
            found = [
                cut for value in _flat(row.get(step.slot.column)) if (cut := step.cut(step.processor.encode(value, context)))
            ]
        except SampleError:
            continue  # encoding reports it
        cuts += bool(found)
        first = first or next(iter(found), None)
    if first is None:
        return None
    slots = prepared.encoder.slots
    return CutColumn(column=column_of(first, slots), example=cut_message(first, slots), rows=cuts, total=total)


def _flat(value: object) -> Iterator[object]:
    if isinstance(value, list | tuple):
        for part in value:
            yield from _flat(part)
    else:
        yield value
