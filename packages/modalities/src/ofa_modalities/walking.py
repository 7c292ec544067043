"""One row walking through the steps of its instruction: values are put at slots, items made, segments written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ofa_instruction.binding import Bound, BoundRepeat, BoundSlot, bind
from ofa_instruction.errors import BindError

from ofa_modalities.copies import own_copy
from ofa_modalities.processor import EncodeContext, Item, NoAnswerError, SampleError, Split
from ofa_modalities.program import Program, SlotStep, Step, TextStep
from ofa_modalities.reading import Reading
from ofa_modalities.segment import Cut, EncodedSegment

_NO_IDS = np.zeros(0, np.int64)
_NOTHING = Item(units=_NO_IDS, shape=(0,))
"""An empty value of a source slot."""

Place = tuple[int, ...]
"""Which item of each repeat around a slot."""


class Walk:
    """Encodes one row: a value is put at every slot, items are made as segments ask for them, a referred item first."""

    def __init__(
        self,
        program: Program,
        row: Mapping[str, object],
        *,
        split: Split,
        rng: np.random.Generator,
        root: Path | None,
        with_targets: bool,
        hosts: frozenset[str] = frozenset(),
        max_items: int | None = None,
        max_row_tokens: int | None = None,
    ) -> None:
        """Raises SampleError for a column that is missing or, in a repeat, no list of the right length, or one of more items than
        a row may have tokens."""
        self._program = program
        self._split = split
        self._rng = rng
        self._root = root
        self._with_targets = with_targets
        self._hosts = hosts
        self._row = row
        self._max_items = max_items
        self.cuts: list[Cut] = []
        self._values: dict[tuple[int, Place], object] = {}
        self._items: dict[tuple[int, Place], Item] = {}
        self._source_segments: dict[tuple[int, Place], int] = {}
        self._pending: list[tuple[list[EncodedSegment], int, tuple[int, Place]]] = []
        if max_row_tokens is not None:
            program.check_lengths(row, max_row_tokens)
        try:
            self._bound = bind(program.plan, row, with_targets=with_targets)
        except BindError as error:
            raise (NoAnswerError if error.no_answer else SampleError)(error.column, str(error)) from error
        self._collect(self._bound.source, ())
        self._collect(self._bound.target, ())

    def run(self) -> tuple[tuple[EncodedSegment, ...], tuple[EncodedSegment, ...]]:
        """Source and target segments. Raises SampleError."""
        source: list[EncodedSegment] = []
        target: list[EncodedSegment] = []
        self._emit(self._program.source, self._bound.source, (), source, is_source=True)
        if self._with_targets:
            self._emit(self._program.target, self._bound.target, (), target, is_source=False)
        else:
            for step in self._program.forced:
                for index, place in self._values:
                    if index == step.slot.index:
                        self._item(step, place)
        for segments, number, key in self._pending:
            segments[number] = replace(segments[number], refers=self._source_segments.get(key, -1))
        return tuple(source), tuple(target)

    def referred(self) -> dict[int, tuple[Item, ...]]:
        """Items that others refer to, by slot index; with units only where some are given to the answer (``known``)."""
        if not self._program.referred:
            return {}
        return self._gather(self._program.referred, keep_units=False)

    def forced(self) -> dict[int, tuple[Item, ...]]:
        """Items of ``no_loss`` target slots, by slot index."""
        if not self._program.forced:
            return {}
        return self._gather(frozenset(step.slot.index for step in self._program.forced), keep_units=True)

    def empty(self) -> tuple[str, ...]:
        """Columns of source slots with an empty value."""
        indices = {index for (index, _), item in self._items.items() if item.is_nothing}
        return tuple(dict.fromkeys(self._program.slots[index].slot.column for index in sorted(indices)))

    def _gather(self, indices: frozenset[int], *, keep_units: bool) -> dict[int, tuple[Item, ...]]:
        found: dict[int, list[Item]] = {}
        for (index, _), item in sorted(self._items.items(), key=lambda pair: pair[0]):
            if index in indices:
                keeps = keep_units or item.known is not None
                kept = item if keeps else replace(item, units=_NO_IDS, inputs=None, weights=None)
                found.setdefault(index, []).append(kept)
        return {index: tuple(items) for index, items in found.items()}

    def _collect(self, nodes: Sequence[Bound], place: Place) -> None:
        for node in nodes:
            if isinstance(node, BoundSlot):
                self._values[node.plan.index, place] = node.value
            elif isinstance(node, BoundRepeat):
                for number, item in enumerate(node.items):
                    self._collect(item, (*place, number))

    def _emit(
        self, steps: Sequence[Step], nodes: Sequence[Bound], place: Place, out: list[EncodedSegment], *, is_source: bool
    ) -> None:
        for step, node in zip(steps, nodes, strict=True):
            if isinstance(step, TextStep):
                out.append(step.segment)
            elif isinstance(step, SlotStep):
                made = self._item(step, place)
                segment = step.segment(made, self._rng)
                if is_source and not made.is_nothing:
                    self._source_segments[step.slot.index, place] = len(out)
                if step.slot.refers_to is not None:
                    self._pending.append((out, len(out), self._referred_key(step.slot.refers_to, place)))
                out.append(segment)
            else:
                assert isinstance(node, BoundRepeat)
                most = self._max_items
                if not is_source and most is not None and len(node.items) > most and step.is_free:
                    line = step.opens.label_slot
                    self.cuts.append(Cut(line=line, kept=most, total=len(node.items), limit="max_items", is_learnt=True))
                for number, item in enumerate(node.items):
                    out.append(step.opens)
                    self._emit(step.body, item, (*place, number), out, is_source=is_source)
                out.append(step.closes)

    def _item(self, step: SlotStep, place: Place) -> Item:
        key = (step.slot.index, place)
        item = self._items.get(key)
        if item is None:
            referred = None
            if step.slot.refers_to is not None:
                other, other_place = self._referred_key(step.slot.refers_to, place)
                referred = self._item(self._program.slots[other], other_place)
            item = self._encoded(step, self._values[key], referred)
            self._items[key] = item
            cut = None if item.is_nothing else step.cut(item)
            if cut is not None:
                self.cuts.append(cut)
        return item

    def _encoded(self, step: SlotStep, value: object, referred: Item | None) -> Item:
        if value is None:
            return _NOTHING
        if referred is not None and referred.is_nothing:
            referred = None
        context = EncodeContext(
            split=self._split, rng=self._rng, referred=referred, root=self._root, hosts=self._hosts, row=self._row
        )
        with Reading(step.slot.column, "value"):
            copied = own_copy(value)
        item = step.processor.encode(copied, context)
        assert len(item.units) == math.prod(item.shape), f"units of `{step.slot.column}` do not fill their shape {item.shape}"
        return item

    def _referred_key(self, index: int, place: Place) -> tuple[int, Place]:
        """A slot refers to one outside of its repeats, or inside the same ones."""
        return index, place[: self._program.slots[index].depth]
