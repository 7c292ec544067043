"""An instruction plan, resolved: the steps that a row walks through, with everything that is the same for all rows.

Made by :mod:`ofa_modalities.building`, walked by :mod:`ofa_modalities.walking`, and by generation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import DiffusionGeneration, FrameGeneration, InstructionPlan, SlotPlan, TokenGeneration
from ofa_instruction.specs import AdaptorSpec, Options

from ofa_modalities.prefix_tree import PrefixTree
from ofa_modalities.processor import Item, Processor, SampleError, TokenRule
from ofa_modalities.segment import Cut, EncodedSegment

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
    nothing: EncodedSegment | None = None
    """Of a source slot: an empty value, its begin token alone. None: the task reads no words, so there is no stream for it."""

    @property
    def by_diffusion(self) -> bool:
        """Whether it is an answer whose units are denoised together."""
        return self.slot.generator is not None and self.slot.generator.kind == "diffusion"

    @property
    def is_open(self) -> bool:
        """Whether an answer of ids goes on until ``<end>``, from no closed set."""
        return self.rule is not None and self.rule.length is None and self.rule.tree is None

    def segment(self, item: Item, rng: np.random.Generator | None = None) -> EncodedSegment:
        """The item as a segment of its side. ``rng`` draws what an answer by diffusion is mixed with."""
        if item.is_nothing and self.slot.side == "source":
            if self.nothing is None:
                raise SampleError(self.slot.column, "the value is empty, and a task without any words cannot read nothing")
            return self.nothing
        if self.is_ids:
            return self._source_ids(item) if self.slot.side == "source" or self.slot.no_loss else self._target_ids(item)
        if self.slot.side == "source":
            layout = self.adaptor_spec.layout(self.adaptor_options, item.shape).shape
            return EncodedSegment(slot=self.line, adaptor=self.adaptor, units=item.units, shape=item.shape, layout=layout)
        if self.by_diffusion:
            assert rng is not None
            return self._target_diffusion(item, rng)
        return self._target_frames(item)

    def cut(self, item: Item) -> Cut | None:
        """What was cut off an item, or will be cut off the answer that it stands for; None: nothing."""
        count, generator = len(item.units), self.slot.generator
        if item.num_cut:
            return Cut(line=self.line, kept=count, total=count + item.num_cut, limit="max_length")
        match generator:
            case TokenGeneration(max_length=limit) if self.is_open and count > limit:
                return Cut(line=self.line, kept=limit, total=count, limit="max_length", is_learnt=True)
            case FrameGeneration(max_frames=limit) if count > limit:
                return Cut(line=self.line, kept=limit, total=count, limit="max_frames", is_learnt=True)
            case _:
                return None

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
        if item.num_cut:
            weights[count:] = 0  # the value goes on, so no end is learnt
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
        stop[-1] = 0 if item.num_cut else 1
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
    is_free: bool
    """Whether an answer says how many items there are; not where a slot without a loss inside gives them."""


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

    def __repr__(self) -> str:
        return f"Program({self.plan.text!r})"

    def check_lengths(self, row: Mapping[str, object], most: int) -> None:
        """Raises SampleError for a list of a repeat with more items than a row may have tokens, before anything is made of it."""
        for step in self.slots.values():
            value = row.get(step.slot.column)
            if step.depth and isinstance(value, Sized) and not isinstance(value, str | bytes) and len(value) > most:
                raise SampleError(step.slot.column, f"the list has {len(value):,} items, and a row at most {most:,} tokens")

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
