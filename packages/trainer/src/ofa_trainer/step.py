"""The loss of a step: every (task, slot, criterion) weighed over the whole step before anything is computed.

    # K lines of the slot table, L labelled positions of one kind, D model width

Loss = Σ λ · sum / weight per (task, slot, criterion); λ is the task's share of the mixture unless set. The weights are counted
from all packed batches of the step first, so the loss of a step does not depend on how its rows were cut into batches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from ofa_instruction import Catalog, PluginChoice
from ofa_modalities.batch import BatchSlot, FrameLabels, PackedBatch, TokenLabels
from ofa_models.backend import ModelBackend
from torch import Tensor, nn

from ofa_trainer.criterion import Criterion, CriterionContext, LossInputs

Labels = TokenLabels | FrameLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionGroup:
    """One criterion with its options and the lines that use it: bool ``[K]``."""

    name: str
    criterion: Criterion
    lines: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWeights:
    """float32 ``[K]`` for each group: weights of the step, and the scale λ / weight (0 where the weight is 0)."""

    counts: tuple[Tensor, ...]
    scales: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLoss:
    """loss: scalar with a gradient. sums: float32 ``[K]`` for each group, detached."""

    loss: Tensor
    sums: tuple[Tensor, ...]


class StepLoss:
    """Criteria of a run and how their terms add up.

    slots: the run's slot table. shares: λ by task.
    """

    def __init__(
        self, slots: Sequence[BatchSlot], catalog: Catalog, context: CriterionContext, shares: Mapping[str, float], seed: int
    ) -> None:
        self.slots = tuple(slots)
        self.groups = _groups(slots, catalog, context, seed)
        self.shares = torch.tensor([shares[slot.task] for slot in slots], dtype=torch.float32)

    @property
    def modules(self) -> list[nn.Module]:
        """Criteria that own parameters."""
        return [group.criterion for group in self.groups if isinstance(group.criterion, nn.Module)]

    def weigh(self, batches: Sequence[PackedBatch]) -> StepWeights:
        """Count all batches of a step, on the CPU."""
        counts = []
        for group in self.groups:
            total = torch.zeros(len(self.slots))
            for batch in batches:
                for labels in _kinds(batch):
                    mine = _select(labels, group.lines)
                    if mine is not None:
                        total += group.criterion.count(batch, mine)
            counts.append(total)
        scales = tuple(torch.where(count > 0, self.shares / count.clamp_min(1e-12), torch.zeros(())) for count in counts)
        return StepWeights(counts=tuple(counts), scales=scales)

    def __call__(self, model: ModelBackend, batch: PackedBatch, weights: StepWeights) -> BatchLoss:
        """The part of the step's loss that one batch brings."""
        kinds = _kinds(batch)
        memory = model.encode(batch)
        hidden = model.decode(batch, memory, torch.cat([labels.positions for labels in kinds]))
        device = hidden.device
        loss = torch.zeros((), device=device)
        sums = [torch.zeros(len(self.slots), device=device) for _ in self.groups]
        for labels, states in zip(kinds, torch.split(hidden, [len(labels.positions) for labels in kinds]), strict=True):
            for number, group in enumerate(self.groups):
                keep = group.lines.to(device)[labels.slots]
                mine = _select(labels, group.lines)
                if mine is None:
                    continue
                inputs = LossInputs(
                    model=model,
                    batch=batch,
                    memory=memory,
                    hidden=states if mine is labels else states[keep],
                    labels=mine,
                    scale=weights.scales[number].to(device),
                )
                terms = group.criterion(inputs)
                loss = loss + terms.loss
                sums[number] += terms.sums
        return BatchLoss(loss=loss, sums=tuple(sums))


def losses_by_task(
    groups: Sequence[CriterionGroup], slots: Sequence[BatchSlot], sums: Sequence[Tensor], counts: Sequence[Tensor]
) -> dict[str, float]:
    """Mean loss of each task that had labels: its slots and criteria added up, without λ and the criteria's factors."""
    found: dict[str, float] = {}
    for number in range(len(groups)):
        total, weight = sums[number].tolist(), counts[number].tolist()
        for line, slot in enumerate(slots):
            if weight[line] > 0:
                found[slot.task] = found.get(slot.task, 0.0) + total[line] / weight[line]
    return found


def losses_by_slot(
    groups: Sequence[CriterionGroup], slots: Sequence[BatchSlot], sums: Sequence[Tensor], counts: Sequence[Tensor]
) -> dict[str, float]:
    """Mean loss by ``task/column/criterion``."""
    found: dict[str, float] = {}
    for group, total, weight in zip(groups, sums, counts, strict=True):
        for line, slot in enumerate(slots):
            if weight[line] > 0:
                found[f"{slot.task}/{slot.slot.column}/{group.name}"] = float(total[line] / weight[line])
    return found


def _kinds(batch: PackedBatch) -> list[Labels]:
    kinds: list[Labels] = [batch.token_labels, *batch.frame_labels]
    return [labels for labels in kinds if len(labels.positions)]


def _select(labels: Labels, lines: Tensor) -> Labels | None:
    """The labels of some lines: all of them as they are, none as None."""
    keep = lines.to(labels.slots.device)[labels.slots]
    if bool(keep.all()):
        return labels
    if not bool(keep.any()):
        return None
    changes: dict[str, Any] = {
        field.name: value[keep] for field in fields(labels) if isinstance(value := getattr(labels, field.name), Tensor)
    }
    return replace(labels, **changes)


def _groups(slots: Sequence[BatchSlot], catalog: Catalog, context: CriterionContext, seed: int) -> tuple[CriterionGroup, ...]:
    lines: dict[str, list[int]] = {}
    choices: dict[str, PluginChoice] = {}
    for number, slot in enumerate(slots):
        for choice in slot.slot.criteria:
            key = json.dumps([choice.name, choice.options], sort_keys=True)
            choices[key] = choice
            lines.setdefault(key, []).append(number)
    return tuple(_group(key, choices[key], lines[key], len(slots), catalog, context, seed) for key in sorted(lines))


def _group(
    key: str, choice: PluginChoice, lines: list[int], total: int, catalog: Catalog, context: CriterionContext, seed: int
) -> CriterionGroup:
    """Build a criterion; what it draws depends on the seed and its name alone."""
    options = catalog.validate(choice, "ofa.criteria")
    implementation = catalog.criterion(choice.name).spec.load()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:8], "big") >> 1)
        criterion = implementation(options, context)
    used = torch.zeros(total, dtype=torch.bool)
    used[lines] = True
    return CriterionGroup(name=choice.name, criterion=criterion, lines=used)
