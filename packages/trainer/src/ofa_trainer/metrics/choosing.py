"""Which metrics judge which answers of a task; the names that their figures have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ofa_instruction import Catalog, RepeatPlan, SlotPlan, TaskPlan
from ofa_instruction.plans import NodePlan

from ofa_trainer.metrics.specs import default_metrics
from ofa_trainer.plans import NamedOptions


def split_named(item: NamedOptions) -> tuple[str, dict[str, Any]]:
    """(name, options) of ``name`` or ``{name: options}``."""
    if isinstance(item, str):
        return item, {}
    if len(item) != 1:
        raise ValueError(f"one name with its options, not {len(item)}: {', '.join(item)}")
    return next((name, dict(options)) for name, options in item.items())


def answers_of(plan: TaskPlan) -> list[tuple[SlotPlan, bool]]:
    """The answered slots of a task, each with whether it stands in a repeat and is answered by a list."""
    return [(slot, repeated) for slot, repeated in _walk(plan.instructions[0].target, False) if slot.generator is not None]


def _walk(nodes: Sequence[NodePlan], repeated: bool) -> Iterator[tuple[SlotPlan, bool]]:
    for node in nodes:
        if isinstance(node, SlotPlan):
            yield node, repeated
        elif isinstance(node, RepeatPlan):
            yield from _walk(node.body, True)


def metrics_of(
    slot: SlotPlan, named: Sequence[NamedOptions] | None, catalog: Catalog, *, repeated: bool
) -> list[tuple[str, dict[str, Any]]]:
    """Metrics that judge a column: the task's own that know its modality, else the modality's usual ones.

    A metric of boxes takes one box a row; those of a repeat are judged by none of the built-in ones.
    """
    if slot.modality == "BOX" and named is None and repeated:
        return []
    if named is None:
        return [(name, {}) for name in default_metrics(slot)]
    found = [split_named(item) for item in named]
    return [(name, options) for name, options in found if slot.modality in catalog.metric(name).spec.modalities]


def figure_names(plan: TaskPlan, named: Sequence[NamedOptions] | None, catalog: Catalog) -> tuple[str, ...]:
    """``column/metric`` of every figure that a task is judged by; the first one is its main one."""
    return tuple(
        f"{slot.column}/{name}"
        for slot, repeated in answers_of(plan)
        for name, _ in metrics_of(slot, named, catalog, repeated=repeated)
    )
