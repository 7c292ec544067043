"""Which precision products run in."""

from __future__ import annotations

import contextlib
import functools
import platform

import torch
from torch import Tensor

from ofa_models.plans import Precision


def resolve_precision(precision: Precision, device: torch.device | str = "cpu") -> Precision:
    """``auto`` → bfloat16 where the processor multiplies it natively, else float32; the others as they are.

    A CPU without AVX-512 BF16 or AMX computes bfloat16 products four to ten times slower than float32 ones.
    """
    if precision != "auto":
        return precision
    known = torch.device(device)
    return "bfloat16" if known.type in ("cuda", "cpu") and multiplies_fast(torch.bfloat16, known) else "float32"


def multiplies_fast(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether products in ``dtype`` are no slower than in float32: asked of bfloat16, which some processors only emulate."""
    if dtype != torch.bfloat16:
        return True
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type != "cpu" or _multiplies_bfloat16()


@functools.cache
def _multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 products.

    oneDNN answers yes wherever it can emulate them, so an x86 processor is asked itself.
    """
    if platform.machine().lower() in ("x86_64", "amd64"):
        known = torch.cpu.get_capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast_for(precision: Precision, parameter: Tensor) -> contextlib.AbstractContextManager[object]:
    """The context a model with this parameter runs in; an autocast around it stays as it is under float32."""
    if parameter.dtype == torch.float64 or resolve_precision(precision, parameter.device) != "bfloat16":
        return contextlib.nullcontext()
    return torch.autocast(parameter.device.type, torch.bfloat16)
