"""Which precision products run in."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from ofa_models.plans import Precision


def resolve_precision(precision: Precision, device: torch.device | str = "cpu") -> Precision:
    """``auto`` → bfloat16 where the processor multiplies it natively, else float32; the others as they are.

    A CPU without AVX-512 BF16 or AMX computes bfloat16 products about ten times slower than float32 ones.
    """
    if precision != "auto":
        return precision
    kind = torch.device(device).type
    if kind == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    native = kind == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return "bfloat16" if native else "float32"


def autocast_for(precision: Precision, parameter: Tensor) -> contextlib.AbstractContextManager[object]:
    """The context a model with this parameter runs in; an autocast around it stays as it is under float32."""
    if parameter.dtype == torch.float64 or resolve_precision(precision, parameter.device) != "bfloat16":
        return contextlib.nullcontext()
    return torch.autocast(parameter.device.type, torch.bfloat16)
