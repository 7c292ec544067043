"""Whether the tasks of a checkpoint's plan fit its vocabulary, its streams, its closed sets and what was fitted for them.

``fit`` writes plans that do. One that was changed by hand, or made to do harm, is found here and not by a product of matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ofa_instruction import Catalog
from ofa_instruction.errors import CatalogError
from ofa_instruction.plans import SlotPlan, TaskPlan
from ofa_instruction.telling import named
from ofa_modalities.program import Assets

from ofa_models.files import file_error
from ofa_models.plans import InferPlan

ClosedSets = Mapping[str, Mapping[str, tuple[str, ...]]]


def check_tasks(plan: InferPlan, catalog: Catalog, closed_sets: ClosedSets, assets: Assets, file: Path) -> None:
    """Check every slot of every task. Raises CheckpointError that names ``file``, the task and the column."""
    for place, task in enumerate(plan.tasks):
        slot: SlotPlan | None = None
        try:
            if task.backend != plan.model.backend:
                raise ValueError(f"it is of the backend {named(task.backend)}, the model of {named(plan.model.backend)}")
            for slot in (slot for instruction in task.instructions for slot in instruction.slots):
                _check_slot(plan, task, slot, catalog, closed_sets, assets)
        except (CatalogError, ValueError) as error:
            column = f", column {named(slot.column)}" if slot is not None else ""
            lines = str(error).split("\n")[: 2 if isinstance(error, CatalogError) else 1]  # the second says who provides a plugin
            text = ". ".join(line.strip() for line in lines)
            raise file_error(file, f"`tasks.{place}` ({named(task.name)}{column}): {text}") from error


def _check_slot(
    plan: InferPlan, task: TaskPlan, slot: SlotPlan, catalog: Catalog, closed_sets: ClosedSets, assets: Assets
) -> None:
    options = catalog.validate(slot.processor, "ofa.processors")
    catalog.validate(slot.adaptor, "ofa.adaptors")
    modality = catalog.modality(slot.modality).spec.name
    if f"begin:{modality}" not in plan.vocabulary.controls:
        raise ValueError(f"the vocabulary has no begin token of {modality}")
    stream = plan.model.adaptors.get(slot.adaptor.name)
    if stream is None or stream.adaptor != slot.adaptor:
        raise ValueError(f"the model has no stream {named(slot.adaptor.name)} with the options that the slot has")
    units = catalog.adaptor(slot.adaptor.name).spec.units
    if slot.generator is not None and (slot.generator.kind == "tokens") != (units == "ids"):
        raise ValueError(f"it is answered as {slot.generator.kind}, and its adaptor reads {units}")
    candidates = None
    if slot.closed_set is not None:
        candidates = closed_sets.get(task.name, {}).get(slot.closed_set)
        if not candidates:
            raise ValueError(f"the task has no closed set {named(slot.closed_set)}")
    processor = catalog.processor(slot.processor.name).spec.load()
    sizes = {block.name: block.size for block in plan.vocabulary.blocks}
    for name, size in processor.blocks(slot, options, candidates).items():
        if sizes.get(name) != size:
            raise ValueError(f"it needs {size:,} ids {named(name)}, and the vocabulary has {sizes.get(name, 0):,}")
    asset = processor.asset(slot, options)
    if asset is not None and asset not in assets:
        raise ValueError(f"it needs {named(asset)}, which is fitted in training, and it is not among the `assets`")
