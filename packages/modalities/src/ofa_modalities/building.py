"""Resolving the plans of a run's tasks: processors, ids of fixed text, begin tokens, layouts, prefix trees, each found once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.catalog import Catalog
from ofa_instruction.plans import ContrastPlan, InstructionPlan, NodePlan, RepeatPlan, SlotPlan, TaskPlan, TextPlan
from ofa_instruction.plans import Side as SideName

from ofa_modalities.agreeing import Streams, words_adaptor
from ofa_modalities.batch import BatchSlot
from ofa_modalities.processor import Processor, Resources, TokenRule
from ofa_modalities.program import Assets, Program, RepeatStep, SlotStep, Step, TextStep
from ofa_modalities.segment import EncodedSegment
from ofa_modalities.vocabulary import Vocabulary


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
        self._streams = Streams(catalog)
        self.streams = self._streams.needs

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
            adaptor=self._streams.words(task),
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
        is_free = side == "target" and not any(slot.slot.no_loss for slot in slots)
        return RepeatStep(body=body, opens=opens, closes=closes, is_free=is_free)

    def _nothing(self, task: TaskPlan, slot: SlotPlan, *, is_ids: bool) -> EncodedSegment | None:
        """An empty value of a source slot: its begin token, in the stream of its ids or else of words, where the task has one."""
        if slot.side != "source" or slot.required:
            return None
        adaptor = slot.adaptor.name if is_ids else words_adaptor(task, self._catalog)
        if not is_ids and not _reads_words(task, adaptor):
            return None
        units = np.array([self._vocabulary.id(f"begin:{slot.modality}")], np.int64)
        return EncodedSegment(slot=self.lines[slot_key(task.name, slot)], adaptor=adaptor, units=units, shape=(1,), layout=(1,))

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
        self._streams.slot(task, slot, processor.unit_features)
        rule = processor.token_rule()
        if candidates is not None and slot.generator is not None and (rule is None or rule.tree is None):
            raise ValueError(f"column `{slot.column}`: {slot.modality} takes no closed set, so candidates would have no effect")
        if is_ids and rule is None:
            raise ValueError(f"column `{slot.column}`: the processor `{slot.processor.name}` gives ids but no token rule")
        line = self._line(task, slot, rule)
        step = SlotStep(
            slot=slot,
            line=line,
            depth=depth,
            processor=processor,
            adaptor=slot.adaptor.name,
            adaptor_spec=spec,
            adaptor_options=self._catalog.validate(slot.adaptor, "ofa.adaptors"),
            is_ids=is_ids,
            begin=self._vocabulary.id(f"begin:{slot.modality}") if is_ids else -1,
            end=self._vocabulary.id("end"),
            rule=rule,
            nothing=self._nothing(task, slot, is_ids=is_ids),
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


def _reads_words(task: TaskPlan, adaptor: str) -> bool:
    """Whether fixed text or a slot of the task goes through the stream of words."""
    return any(
        _has_text((*plan.source, *plan.target)) or any(slot.adaptor.name == adaptor for slot in plan.slots)
        for plan in task.instructions
    )


def _has_text(nodes: Sequence[NodePlan]) -> bool:
    return any(isinstance(node, TextPlan | RepeatPlan) for node in nodes)


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
