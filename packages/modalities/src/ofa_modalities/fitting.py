"""Fitting to a run: the texts a tokenizer learns from, the blocks that processors ask for, and what they learn themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from ofa_instruction.binding import items_of
from ofa_instruction.catalog import Catalog
from ofa_instruction.errors import BindError
from ofa_instruction.plans import ContrastPlan, NodePlan, RepeatPlan, SlotPlan, TaskPlan, TextPlan
from ofa_instruction.specs import Options

from ofa_modalities.agreeing import Blocks
from ofa_modalities.building import slot_candidates
from ofa_modalities.copies import own_copy
from ofa_modalities.processor import FitContext, Processor, SampleError
from ofa_modalities.program import Assets
from ofa_modalities.tokenizer import TextTokenizer
from ofa_modalities.vocabulary_plan import VocabularyPlan

_MOST_CHARACTERS, _MOST_VALUES = 100_000, 10_000
"""Of one column of a row, that a tokenizer learns from."""

ClosedSets = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Task → set name → candidates."""


def collect_texts(
    tasks: Iterable[TaskPlan],
    catalog: Catalog,
    rows: Mapping[str, Iterable[Mapping[str, object]]],
    closed_sets: ClosedSets | None = None,
) -> Iterator[str]:
    """What a run's tokenizer should learn: fixed text, candidates, and the texts of the rows (task → rows).

    Values that are missing or cannot be read are passed over here; encoding reports them.
    """
    for task in tasks:
        yield from _fixed_texts(task)
        for slot, options, implementation in _readers(task, catalog):
            for candidate in slot_candidates(task.name, slot, closed_sets or {}) or ():
                yield from _first_texts(slot, options, implementation, [candidate])
        for texts in texts_of_rows(task, catalog, rows.get(task.name, ())):
            yield from texts


def texts_of_rows(task: TaskPlan, catalog: Catalog, rows: Iterable[Mapping[str, object]]) -> Iterator[list[str]]:
    """The texts of each row, of all slots; values that cannot be read are passed over."""
    readers, depths = list(_readers(task, catalog)), column_depths(task)
    for row in rows:
        texts: list[str] = []
        for slot, options, implementation in readers:
            texts.extend(_first_texts(slot, options, implementation, _values(row.get(slot.column), depths[slot.column])))
        yield texts


def _first_texts(slot: SlotPlan, options: Options, implementation: type[Processor], values: Iterable[object]) -> Iterator[str]:
    """The texts of a column's values in one row, as far as they may count: one without end would outweigh all other rows."""
    left = _MOST_CHARACTERS
    try:
        for value in islice(values, _MOST_VALUES):
            try:
                for text in implementation.corpus(slot, options, value):
                    yield text[:left]
                    left -= len(text)
                    if left <= 0:
                        return
            except SampleError:
                continue
    except RecursionError:  # lists within lists, of which encoding tells
        return


def _readers(task: TaskPlan, catalog: Catalog) -> Iterator[tuple[SlotPlan, Options, type[Processor]]]:
    """The slots of a task, each with the options and the class of its processor."""
    for slot in _slots(task):
        yield slot, catalog.validate(slot.processor, "ofa.processors"), catalog.processor(slot.processor.name).spec.load()


def fit_vocabulary(
    tasks: Iterable[TaskPlan], catalog: Catalog, closed_sets: ClosedSets | None, tokenizer: TextTokenizer
) -> VocabularyPlan:
    """Lay out the vocabulary of a run: control tokens, the tokenizer's ids, and the blocks of its slots' processors.

    Raises ValueError where two slots ask for one block in two sizes (boxes with different numbers of bins).
    """
    blocks = Blocks()
    modalities: set[str] = set()
    for task in tasks:
        for slot in _slots(task):
            modalities.add(slot.modality)
            options = catalog.validate(slot.processor, "ofa.processors")
            candidates = slot_candidates(task.name, slot, closed_sets or {})
            wanted = catalog.processor(slot.processor.name).spec.load().blocks(slot, options, candidates)
            blocks.add(task.name, slot, wanted)
    return VocabularyPlan.lay_out(tokenizer, modalities, blocks.sizes)


ColumnValues = Callable[[str, str], Iterable[tuple[object, Path | None]]]
"""Task and column → the raw values of its training rows, each with the root of its paths."""


def fit_assets(
    tasks: Iterable[TaskPlan],
    catalog: Catalog,
    values: ColumnValues,
    *,
    known: Assets | None = None,
    seed: int = 0,
    hosts: frozenset[str] = frozenset(),
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Mapping[str, NDArray[Any]]]:
    """What the processors of these tasks fit to the rows: arrays by name, by the asset's name.

    known: assets that are there already (of a run that is resumed) and are taken as they are.
    progress: told ``(asset, done, total)``. Raises ValueError where an asset cannot be fitted.
    """
    needs: dict[str, tuple[SlotPlan, Options, type[Processor], dict[tuple[str, str], int]]] = {}
    for task in tasks:
        depths = column_depths(task)
        for slot in _slots(task):
            options = catalog.validate(slot.processor, "ofa.processors")
            implementation: type[Processor] = catalog.processor(slot.processor.name).spec.load()
            name = implementation.asset(slot, options)
            if name is not None:
                columns = needs.setdefault(name, (slot, options, implementation, {}))[3]
                columns[task.name, slot.column] = depths[slot.column]
    found: dict[str, Mapping[str, NDArray[Any]]] = {}
    for name, (slot, options, implementation, columns) in sorted(needs.items()):
        if known is not None and name in known:
            found[name] = known[name]
            continue
        report = partial(progress, name) if progress is not None else FitContext().progress
        context = FitContext(seed=seed, hosts=hosts, progress=report)
        found[name] = implementation.fit(slot, options, _pooled(values, columns), context)
    return found


def _pooled(values: ColumnValues, columns: Mapping[tuple[str, str], int]) -> Iterator[tuple[object, Path | None]]:
    """The values of several columns; of one inside repeats (their number), each item."""
    for column, depth in columns.items():
        for value, root in values(*column):
            try:
                yield from ((own_copy(item), root) for item in items_below(value, depth))
            except RecursionError:  # lists within lists, of which encoding tells
                continue


def items_below(value: object, depth: int, *, splits: bool = False) -> Iterator[object]:
    """What stands inside so many repeats of a column's value; nothing where it is missing or no list.

    splits: as :func:`ofa_instruction.binding.items_of` has it.
    """
    if depth == 0:
        yield value
        return
    try:
        items = items_of("", value, splits=splits and depth == 1)
    except BindError:
        return
    for place in range(len(items)):
        yield from items_below(items[place], depth - 1, splits=splits)


def column_depths(task: TaskPlan) -> dict[str, int]:
    """The number of repeats around each column."""

    def walk(nodes: Iterable[NodePlan], depth: int) -> Iterator[tuple[str, int]]:
        for node in nodes:
            match node:
                case SlotPlan(column=column):
                    yield column, depth
                case RepeatPlan(body=body):
                    yield from walk(body, depth + 1)
                case ContrastPlan(members=members):
                    yield from walk(members, depth)
                case TextPlan():
                    pass

    return dict(chain.from_iterable(walk((*plan.source, *plan.target), 0) for plan in task.instructions))


def _slots(task: TaskPlan) -> Iterator[SlotPlan]:
    for plan in task.instructions:
        yield from plan.slots


def _fixed_texts(task: TaskPlan) -> Iterator[str]:
    def texts(nodes: Iterable[NodePlan]) -> Iterator[str]:
        for node in nodes:
            match node:
                case TextPlan(text=text):
                    yield text
                case RepeatPlan(body=body):
                    yield from texts(body)
                case SlotPlan() | ContrastPlan():
                    pass

    for plan in task.instructions:
        yield from texts((*plan.source, *plan.target))


def _values(value: object, depth: int) -> Iterator[object]:
    """What stands inside the repeats of a column, and inside of lists there."""
    for item in items_below(value, depth):
        if isinstance(item, list | tuple):
            for part in item:
                yield from _values(part, 0)
        else:
            yield item
