"""Whether the slots of a run go together: one run has one of each adaptor, and one size of each block of its vocabulary.

Known from the plans alone, so that `ofa check` can say it; building and fitting hold to it. Neither torch nor a vocabulary here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ofa_instruction.catalog import Catalog
from ofa_instruction.plans import NodePlan, PluginChoice, RepeatPlan, SlotPlan, TaskPlan, TextPlan

from ofa_modalities.processor import Processor


class Streams:
    """By adaptor: its options, and the width of its units (None: ids, or not known yet)."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.needs: dict[str, tuple[PluginChoice, int | None]] = {}

    def words(self, task: TaskPlan) -> str:
        """The adaptor of fixed text, which is what the task's backend embeds TEXT with, in its default form."""
        plugin = self._catalog.adaptor(words_adaptor(task, self._catalog))
        options = plugin.spec.options().model_dump(mode="json")
        choice = PluginChoice(name=plugin.spec.name, distribution=plugin.distribution, options=options)
        self.needs.setdefault(plugin.spec.name, (choice, None))
        return plugin.spec.name

    def slot(self, task: TaskPlan, slot: SlotPlan, features: int | None) -> None:
        """Take a slot. Raises ValueError where its adaptor is used already, with other options or units of another width."""
        need = (slot.adaptor, features)
        known = self.needs.setdefault(slot.adaptor.name, need)
        if known != need:
            said = _differing(known, need)
            raise ValueError(
                f"task `{task.name}`, column `{slot.column}`: the adaptor `{slot.adaptor.name}` is used twice with other options"
                f" or units{said}; one run has one of each, so say the same in every slot"
            )


def _differing(one: tuple[PluginChoice, int | None], other: tuple[PluginChoice, int | None]) -> str:
    """`` (dropout 0.1 and 0.0)``."""
    names = one[0].options.keys() | other[0].options.keys()
    parts = [
        f"{name} {one[0].options.get(name)} and {other[0].options.get(name)}"
        for name in sorted(names)
        if one[0].options.get(name) != other[0].options.get(name)
    ]
    if one[1] != other[1]:
        parts.append(f"units of {one[1]} and {other[1]} numbers (patch size, features)")
    return f" ({', '.join(parts)})" if parts else ""


class Blocks:
    """Blocks of the vocabulary that processors ask for, by name, with their sizes."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, task: str, slot: SlotPlan, wanted: Mapping[str, int]) -> None:
        """Take a slot's. Raises ValueError where another slot asks for one in another size (boxes with other `bins`)."""
        for name, size in wanted.items():
            place = f"task `{task}`, column `{slot.column}`"
            known, where = self._found.setdefault(name, (size, place))
            if known != size:
                raise ValueError(f"the block `{name}` is {known} long for {where}, but {size} for {place}")

    @property
    def sizes(self) -> dict[str, int]:
        """By name."""
        return {name: size for name, (size, _) in self._found.items()}


def words_adaptor(task: TaskPlan, catalog: Catalog) -> str:
    """Name of what the task's backend embeds TEXT with."""
    name = catalog.backend(task.backend).spec.adaptors.get("TEXT") or catalog.modality("TEXT").spec.adaptor
    return catalog.adaptor(name).spec.name


def check_agreement(tasks: Iterable[TaskPlan], catalog: Catalog) -> None:
    """Find out from plans what building them would refuse: adaptors used in two ways, blocks of two sizes. Raises ValueError.

    What depends on the rows (sets of labels, what is fitted) is left out.
    """
    streams, blocks = Streams(catalog), Blocks()
    for task in tasks:
        for plan in task.instructions:
            _walk((*plan.source, *plan.target), task, catalog, streams, blocks)


def _walk(nodes: Sequence[NodePlan], task: TaskPlan, catalog: Catalog, streams: Streams, blocks: Blocks) -> None:
    for node in nodes:
        match node:
            case TextPlan():
                streams.words(task)
            case SlotPlan():
                _slot(node, task, catalog, streams, blocks)
            case RepeatPlan(body=body):
                _walk(body, task, catalog, streams, blocks)
                streams.words(task)
            case _:
                pass  # A contrast cannot be trained at all.


def _slot(slot: SlotPlan, task: TaskPlan, catalog: Catalog, streams: Streams, blocks: Blocks) -> None:
    spec = catalog.processor(slot.processor.name).spec
    if slot.processor.name == catalog.modality("TEXT").spec.processor or slot.closed_set is not None:
        streams.slot(task, slot, None)
        return
    options = catalog.validate(slot.processor, "ofa.processors")
    implementation: type[Processor] = spec.load()
    streams.slot(task, slot, implementation.stream_features(slot, options))
    blocks.add(task.name, slot, implementation.blocks(slot, options, None))
