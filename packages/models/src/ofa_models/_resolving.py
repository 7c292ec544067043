"""Which task answers an instruction: a trained one, or a new one over what the checkpoint knows.

    the text of a trained task's instruction, or its name   that task, with its options and closed sets
    anything else                                           compiled under the checkpoint's backend profile

A closed set is the one given as ``candidates=``, else the checkpoint's set of that name, else the one its column had.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ofa_instruction import Catalog, compile, parse
from ofa_instruction.plans import ContrastPlan, InstructionPlan, NodePlan, RepeatPlan, SlotPlan, TaskPlan
from ofa_modalities.closed_set import check_candidates
from ofa_modalities.encoder import TaskEncoder
from ofa_modalities.program import Program

from ofa_models.checkpoint import PLAN, Checkpoint
from ofa_models.files import file_error

Candidates = Sequence[str] | Mapping[str, Sequence[str]]
"""Of the only closed target slot, or by column."""

_NEW = "new instruction"


class SessionError(ValueError):
    """A question that this checkpoint cannot answer, or columns that do not fit the instruction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """An instruction, ready to encode rows for: a task of an encoder, and which of its alternatives."""

    encoder: TaskEncoder
    task: str
    alternative: int
    program: Program

    def __repr__(self) -> str:
        return f"Resolved({self.task!r}: {self.plan.text})"

    @property
    def plan(self) -> InstructionPlan:
        """The compiled instruction."""
        return self.program.plan


class Resolver:
    """Resolves instructions against one checkpoint."""

    def __init__(self, checkpoint: Checkpoint, catalog: Catalog, hosts: frozenset[str] = frozenset()) -> None:
        self.checkpoint = checkpoint
        self.hosts = hosts
        self.catalog = catalog
        self._trained: dict[str, list[tuple[TaskPlan, int]]] = {}
        for task in checkpoint.plan.tasks:
            for number, plan in enumerate(task.instructions):
                self._trained.setdefault(plan.text, []).append((task, number))
        self._tasks = {task.name: task for task in checkpoint.plan.tasks}

    @cached_property
    def _encoder(self) -> TaskEncoder:
        checkpoint = self.checkpoint
        try:
            encoder = TaskEncoder(
                checkpoint.plan.tasks,
                self.catalog,
                checkpoint.vocabulary,
                checkpoint.closed_sets,
                assets=checkpoint.assets,
                hosts=self.hosts,
            )
            self._check_streams(encoder)
        except (ValueError, KeyError) as error:
            if checkpoint.folder is None:
                raise
            text = str(error.args[0] if isinstance(error, KeyError) else error)
            raise file_error(checkpoint.folder / PLAN, f"`tasks`: {text}") from error
        return encoder

    def resolve(self, instruction: str, candidates: Candidates | None) -> Resolved:
        """Raises InstructionError for a text that does not parse or compile, SessionError for one that does not fit."""
        task, alternative = self._task_of(instruction, candidates)
        if task.name in self._tasks and candidates is None:
            return self._resolved(self._encoder, task.name, alternative)
        task = task.model_copy(update={"instructions": (task.instructions[alternative],)})
        known = task.name in self._tasks
        if candidates is not None:
            task = _closed_for(task, candidates)
        sets = self._closed_sets(task, candidates)
        self._check_modalities(task)
        self._check_blocks(task, sets)
        self._check_assets(task)
        encoder = TaskEncoder(
            [task],
            self.catalog,
            self.checkpoint.vocabulary,
            {task.name: sets},
            assets=self.checkpoint.assets,
            hosts=self.hosts,
        )
        if not known:
            self._check_streams(encoder)
        return self._resolved(encoder, task.name, 0)

    @staticmethod
    def _resolved(encoder: TaskEncoder, task: str, alternative: int) -> Resolved:
        return Resolved(encoder=encoder, task=task, alternative=alternative, program=encoder.program(task, alternative))

    def _task_of(self, instruction: str, candidates: Candidates | None) -> tuple[TaskPlan, int]:
        if instruction.strip() in self._tasks:
            return self._tasks[instruction.strip()], 0
        if not any(mark in instruction for mark in ("->", "[", "]")):
            raise SessionError(self._no_task(instruction.strip()))
        parsed = parse(instruction, catalog=self.catalog)
        if str(parsed) in self._trained:
            return self._only(self._trained[str(parsed)], candidates)
        profile = self.catalog.backend(self.checkpoint.plan.model.backend).spec
        return compile(parsed, self.catalog, profile, name=_NEW, with_criteria=False), 0

    def _only(self, tasks: Sequence[tuple[TaskPlan, int]], candidates: Candidates | None) -> tuple[TaskPlan, int]:
        """The first of the tasks of one text, where all of them mean the same. Raises SessionError that says how to choose."""
        plans = {_meaning(task, number) for task, number in tasks}
        sets = {str(self._sets_of(task, number)) for task, number in tasks}
        if len(plans) > 1 or (len(sets) > 1 and candidates is None):
            names = list(dict.fromkeys(task.name for task, _ in tasks))
            differ = "options" if len(plans) > 1 else "closed sets"
            choose = "" if len(plans) > 1 else ", or give `candidates=`"
            raise SessionError(
                f"this text is that of the tasks {_list(names)}, and their {differ} differ;"
                f" ask by the name of one, `{names[0]}`, in place of the text{choose}"
            )
        return tasks[0]

    def _sets_of(self, task: TaskPlan, alternative: int) -> list[tuple[str, ...]]:
        known = self.checkpoint.closed_sets.get(task.name, {})
        return [known.get(slot.closed_set, ()) for slot in task.instructions[alternative].slots if slot.closed_set is not None]

    def _no_task(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._tasks, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        return (
            f"the checkpoint has no task `{name}`{hint}\nits tasks: {' '.join(self._tasks)}\n"
            "An instruction in its place has an arrow: `[TEXT:question] -> [TEXT:answer]`."
        )

    # Closed sets

    def _closed_sets(self, task: TaskPlan, candidates: Candidates | None) -> dict[str, tuple[str, ...]]:
        given = _by_column(task, candidates)
        found: dict[str, tuple[str, ...]] = {}
        for slot in task.instructions[0].slots:
            if slot.closed_set is None:
                continue
            candidates_of = given.get(slot.column) or self._known_set(task, slot)
            if found.setdefault(slot.closed_set, candidates_of) != candidates_of:
                raise SessionError(f"two columns share the closed set `{slot.closed_set}`, and their candidates differ")
        return found

    def _known_set(self, task: TaskPlan, slot: SlotPlan) -> tuple[str, ...]:
        """The checkpoint's set for a slot: of this very task, else by name, else by column."""
        assert slot.closed_set is not None
        sets = self.checkpoint.closed_sets
        if task.name in self._tasks:
            return sets[task.name][slot.closed_set]
        by_name = {task_name: known[slot.closed_set] for task_name, known in sets.items() if slot.closed_set in known}
        by_column = {
            name: sets[name][other.closed_set]
            for name, trained in self._tasks.items()
            for plan in trained.instructions
            for other in plan.slots
            if other.column == slot.column and other.closed_set is not None and other.closed_set in sets.get(name, {})
        }
        for matches in (by_name, by_column):
            distinct = set(matches.values())
            if len(distinct) == 1:
                return distinct.pop()
            if distinct:
                tasks = ", ".join(f"`{name}`" for name in matches)
                raise SessionError(
                    f"column `{slot.column}`: the tasks {tasks} have different closed sets `{slot.closed_set}`;"
                    " give `candidates=`"
                )
        known_names = sorted({name for known in sets.values() for name in known})
        raise SessionError(
            f"column `{slot.column}`: the checkpoint has no closed set `{slot.closed_set}`{_known(slot.closed_set, known_names)};"
            " give `candidates=`"
        )

    # What the checkpoint was trained with

    def _check_modalities(self, task: TaskPlan) -> None:
        known = [name.removeprefix("begin:") for name in self.checkpoint.vocabulary.plan.controls if name.startswith("begin:")]
        for slot in task.instructions[0].slots:
            if slot.modality not in known:
                raise SessionError(
                    f"slot [{slot.modality}:{slot.column}]: the checkpoint was trained without {slot.modality};"
                    f" it knows {' '.join(known)}"
                )

    def _check_blocks(self, task: TaskPlan, sets: Mapping[str, tuple[str, ...]]) -> None:
        vocabulary = self.checkpoint.vocabulary
        for slot in task.instructions[0].slots:
            options = self.catalog.validate(slot.processor, "ofa.processors")
            implementation = self.catalog.processor(slot.processor.name).spec.load()
            wanted = implementation.blocks(slot, options, sets.get(slot.closed_set or ""))
            for name, size in wanted.items():
                if not vocabulary.has_block(name):
                    what = "these candidates are" if slot.closed_set else f"`{name}` is"
                    hint = "; a TEXT slot with a closed set takes any candidates" if slot.closed_set else ""
                    raise SessionError(
                        f"slot [{slot.modality}:{slot.column}]: the model has tokens of its own for this slot,"
                        f" and {what} not among what it was trained with{hint}"
                    )
                if len(vocabulary.block(name)) != size:
                    raise SessionError(
                        f"slot [{slot.modality}:{slot.column}]: it needs {size} tokens `{name}`, the checkpoint has"
                        f" {len(vocabulary.block(name))}; use the attributes that it was trained with"
                    )

    def _check_assets(self, task: TaskPlan) -> None:
        for slot in task.instructions[0].slots:
            options = self.catalog.validate(slot.processor, "ofa.processors")
            name = self.catalog.processor(slot.processor.name).spec.load().asset(slot, options)
            if name is not None and name not in self.checkpoint.assets:
                raise SessionError(
                    f"slot [{slot.modality}:{slot.column}]: it needs `{name}`, which is fitted in training,"
                    f" and the checkpoint has {_list(self.checkpoint.assets)}; use the attributes that it was trained with"
                )

    def _check_streams(self, encoder: TaskEncoder) -> None:
        trained = self.checkpoint.plan.model.adaptors
        if not set(encoder.untied) <= set(self.checkpoint.plan.model.untied):
            raise SessionError(
                "the instruction asks for `head=classifier`, and the checkpoint was trained without one for this set"
            )
        for name, need in encoder.streams.items():
            if name not in trained:
                raise SessionError(
                    f"the instruction needs the stream `{name}`, and the checkpoint was trained with {_list(trained)}"
                )
            have = trained[name]
            if (have.adaptor, have.unit_features) != (need.adaptor, need.unit_features):
                raise SessionError(
                    f"the stream `{name}` was trained with units of {have.unit_features} features and options"
                    f" {have.adaptor.options}; the instruction asks for {need.unit_features} and {need.adaptor.options}:"
                    " use the attributes of the instructions it was trained with"
                )


def _meaning(task: TaskPlan, alternative: int) -> str:
    """Everything about an instruction that its answers depend on, but for the candidates of its closed sets."""
    slots = task.instructions[alternative].slots
    return json.dumps([slot.model_dump(mode="json", exclude={"criteria"}) for slot in slots], sort_keys=True)


def _by_column(task: TaskPlan, candidates: Candidates | None) -> dict[str, tuple[str, ...]]:
    if candidates is None:
        return {}
    closed = list(dict.fromkeys(slot.column for slot in task.instructions[0].slots if slot.closed_set is not None))
    if isinstance(candidates, Mapping):
        for column in candidates:
            if column not in closed:
                raise SessionError(f"candidates are given for `{column}`{_known(column, closed)}")
        return {column: check_candidates(values, column) for column, values in candidates.items()}
    if len(closed) != 1:
        raise SessionError(f"{len(closed)} columns have closed sets; give `candidates=` by column: {_list(closed)}")
    return {closed[0]: check_candidates(candidates, closed[0])}


def _closed_for(task: TaskPlan, candidates: Candidates) -> TaskPlan:
    """The task with a closed set on the answers that candidates are given for, whose closed sets are their own columns'."""
    (plan,) = task.instructions
    answered = [slot for slot in plan.slots if slot.generator is not None]
    if isinstance(candidates, Mapping):
        columns = set(candidates)
    else:
        closed = [slot for slot in answered if slot.closed_set is not None] or answered
        if len(closed) != 1:
            raise SessionError(
                f"candidates could be those of {len(closed)} answers;"
                f" give them by column: {_list(slot.column for slot in closed)}"
            )
        columns = {closed[0].column}

    def close(nodes: Iterable[NodePlan]) -> tuple[NodePlan, ...]:
        made: list[NodePlan] = []
        for node in nodes:
            match node:
                case SlotPlan() if node.column in columns and (node.closed_set is not None or node.generator is not None):
                    made.append(node.model_copy(update={"closed_set": node.closed_set or node.column}))
                case RepeatPlan():
                    made.append(node.model_copy(update={"body": close(node.body)}))
                case ContrastPlan() | _:
                    made.append(node)
        return tuple(made)

    update = {"source": close(plan.source), "target": close(plan.target)}
    return task.model_copy(update={"instructions": (plan.model_copy(update=update),)})


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _known(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; it has {_list(known)}" + (f"; did you mean `{near[0]}`?" if near else "")
