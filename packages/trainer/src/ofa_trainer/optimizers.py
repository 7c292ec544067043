"""Optimisers by parameter group: Muon on the matrices of the blocks, AdamW on everything else.

Embeddings, adaptors, gains and what criteria own go to AdamW. Vectors and scalars have no weight decay.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from ofa_instruction.telling import named
from ofa_models.zoo import optimiser_groups
from torch import Tensor, nn

from ofa_trainer.muon import Muon
from ofa_trainer.plans import TrainerOptions


class Optimizers:
    """Several torch optimisers driven as one, each with the peak rate it started from."""

    def __init__(self, model: nn.Module, extra: Iterable[nn.Module], options: TrainerOptions) -> None:
        grouped = optimiser_groups(model)
        matrices = [parameter for _, parameter in grouped["matrices"] if parameter.requires_grad]
        others = [parameter for _, parameter in grouped["rest"] if parameter.requires_grad]
        others += [parameter for module in extra for parameter in module.parameters() if parameter.requires_grad]
        self.parameters: list[Tensor] = [*matrices, *others]
        muon = matrices if options.optimizer == "muon" else []
        rest = [parameter for parameter in self.parameters if parameter.ndim >= 2 and not _among(parameter, muon)]
        flat = [parameter for parameter in self.parameters if parameter.ndim < 2]
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        groups = [
            {"params": group, "weight_decay": decay} for group, decay in ((rest, options.weight_decay), (flat, 0.0)) if group
        ]
        if groups:
            self.optimizers["adamw"] = torch.optim.AdamW(groups, lr=options.adamw_lr, betas=options.adamw_betas, fused=True)
        if muon:
            self.optimizers["muon"] = Muon(muon, lr=options.muon_lr, weight_decay=options.weight_decay)
        self._peaks = {name: optimizer.param_groups[0]["lr"] for name, optimizer in self.optimizers.items()}

    def step(self, factor: float) -> None:
        """One update at ``factor`` times the peak rates; gradients are freed."""
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self._peaks[name] * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        """(tensors, numbers) by ``optimizer/parameter/key``; the rates and groups come from the options."""
        tensors: dict[str, Tensor] = {}
        numbers: dict[str, float] = {}
        for name, optimizer in self.optimizers.items():
            for index, entries in optimizer.state_dict()["state"].items():
                for key, value in entries.items():
                    if isinstance(value, Tensor):
                        tensors[f"{name}/{index}/{key}"] = value
                    elif value is not None:
                        numbers[f"{name}/{index}/{key}"] = value
        return tensors, numbers

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, float]) -> None:
        """Take up a state saved by :meth:`state`. Raises ValueError where it is one of other parameters."""
        for name, optimizer in self.optimizers.items():
            entries: dict[int, dict[str, Any]] = {}
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for path, value in chain[tuple[str, Tensor | float]](tensors.items(), numbers.items()):
                owner, index, key = _parts(path)
                if owner == name:
                    _check_entry(path, index, value, parameters)
                    entries.setdefault(index, {})[key] = value
            optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def _parts(path: str) -> tuple[str, int, str]:
    match path.split("/", 2):
        case [owner, index, key] if index.isdecimal() and len(index) < 10:
            return owner, int(index), key
    raise ValueError(f"{named(path)} is no state of an optimiser")


def _check_entry(path: str, index: int, value: Tensor | float, parameters: list[Tensor]) -> None:
    """A number, or as large as the parameter it belongs to."""
    if index >= len(parameters):
        raise ValueError(f"{named(path)} belongs to none of the {len(parameters)} parameters")
    if isinstance(value, Tensor) and value.ndim and value.shape != parameters[index].shape:
        raise ValueError(f"{named(path)} is {tuple(value.shape)}, its parameter {tuple(parameters[index].shape)}")


def _among(parameter: Tensor, group: list[Tensor]) -> bool:
    return any(parameter is other for other in group)
