"""Which metrics judge which answers of a task; the names that their figures have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ofa_instruction import Catalog, RepeatPlan, SlotPlan, TaskPlan
from ofa_instruction.plans import NodePlan
from ofa_instruction.specs import MetricSpec

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
    """Metrics that judge a column: the task's own that know its modality, else the modality's usual ones."""
    if named is None:
        return [(name, {}) for name in default_metrics(slot, repeated=repeated)]
    found = [split_named(item) for item in named]
    return [(name, options) for name, options in found if unfit(catalog.metric(name).spec, slot, repeated=repeated) is None]


def unfit(metric: MetricSpec, slot: SlotPlan, *, repeated: bool) -> str | None:
    """Why a metric does not judge an answer; None: it does."""
    if slot.modality not in metric.modalities:
        return f"it judges {' '.join(metric.modalities)}, and `{slot.column}` is {slot.modality}"
    if repeated and metric.lists == "refused":
        return f"it judges one answer a row, and `{slot.column}` stands in a repeat, which is answered by a list"
    return None


def check_metric(item: NamedOptions, plan: TaskPlan, catalog: Catalog) -> None:
    """Find out before training, not when it is over, that a metric does not exist, has other options or judges no answer.

    Raises CatalogError and ValueError.
    """
    name, options = split_named(item)
    metric = catalog.metric(name)
    catalog.options_of(metric, "ofa.metrics", options)
    answers = answers_of(plan)
    reasons = {slot.column: unfit(metric.spec, slot, repeated=repeated) for slot, repeated in answers}
    fitting = [column for column, reason in reasons.items() if reason is None]
    if not fitting:
        why = "; ".join(reason for reason in reasons.values() if reason is not None)
        known = sorted({one for slot, repeated in answers for one in default_metrics(slot, repeated=repeated)})
        hint = f"; the usual ones here: {' '.join(known)}" if known else ""
        raise ValueError(f"task `{plan.name}`: the metric `{name}` judges none of its answers: {why}{hint}")
    read = {slot.column for one in plan.instructions for slot in one.slots if slot.side == "source" and slot.modality == "TEXT"}
    if metric.spec.needs_shown and not read & set(fitting):
        raise ValueError(
            f"task `{plan.name}`: the metric `{name}` compares with the text as it was read, and `{fitting[0]}` does not stand "
            "before the arrow"
        )


def figure_names(plan: TaskPlan, named: Sequence[NamedOptions] | None, catalog: Catalog) -> tuple[str, ...]:
    """``column/metric`` of every figure that a task is judged by; the first one is its main one."""
    return tuple(
        f"{slot.column}/{name}"
        for slot, repeated in answers_of(plan)
        for name, _ in metrics_of(slot, named, catalog, repeated=repeated)
    )


def metric_columns(plan: TaskPlan, metrics: Iterable[NamedOptions], catalog: Catalog) -> list[str]:
    """The columns that metrics read beside those of the instructions: what is judged needs them, what is trained on does not."""
    named = {slot.column for instruction in plan.instructions for slot in instruction.slots}
    return sorted(columns_read(plan, metrics, catalog) - named)


def columns_read(plan: TaskPlan, metrics: Iterable[NamedOptions], catalog: Catalog) -> set[str]:
    """The columns that a task's instructions read or answer, and those that its metrics read beside them."""
    read = {slot.column for instruction in plan.instructions for slot in instruction.slots}
    for item in metrics:
        name, options = split_named(item)
        metric = catalog.metric(name)
        read.update(metric.spec.reads(catalog.options_of(metric, "ofa.metrics", options)))
    return read
