"""What a row says should be answered, in the form that answers have, so that metrics compare like with like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ofa_instruction.binding import Bound, BoundRepeat, BoundSlot, bind
from ofa_instruction.errors import BindError
from ofa_instruction.plans import SlotPlan, walk_slots

from ofa_modalities.copies import own_copy
from ofa_modalities.processor import EncodeContext, Item, NoAnswerError, SampleError, Split
from ofa_modalities.program import Program
from ofa_modalities.reading import Reading


class ReferenceReader:
    """Reads the answered columns of one row. referred: items that answers refer to, by slot index."""

    def __init__(
        self,
        program: Program,
        row: Mapping[str, object],
        referred: Mapping[int, tuple[Item, ...]],
        *,
        split: Split,
        root: Path | None,
        hosts: frozenset[str],
    ) -> None:
        self._program = program
        self._row = row
        self._referred = referred
        self._split = split
        self._root = root
        self._hosts = hosts
        self._rng = np.random.default_rng(0)  # for the signature: a reference has no chance in it
        self._seen: Counter[int] = Counter()

    def read(self) -> dict[str, object]:
        """References by column; of a repeat, lists. Raises SampleError for a column that is missing or cannot be read."""
        try:
            bound = bind(self._program.plan, self._row, with_targets=True)
        except BindError as error:
            raise (NoAnswerError if error.no_answer else SampleError)(error.column, str(error)) from error
        return self._collect(bound.target)

    def _collect(self, nodes: Sequence[Bound]) -> dict[str, object]:
        found: dict[str, object] = {}
        for node in nodes:
            if isinstance(node, BoundSlot) and node.plan.generator is not None:
                found[node.plan.column] = self._reference(node.plan, node.value)
            elif isinstance(node, BoundRepeat):
                items = [self._collect(item) for item in node.items]
                for slot in walk_slots(node.plan.body):
                    if slot.generator is not None:
                        found[slot.column] = [item[slot.column] for item in items]
        return found

    def _reference(self, slot: SlotPlan, value: object) -> object:
        number = self._seen[slot.index]
        self._seen[slot.index] += 1
        items = self._referred.get(slot.refers_to, ()) if slot.refers_to is not None else ()
        item = items[min(number, len(items) - 1)] if items else None
        context = EncodeContext(
            split=self._split,
            rng=self._rng,
            referred=None if item is None or item.is_nothing else item,
            root=self._root,
            hosts=self._hosts,
            row=self._row,
        )
        with Reading(slot.column, "value"):
            copied = own_copy(value)
        return self._program.slots[slot.index].processor.reference(copied, context)
