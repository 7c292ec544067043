"""One optimiser step: rows in, parameters changed, figures out.

rows of the step ─cut─▶ parts ─pack─▶ batches ─weigh─▶ scales ─forward, backward, part by part─▶ clip ─▶ step
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from ofa_modalities.batch import PackedBatch
from ofa_modalities.encoder import TaskEncoder
from ofa_modalities.segment import Example
from ofa_models.zoo import as_backend
from torch import nn

from ofa_trainer.optimizers import Optimizers
from ofa_trainer.step import BatchLoss, StepLoss, losses_by_slot, losses_by_task
from ofa_trainer.stream import StepRows, cut

MAX_ADDRESSES_SHOWN = 12


class NonFiniteLoss(RuntimeError):
    """A loss or a gradient is not a number. ``tasks`` and ``addresses``: where it came from."""

    def __init__(self, what: str, step: int, tasks: Sequence[str], addresses: Sequence[str]) -> None:
        self.step, self.tasks, self.addresses = step, tuple(tasks), tuple(addresses)
        shown = ", ".join(addresses[:MAX_ADDRESSES_SHOWN])
        more = f" and {len(addresses) - MAX_ADDRESSES_SHOWN} more" if len(addresses) > MAX_ADDRESSES_SHOWN else ""
        super().__init__(
            f"step {step}: the {what} of {', '.join(f'`{task}`' for task in tasks)} is not finite; rows: {shown}{more}. "
            "A lower learning rate, or a look at these rows, comes next."
        )


class Interrupted(RuntimeError):
    """The run was asked to stop and saved itself; the command line exits with 130. ``checkpoint``: where, or None."""

    def __init__(self, step: int, checkpoint: str | None) -> None:
        self.step, self.checkpoint = step, checkpoint
        where = f"; saved {checkpoint}, `--resume` goes on from there" if checkpoint else ""
        super().__init__(f"interrupted after step {step}{where}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """loss: what was minimised. losses: by task. terms: by task, column and criterion."""

    loss: float
    losses: dict[str, float]
    terms: dict[str, float]
    gradient_norm: float
    tokens: int
    rows: int
    seconds: float


class StepRunner:
    """Runs steps on one device."""

    def __init__(
        self,
        model: nn.Module,
        encoder: TaskEncoder,
        loss: StepLoss,
        optimizers: Optimizers,
        *,
        device: torch.device,
        accumulation: int = 1,
        clip: float | None = 1.0,
    ) -> None:
        self.model, self.encoder, self.loss, self.optimizers = model, encoder, loss, optimizers
        self.device, self.accumulation, self.clip = device, accumulation, clip

    def step(self, rows: StepRows, number: int, factor: float) -> StepResult:
        """One step at ``factor`` of the peak rates. Raises NonFiniteLoss."""
        started = time.perf_counter()
        self.model.train()
        batches = [self.encoder.pack(part) for part in cut(rows.examples, self.accumulation)]
        weights = self.loss.weigh(batches)
        total, sums = 0.0, [torch.zeros(len(self.encoder.slots)) for _ in self.loss.groups]
        for batch in batches:
            part = self.loss(as_backend(self.model), batch.to(self.device), weights)
            self._check(part, batch, number)
            part.loss.backward()  # type: ignore[no-untyped-call]
            total += float(part.loss.detach())
            sums = [known + more.cpu() for known, more in zip(sums, part.sums, strict=True)]
        norm = self._clip(rows.examples, number)
        self.optimizers.step(factor)
        return StepResult(
            loss=total,
            losses=losses_by_task(self.loss.groups, self.encoder.slots, sums, weights.counts),
            terms=losses_by_slot(self.loss.groups, self.encoder.slots, sums, weights.counts),
            gradient_norm=norm,
            tokens=rows.num_tokens,
            rows=len(rows.examples),
            seconds=time.perf_counter() - started,
        )

    @torch.no_grad()
    def validate(self, batches: Sequence[PackedBatch]) -> dict[str, float]:
        """Mean loss of each task over batches, without dropout."""
        self.model.eval()
        weights = self.loss.weigh(batches)
        sums = [torch.zeros(len(self.encoder.slots)) for _ in self.loss.groups]
        for batch in batches:
            part = self.loss(as_backend(self.model), batch.to(self.device), weights)
            sums = [known + more.cpu() for known, more in zip(sums, part.sums, strict=True)]
        return losses_by_task(self.loss.groups, self.encoder.slots, sums, weights.counts)

    def _clip(self, examples: Sequence[Example], number: int) -> float:
        """The gradient's norm before it is clipped."""
        parameters = [parameter for parameter in self.optimizers.parameters if parameter.grad is not None]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.clip or math.inf))
        if not math.isfinite(norm):
            tasks = sorted({self.encoder.task_names[example.task] for example in examples})
            raise NonFiniteLoss("gradient", number, tasks, [example.address for example in examples])
        return norm

    def _check(self, part: BatchLoss, batch: PackedBatch, number: int) -> None:
        if bool(torch.isfinite(part.loss.detach())):
            return
        tasks = {
            slot.task
            for sums in part.sums
            for slot, value in zip(self.encoder.slots, sums.tolist(), strict=True)
            if not math.isfinite(value)
        } or set(batch.task_names)
        names = cast("list[int]", batch.tasks.tolist())
        addresses = [address for task, address in zip(names, batch.addresses, strict=True) if batch.task_names[task] in tasks]
        raise NonFiniteLoss("loss", number, sorted(tasks), addresses)
