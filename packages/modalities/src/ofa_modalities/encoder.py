"""From a row to the packed batch: the whole flow of this package.

    1  a TaskPlan says what each slot is               ofa_instruction.compile
    2  fit_vocabulary lays out the token ids           fitting.py, vocabulary.py, tokenizer.py
    3  TaskEncoder resolves every slot once            here
    4  encode: row → Example                           processors (text/, image/, …) make Items, here they become segments
    5  fill_batches, pack: Examples → PackedBatch      packing.py
    6  decode: generated units → value                 processors again

    >>> encoder = TaskEncoder(tasks, catalog, vocabulary, closed_sets)          # doctest: +SKIP
    >>> example = encoder.encode("caption", {"img": "cat.png", "cap": "a cat"}, split="train", rng=rng)
    >>> batch = encoder.pack([example])
    >>> [slot.slot.column for slot in batch.slots]
    ['img', 'cap']

An encoder holds no state between rows and can be pickled into loader workers. All randomness of a row comes from the
generator it is given, drawn in a fixed order: the alternative, then slots in reading order, a referred slot before the
slot that refers to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.catalog import Catalog
from ofa_instruction.plans import InstructionPlan, PluginChoice, SlotPlan, TaskPlan, TextPlan, walk_slots

from ofa_modalities.batch import BatchSlot, PackedBatch
from ofa_modalities.building import StepBuilder, slot_key
from ofa_modalities.packing import pack
from ofa_modalities.processor import DecodeContext, Processor, SampleError, Split, TokenRule
from ofa_modalities.program import Assets, Program, SlotStep
from ofa_modalities.references import ReferenceReader
from ofa_modalities.segment import EncodedSegment, Example
from ofa_modalities.vocabulary import Vocabulary
from ofa_modalities.walking import Walk


class StreamNeed(NamedTuple):
    """What a model must have to read one stream: the adaptor, and the width of its float units (None: ids)."""

    adaptor: PluginChoice
    unit_features: int | None


class TaskEncoder:
    """Encodes rows of several tasks and decodes answers; see the module's docstring.

    slots: the run's slot table, one line per distinct (task, side, column, modality); alternatives share lines.
    streams: by adaptor name, what the model must be able to embed.
    untied: sorted ranges (start, stop) of ids that are answered with output weights of their own.
    """

    def __init__(
        self,
        tasks: Sequence[TaskPlan],
        catalog: Catalog,
        vocabulary: Vocabulary,
        closed_sets: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
        *,
        assets: Assets | None = None,
        max_row_tokens: int | None = None,
        hosts: frozenset[str] = frozenset(),
        max_items: int | None = None,
    ) -> None:
        """``closed_sets`` maps task → set name → candidates; a row of more than ``max_row_tokens`` is a SampleError.

        max_items: items of a repeat that answers will stop at, to tell of rows that hold more; None: it is not known.
        assets: what :func:`ofa_modalities.fitting.fit_assets` gave. hosts: names that URLs in rows may be fetched from.

        Raises ValueError for a plan that cannot be encoded: a missing closed set, asset or block, a contrast, an adaptor that is
        asked for twice with different options.
        """
        self.vocabulary = vocabulary
        self.max_row_tokens = max_row_tokens
        self.hosts = hosts
        self.max_items = max_items
        self.task_names = tuple(task.name for task in tasks)
        if len(set(self.task_names)) != len(self.task_names):
            raise ValueError(f"two tasks have one name: {', '.join(self.task_names)}")
        self._numbers = {name: number for number, name in enumerate(self.task_names)}
        builder = StepBuilder(catalog, vocabulary, closed_sets or {}, assets or {})
        self._programs: tuple[tuple[Program, ...], ...] = tuple(builder.task(task) for task in tasks)
        self.slots: tuple[BatchSlot, ...] = tuple(builder.slots)
        self.streams: Mapping[str, StreamNeed] = {name: StreamNeed(*need) for name, need in sorted(builder.streams.items())}
        self._steps: tuple[SlotStep, ...] = tuple(builder.steps)
        self._lines = dict(builder.lines)
        self.untied = _untied(self._steps, vocabulary)

    def __repr__(self) -> str:
        return f"TaskEncoder({_names('task', self.task_names)}; {_names('stream', self.streams)})"

    # Rows

    def task_number(self, task: int | str) -> int:
        """Index of a task in :attr:`task_names`. Raises KeyError, listing the tasks."""
        if isinstance(task, int):
            return task
        if task not in self._numbers:
            raise KeyError(f"no task `{task}`; there are {', '.join(self.task_names)}")
        return self._numbers[task]

    def encode(
        self,
        task: int | str,
        row: Mapping[str, object],
        *,
        split: Split,
        rng: np.random.Generator,
        address: str = "",
        with_targets: bool = True,
        alternative: int | None = None,
        root: Path | None = None,
    ) -> Example:
        """Encode one row.

        alternative: which of the task's instructions; None draws one in training and takes the first otherwise.
        with_targets: False for generation: target columns need not be there, only those marked ``no_loss``.
        root: where relative paths of the row start and what they must stay inside; None: paths are the user's own.
        A column that a row of a data set leaves out is an empty one (but not of a question that is asked: split ``infer``).
        Raises SampleError, with ``address``, for a row that cannot be used; NoAnswerError where only the answer is empty.
        """
        number = self.task_number(task)
        programs = self._programs[number]
        if alternative is None:
            alternative = int(rng.integers(len(programs))) if split == "train" and len(programs) > 1 else 0
        program = programs[alternative]
        if split != "infer":
            row = _whole(program, row)
        try:
            walk = Walk(
                program,
                row,
                split=split,
                rng=rng,
                root=root,
                with_targets=with_targets,
                hosts=self.hosts,
                max_items=self.max_items,
                max_row_tokens=self.max_row_tokens,
            )
            source, target = walk.run()
            if split == "train" and program.condition_dropout and rng.random() < program.condition_dropout:
                source, target = (), tuple(replace(segment, refers=-1) for segment in target)
            num_source = sum(segment.num_tokens for segment in source)
            num_target = sum(segment.num_tokens for segment in target)
            if self.max_row_tokens is not None and num_source + num_target > self.max_row_tokens:
                raise self._too_long((*source, *target))
        except SampleError as error:
            error.address = error.address or address
            raise
        return Example(
            task=number,
            alternative=alternative,
            address=address,
            source=source,
            target=target,
            num_source_tokens=num_source,
            num_target_tokens=num_target,
            referred=walk.referred(),
            forced=walk.forced(),
            cuts=tuple(walk.cuts),
            empty=walk.empty(),
            causal=program.is_causal,
        )

    def references(
        self, row: Mapping[str, object], example: Example, *, split: Split, root: Path | None = None
    ) -> dict[str, object]:
        """What should be answered to an encoded row: its answered columns in the form of answers, lists of those in a repeat.

        Raises SampleError for a column that is missing or cannot be read.
        """
        program = self._programs[example.task][example.alternative]
        reader = ReferenceReader(program, _whole(program, row), example.referred, split=split, root=root, hosts=self.hosts)
        try:
            if self.max_row_tokens is not None:
                program.check_lengths(row, self.max_row_tokens)
            return reader.read()
        except SampleError as error:
            error.address = error.address or example.address
            raise

    def _too_long(self, segments: tuple[EncodedSegment, ...]) -> SampleError:
        total = sum(segment.num_tokens for segment in segments)
        longest = max(segments, key=lambda segment: segment.num_tokens)
        column = self.slots[longest.slot].slot.column if longest.slot >= 0 else "(fixed text)"
        return SampleError(
            column,
            f"the row has {total} tokens, more than {self.max_row_tokens}; {longest.num_tokens} of them are of this column",
        )

    def pack(self, examples: Sequence[Example]) -> PackedBatch:
        """:func:`ofa_modalities.packing.pack` with this encoder's tables."""
        return pack(examples, self.slots, self.task_names)

    # Slots, by line of the slot table

    def instruction(self, task: int | str, alternative: int = 0) -> InstructionPlan:
        """The compiled instruction of a task."""
        return self._programs[self.task_number(task)][alternative].plan

    def program(self, task: int | str, alternative: int = 0) -> Program:
        """A task's instruction with every slot resolved: what generation walks."""
        return self._programs[self.task_number(task)][alternative]

    def line(self, task: int | str, slot: SlotPlan) -> int:
        """Line of a slot in the slot table."""
        return self._lines[slot_key(self.task_names[self.task_number(task)], slot)]

    def processor(self, line: int) -> Processor:
        """The processor of a line."""
        return self._steps[line].processor

    def rule(self, line: int) -> TokenRule | None:
        """What a target slot of ids may answer; None where its units are floats."""
        return self._steps[line].rule

    def adaptor(self, line: int) -> str:
        """Name of the stream that a line's units go through."""
        return self._steps[line].adaptor

    def begin_id(self, line: int) -> int:
        """The begin token of a line of ids."""
        return self._steps[line].begin

    def fixed_ids(self, text: TextPlan | str) -> list[int]:
        """Ids of fixed words of an instruction, without begin and end."""
        return self.vocabulary.tokenizer.encode(text if isinstance(text, str) else text.text)

    def decode(
        self, line: int, units: NDArray[Any], example: Example | None = None, *, item: int = 0, is_cut: bool = False
    ) -> object:
        """The value of generated units: ids ``[U]`` without ``<end>``, or float32 ``[U, F]``.

        example: the row they answer, whose pictures give boxes their pixels. item: which item of a repeat this is. is_cut:
        whether the answer met its longest length before it ended.
        """
        step = self._steps[line]
        referred = None
        if example is not None and step.slot.refers_to is not None:
            plan = self.instruction(example.task, example.alternative)
            index = self._referred_index(plan, step.slot)
            items = example.referred.get(index, ())
            referred = items[min(item, len(items) - 1)] if items else None
        return step.processor.decode(units, DecodeContext(referred=referred, is_cut=is_cut))

    def _referred_index(self, plan: InstructionPlan, slot: SlotPlan) -> int:
        """The slot that ``slot`` refers to under this alternative, whose indices may differ from those of the first."""
        for candidate in walk_slots(plan.target):
            if slot_key("", candidate) == slot_key("", slot) and candidate.refers_to is not None:
                return candidate.refers_to
        assert slot.refers_to is not None
        return slot.refers_to


def _names(kind: str, names: Collection[str]) -> str:
    """``2 tasks: a, b``, of many their number alone."""
    listed = ", ".join(names)
    count = f"{len(names)} {kind}{'' if len(names) == 1 else 's'}"
    return f"{count}: {listed}" if listed and len(listed) <= 60 else count


def _whole(program: Program, row: Mapping[str, object]) -> Mapping[str, object]:
    """The row with None in the columns that it leaves out."""
    left_out = [step.slot.column for step in program.slots.values() if step.slot.column not in row]
    return {**row, **dict.fromkeys(left_out)} if left_out else row


def _untied(steps: Sequence[SlotStep], vocabulary: Vocabulary) -> tuple[tuple[int, int], ...]:
    """Ranges of the blocks that answers ask to be untied. Raises ValueError where another answer asks for the same block tied."""
    asked: dict[str, tuple[bool, str]] = {}
    for step in steps:
        if step.slot.generator is None or step.rule is None:
            continue
        for name in step.rule.blocks:
            untied, column = asked.setdefault(name, (step.rule.untied, step.slot.column))
            if untied != step.rule.untied:
                raise ValueError(
                    f"the columns `{column}` and `{step.slot.column}` answer from the block `{name}`,"
                    " one with a head of its own and one without; give both the same `head`"
                )
    blocks = [vocabulary.block(name) for name, (untied, _) in asked.items() if untied]
    return tuple(sorted((block.start, block.stop) for block in blocks))
