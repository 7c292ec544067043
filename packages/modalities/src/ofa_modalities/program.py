"""An instruction plan, resolved into steps that a row walks through.

Everything that is the same for all rows is found once, in :class:`StepBuilder`: processors, ids of fixed text, begin
tokens, layouts, prefix trees. :class:`Walk` then encodes one row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.binding import Bound, BoundRepeat, BoundSlot, bind
from ofa_instruction.catalog import Catalog
from ofa_instruction.errors import BindError
from ofa_instruction.plans import (
    ContrastPlan,
    DiffusionGeneration,
    InstructionPlan,
    NodePlan,
    PluginChoice,
    RepeatPlan,
    SlotPlan,
    TaskPlan,
    TextPlan,
)
from ofa_instruction.plans import Side as SideName
from ofa_instruction.specs import AdaptorSpec, Options

from ofa_modalities.batch import BatchSlot
from ofa_modalities.prefix_tree import PrefixTree
from ofa_modalities.processor import EncodeContext, Item, Processor, Resources, SampleError, Split, TokenRule
from ofa_modalities.segment import EncodedSegment
from ofa_modalities.vocabulary import Vocabulary

_NO_IDS = np.zeros(0, np.int64)

Assets = Mapping[str, Mapping[str, NDArray[Any]]]
"""What processors have fitted to the rows of a run: arrays by name, by the asset's name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextStep:
    """Fixed text: one segment, made once."""

    segment: EncodedSegment


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlotStep:
    """One slot with all that encoding it needs. ``depth`` counts the repeats around it."""

    slot: SlotPlan
    line: int
    depth: int
    processor: Processor
    adaptor: str
    adaptor_spec: AdaptorSpec
    adaptor_options: Options
    is_ids: bool
    begin: int
    end: int
    rule: TokenRule | None

    @property
    def by_diffusion(self) -> bool:
        """Whether it is an answer whose units are denoised together."""
        return self.slot.generator is not None and self.slot.generator.kind == "diffusion"

    def segment(self, item: Item, rng: np.random.Generator | None = None) -> EncodedSegment:
        """The item as a segment of its side. ``rng`` draws what an answer by diffusion is mixed with."""
        if self.is_ids:
            return self._source_ids(item) if self.slot.side == "source" or self.slot.no_loss else self._target_ids(item)
        if self.slot.side == "source":
            layout = self.adaptor_spec.layout(self.adaptor_options, item.shape).shape
            return EncodedSegment(slot=self.line, adaptor=self.adaptor, units=item.units, shape=item.shape, layout=layout)
        if self.by_diffusion:
            assert rng is not None
            return self._target_diffusion(item, rng)
        return self._target_frames(item)

    def _source_ids(self, item: Item) -> EncodedSegment:
        units = np.empty(len(item.units) + 1, np.int64)
        units[0] = self.begin
        units[1:] = item.units if item.inputs is None else item.inputs
        return EncodedSegment(slot=self.line, adaptor=self.adaptor, units=units, shape=(len(units),), layout=(len(units),))

    def _target_ids(self, item: Item) -> EncodedSegment:
        assert self.rule is not None
        count = len(item.units)
        fixed = self.rule.length
        if fixed is not None and count != fixed:
            raise SampleError(self.slot.column, f"the answer has {count} units, not {fixed}")
        total = count if fixed is not None else count + 1
        units, labels, weights = np.empty(total, np.int64), np.empty(total, np.int64), np.ones(total, np.float32)
        units[0] = self.begin
        units[1:] = (item.units if item.inputs is None else item.inputs)[: total - 1]
        labels[:count] = item.units
        labels[count:] = self.end
        if item.weights is not None:
            weights[:count] = item.weights
        if self.rule.tree is None:
            nodes = np.full(total, -1, np.int64)
        else:
            nodes, branching = walk_tree(self.rule.tree, labels)
            weights *= branching
        return EncodedSegment(
            slot=self.line,
            label_slot=self.line,
            adaptor=self.adaptor,
            units=units,
            shape=(total,),
            layout=self.rule.shape or (total,),
            labels=labels,
            weights=weights,
            nodes=nodes,
        )

    def _target_frames(self, item: Item) -> EncodedSegment:
        frames = item.units
        read = frames if item.inputs is None else item.inputs
        count = len(frames)
        if count == 0:
            raise SampleError(self.slot.column, "the answer has no frames")
        if self.slot.no_loss:
            return EncodedSegment(
                slot=self.line, adaptor=self.adaptor, units=read, shape=(count,), layout=(count + 1,), begins=True
            )
        stop = np.zeros(count, np.float32)
        stop[-1] = 1
        return EncodedSegment(
            slot=self.line,
            label_slot=self.line,
            adaptor=self.adaptor,
            units=read[:-1],
            shape=(count - 1,),
            layout=(count,),
            begins=True,
            frames=frames,
            stop=stop,
            weights=np.ones(count, np.float32) if item.weights is None else item.weights,
        )

    def _target_diffusion(self, item: Item, rng: np.random.Generator) -> EncodedSegment:
        """All frames at once, with the noise they are mixed with and how far."""
        count = len(item.units)
        if count == 0:
            raise SampleError(self.slot.column, "the answer has no frames")
        return EncodedSegment(
            slot=self.line,
            label_slot=self.line,
            adaptor=self.adaptor,
            units=item.units,
            shape=item.shape,
            layout=self.adaptor_spec.layout(self.adaptor_options, item.shape).shape,
            frames=item.units,
            stop=np.zeros(count, np.float32),
            weights=np.ones(count, np.float32) if item.weights is None else item.weights,
            noise=rng.standard_normal(item.units.shape, np.float32),
            time=float(rng.random()),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RepeatStep:
    """A repeat: its body, and its control tokens as segments."""

    body: tuple[Step, ...]
    opens: EncodedSegment
    closes: EncodedSegment


Step = TextStep | SlotStep | RepeatStep


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """One instruction, resolved."""

    plan: InstructionPlan
    source: tuple[Step, ...]
    target: tuple[Step, ...]
    forced: tuple[SlotStep, ...]
    """Target slots marked ``no_loss``."""
    slots: Mapping[int, SlotStep]
    """By slot index."""
    referred: frozenset[int]
    """Indices of slots that others refer to."""

    @property
    def condition_dropout(self) -> float:
        """Share of training rows whose source is left out."""
        generators = [slot.generator for slot in self.plan.slots]
        return max((plan.condition_dropout for plan in generators if isinstance(plan, DiffusionGeneration)), default=0.0)

    @property
    def is_causal(self) -> bool:
        """Whether its answers are made one unit after the other; otherwise its only answer is made by diffusion."""
        return not any(isinstance(slot.generator, DiffusionGeneration) for slot in self.plan.slots)


def walk_tree(tree: PrefixTree, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nodes from which ``labels [n]`` are chosen, and 1 where there is a choice (0 where the node has one child)."""
    nodes = np.empty(len(labels), np.int64)
    branching = np.empty(len(labels), np.float32)
    node = 0
    for place, label in enumerate(labels):
        start, stop = tree.child_start[node], tree.child_start[node + 1]
        nodes[place], branching[place] = node, stop - start > 1
        node = int(start + np.searchsorted(tree.token[start:stop], label))
        assert tree.token[min(node, len(tree.token) - 1)] == label, "labels of a closed set are a path of its tree"
    return nodes, branching


class StepBuilder:
    """Resolves the plans of a run's tasks, and gathers its slot table and streams on the way."""

    def __init__(
        self,
        catalog: Catalog,
        vocabulary: Vocabulary,
        closed_sets: Mapping[str, Mapping[str, tuple[str, ...]]],
        assets: Assets,
    ) -> None:
        self._catalog = catalog
        self._vocabulary = vocabulary
        self._closed_sets = closed_sets
        self._assets = assets
        self.slots: list[BatchSlot] = []
        self.steps: list[SlotStep] = []
        self.lines: dict[tuple[object, ...], int] = {}
        self.streams: dict[str, tuple[PluginChoice, int | None]] = {}

    def task(self, task: TaskPlan) -> tuple[Program, ...]:
        """One program per alternative. Raises ValueError for what cannot be encoded."""
        if task.segment_layout != "per_slot":
            raise ValueError(f"task `{task.name}`: the segment layout `{task.segment_layout}` cannot be encoded yet")
        return tuple(self._program(task, plan) for plan in task.instructions)

    def _program(self, task: TaskPlan, plan: InstructionPlan) -> Program:
        targets = {slot.column for slot in plan.slots if slot.side == "target"}
        found: dict[int, SlotStep] = {}

        def steps(nodes: Sequence[NodePlan], depth: int) -> tuple[Step, ...]:
            made: list[Step] = []
            for node in nodes:
                match node:
                    case TextPlan():
                        made.append(TextStep(segment=self._text_segment(task, node)))
                    case SlotPlan():
                        step = self._slot(task, node, depth, also_target=node.side == "source" and node.column in targets)
                        found[node.index] = step
                        made.append(step)
                    case RepeatPlan():
                        made.append(self._repeat(task, node.side, steps(node.body, depth + 1)))
                    case ContrastPlan():
                        raise ValueError(f"task `{task.name}`: a contrast can be compiled, but not encoded yet")
            return tuple(made)

        source, target = steps(plan.source, 0), steps(plan.target, 0)
        return Program(
            plan=plan,
            source=source,
            target=target,
            forced=tuple(found[slot.index] for slot in plan.slots if slot.side == "target" and slot.no_loss),
            slots=found,
            referred=frozenset(slot.refers_to for slot in plan.slots if slot.refers_to is not None),
        )

    def _text_segment(self, task: TaskPlan, node: TextPlan) -> EncodedSegment:
        ids = np.array(self._vocabulary.tokenizer.encode(node.text), np.int64)
        if not len(ids):
            raise ValueError(f"task `{task.name}`: nothing is left of the fixed text {node.text!r} to encode")
        return self._control(task, ids)

    def _control(self, task: TaskPlan, ids: NDArray[np.int64], label: int | None = None, line: int = -1) -> EncodedSegment:
        """A segment of fixed ids, with one label on a one-token segment if asked."""
        labels = None if label is None else np.array([label], np.int64)
        return EncodedSegment(
            slot=-1,
            label_slot=line,
            adaptor=self._text_adaptor(task),
            units=ids,
            shape=(len(ids),),
            layout=(len(ids),),
            labels=labels,
            weights=None if label is None else np.ones(1, np.float32),
            nodes=None if label is None else np.full(1, -1, np.int64),
        )

    def _repeat(self, task: TaskPlan, side: SideName, body: tuple[Step, ...]) -> RepeatStep:
        slots = list(_slots_below(body))
        following, end = self._vocabulary.id("next"), self._vocabulary.id("end")
        if side == "source":
            opens = self._control(task, np.array([following], np.int64))
            closes = self._control(task, np.array([end], np.int64))
        else:
            choose, line = np.array([self._vocabulary.id("choose")], np.int64), slots[0].line
            opens = self._control(task, choose, following, line)
            closes = self._control(task, choose, end, line)
        return RepeatStep(body=body, opens=opens, closes=closes)

    def _text_adaptor(self, task: TaskPlan) -> str:
        """The stream of fixed text: what the task's backend embeds TEXT with."""
        name = self._catalog.backend(task.backend).spec.adaptors.get("TEXT") or self._catalog.modality("TEXT").spec.adaptor
        plugin = self._catalog.adaptor(name)
        if plugin.spec.name not in self.streams:
            options = plugin.spec.options().model_dump(mode="json")
            choice = PluginChoice(name=plugin.spec.name, distribution=plugin.distribution, options=options)
            self.streams[plugin.spec.name] = (choice, None)
        return plugin.spec.name

    def _slot(self, task: TaskPlan, slot: SlotPlan, depth: int, *, also_target: bool) -> SlotStep:
        candidates = slot_candidates(task.name, slot, self._closed_sets)
        options = self._catalog.validate(slot.processor, "ofa.processors")
        implementation: type[Processor] = self._catalog.processor(slot.processor.name).spec.load()
        resources = Resources(
            vocabulary=self._vocabulary,
            candidates=candidates,
            also_target=also_target,
            asset=self._asset(task, slot, implementation.asset(slot, options)),
        )
        processor = implementation(slot, options, resources)
        spec = self._catalog.adaptor(slot.adaptor.name).spec
        is_ids = spec.units == "ids"
        if is_ids != (processor.unit_features is None):
            raise ValueError(
                f"column `{slot.column}`: the processor `{slot.processor.name}` gives"
                f" {'ids' if processor.unit_features is None else 'floats'}, the adaptor `{slot.adaptor.name}` reads {spec.units}"
            )
        need = (slot.adaptor, processor.unit_features)
        if self.streams.setdefault(slot.adaptor.name, need) != need:
            raise ValueError(
                f"task `{task.name}`, column `{slot.column}`: the adaptor `{slot.adaptor.name}` is used twice with other options"
                " or units (patch size, features); one run has one of each"
            )
        rule = processor.token_rule()
        if is_ids and rule is None:
            raise ValueError(f"column `{slot.column}`: the processor `{slot.processor.name}` gives ids but no token rule")
        step = SlotStep(
            slot=slot,
            line=self._line(task, slot, rule),
            depth=depth,
            processor=processor,
            adaptor=slot.adaptor.name,
            adaptor_spec=spec,
            adaptor_options=self._catalog.validate(slot.adaptor, "ofa.adaptors"),
            is_ids=is_ids,
            begin=self._vocabulary.id(f"begin:{slot.modality}") if is_ids else -1,
            end=self._vocabulary.id("end"),
            rule=rule,
        )
        if step.line == len(self.steps):
            self.steps.append(step)
        return step

    def _asset(self, task: TaskPlan, slot: SlotPlan, name: str | None) -> Mapping[str, NDArray[Any]] | None:
        if name is None:
            return None
        if name not in self._assets:
            known = ", ".join(f"`{known}`" for known in self._assets) or "none"
            raise ValueError(
                f"task `{task.name}`, column `{slot.column}`: the processor `{slot.processor.name}` needs `{name}`, which is"
                f" fitted to the rows of a run; fitted here: {known}"
            )
        return self._assets[name]

    def _line(self, task: TaskPlan, slot: SlotPlan, rule: TokenRule | None) -> int:
        key = slot_key(task.name, slot)
        if key not in self.lines:
            self.lines[key] = len(self.slots)
            tree = rule.tree if rule is not None and slot.side == "target" else None
            self.slots.append(BatchSlot(task=task.name, slot=slot, tree=tree))
        return self.lines[key]


def slot_key(task: str, slot: SlotPlan) -> tuple[object, ...]:
    """What makes a line of the slot table."""
    return task, slot.side, slot.column, slot.modality, slot.no_loss, slot.closed_set


def slot_candidates(
    task: str, slot: SlotPlan, closed_sets: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> tuple[str, ...] | None:
    """Candidates of a slot's closed set; None where it has none. Raises ValueError where the set is not there or empty."""
    if slot.closed_set is None:
        return None
    sets = closed_sets.get(task, {})
    if not sets.get(slot.closed_set):
        known = ", ".join(f"`{name}`" for name in sets) or "none"
        raise ValueError(f"task `{task}`, column `{slot.column}`: no closed set `{slot.closed_set}`; the task has {known}")
    return sets[slot.closed_set]


def _slots_below(steps: Sequence[Step]) -> list[SlotStep]:
    found: list[SlotStep] = []
    for step in steps:
        match step:
            case SlotStep():
                found.append(step)
            case RepeatStep():
                found.extend(_slots_below(step.body))
            case TextStep():
                pass
    return found


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
    ) -> None:
        """Raises SampleError for a column that is missing or, in a repeat, no list of the right length."""
        self._program = program
        self._split = split
        self._rng = rng
        self._root = root
        self._with_targets = with_targets
        self._hosts = hosts
        self._row = row
        self._values: dict[tuple[int, Place], object] = {}
        self._items: dict[tuple[int, Place], Item] = {}
        self._source_segments: dict[tuple[int, Place], int] = {}
        self._pending: list[tuple[list[EncodedSegment], int, tuple[int, Place]]] = []
        try:
            self._bound = bind(program.plan, row, with_targets=with_targets)
        except BindError as error:
            raise SampleError(error.column, str(error)) from error
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
        """Items that others refer to, by slot index, without units."""
        if not self._program.referred:
            return {}
        return self._gather(self._program.referred, keep_units=False)

    def forced(self) -> dict[int, tuple[Item, ...]]:
        """Items of ``no_loss`` target slots, by slot index."""
        if not self._program.forced:
            return {}
        return self._gather(frozenset(step.slot.index for step in self._program.forced), keep_units=True)

    def _gather(self, indices: frozenset[int], *, keep_units: bool) -> dict[int, tuple[Item, ...]]:
        found: dict[int, list[Item]] = {}
        for (index, _), item in sorted(self._items.items(), key=lambda pair: pair[0]):
            if index in indices:
                kept = item if keep_units else replace(item, units=_NO_IDS, inputs=None, weights=None)
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
                segment = step.segment(self._item(step, place), self._rng)
                if is_source:
                    self._source_segments[step.slot.index, place] = len(out)
                if step.slot.refers_to is not None:
                    self._pending.append((out, len(out), self._referred_key(step.slot.refers_to, place)))
                out.append(segment)
            else:
                assert isinstance(node, BoundRepeat)
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
            context = EncodeContext(
                split=self._split, rng=self._rng, referred=referred, root=self._root, hosts=self._hosts, row=self._row
            )
            item = step.processor.encode(self._values[key], context)
            assert len(item.units) == math.prod(item.shape), f"units of `{step.slot.column}` do not fill their shape {item.shape}"
            self._items[key] = item
        return item

    def _referred_key(self, index: int, place: Place) -> tuple[int, Place]:
        """A slot refers to one outside of its repeats, or inside the same ones."""
        return index, place[: self._program.slots[index].depth]
