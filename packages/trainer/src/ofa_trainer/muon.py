"""Muon, with matrices of one shape orthogonalised together.

    # M matrices of one shape, A rows, B columns

The same update as `torch.optim.Muon` (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon), which works matrix by
matrix and always in bfloat16. Small models have many small matrices, and a CPU without bfloat16 units multiplies them more
slowly than float32 ones: there torch's took most of a step. Here a shape is one batched product, in float32 where that is faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from ofa_models.precision import resolve_precision
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NUM_ITERATIONS = 5
EPSILON = 1e-7


class Muon(torch.optim.Optimizer):
    """Momentum (Nesterov), orthogonalised by Newton-Schulz, for two-dimensional parameters."""

    def __init__(self, params: Iterable[Tensor], lr: float, *, weight_decay: float = 0.0, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(f"Muon is for matrices, got a parameter of shape {tuple(parameter.shape)}")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for parameters in shapes.values():
                self._update(parameters, group)
        return loss

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        buffers = []
        for parameter in parameters:
            state = self.state[parameter]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            buffers.append(state["momentum_buffer"])
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        update_MAB = orthogonalised(torch.stack(torch._foreach_lerp(gradients, buffers, momentum)))
        rows, columns = parameters[0].shape
        rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(parameters, list(update_MAB.to(parameters[0].dtype).unbind()), alpha=-rate)


def orthogonalised(matrices_MAB: Tensor) -> Tensor:
    """Each matrix with its singular values pulled towards one (0.7 to 1.2), by a quintic Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    precision = resolve_precision("auto", matrices_MAB.device)
    x = matrices_MAB.to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(EPSILON)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
