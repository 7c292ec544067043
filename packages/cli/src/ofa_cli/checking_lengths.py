"""Whether texts are longer than their limits, as far as that can be told without a tokenizer: a word is one token at least."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ofa_instruction import SlotPlan, TaskPlan
    from ofa_trainer.source import Source

ROWS_LOOKED_AT = 200
_TEXTS = frozenset({"TEXT", "PHONE"})


def long_texts(plan: TaskPlan, columns: Mapping[str, str], source: Source) -> Iterator[str]:
    """What to tell of each column that is cut in some of up to 200 rows. columns: of the instruction, to those of the data."""
    from ofa_trainer.sources.choosing import spread_rows

    limits = {slot.column: found for slot in _slots(plan) if (found := _limit(slot)) is not None}
    if not limits:
        return
    rows = list(spread_rows(source, ROWS_LOOKED_AT))
    for column, (slot, limit) in limits.items():
        name = columns.get(column, column)
        count = sum(any(len(text.split()) > limit for text in _texts(row.get(name))) for row in rows)
        if count:
            what = "are learnt cut, and without their end" if slot.generator is not None else "are read cut"
            yield (
                f"[{slot.modality}:{column}]: {count:,} of {len(rows):,} rows looked at have more words than max_length={limit}"
                f" allows tokens: they {what}; a larger max_length takes more"
            )


def _slots(plan: TaskPlan) -> Iterator[SlotPlan]:
    for instruction in plan.instructions:
        yield from instruction.slots


def _limit(slot: SlotPlan) -> tuple[SlotPlan, int] | None:
    limit = slot.processor.options.get("max_length")
    is_open = slot.modality in _TEXTS and slot.closed_set is None
    return (slot, limit) if is_open and isinstance(limit, int) else None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
