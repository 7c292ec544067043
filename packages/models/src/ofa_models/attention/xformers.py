"""The kernel ``xformers``: memory-efficient attention on CUDA under ``BlockDiagonalMask``, straight on packed tokens.

    # T packed query tokens, S packed key tokens, N heads, H head width

xformers knows one mask a call, so causal and full rows run as two calls, and rows without queries or without keys are
left out. Where every row is of one kind (the usual case) tokens are not moved at all. The library is imported on use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ofa_models.attention.mask import RowMask

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def import_fmha() -> Any:
    """``xformers.ops.fmha``. Raises ImportError that names the extra."""
    try:
        from xformers.ops import fmha
    except ImportError as error:
        raise ImportError("attention kind `xformers` needs xformers: pip install 'ofa-models[xformers]'") from error
    return fmha


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Rows of one kind.

    bias: a ``BlockDiagonalMask`` or ``BlockDiagonalCausalMask``. q_index, k_index: int64 packed tokens of its rows; None: all.
    """

    bias: Any
    q_index: Tensor | None
    k_index: Tensor | None


class XformersAttention:
    """Memory-efficient attention over packed tokens."""

    kind = "xformers"

    def __init__(self, mask: RowMask, *, device: torch.device) -> None:
        self.mask = mask
        self._fmha = import_fmha()
        self.calls = plan_calls(mask, device)

    def __call__(self, q_TNH: Tensor, k_SNH: Tensor, v_SNH: Tensor) -> Tensor:
        """``[T, N, H]``."""
        if q_TNH.dtype not in _DTYPES:
            raise ValueError(f"attention kind `xformers` computes in {_DTYPES}, not in {q_TNH.dtype}; use `sdpa`")
        if q_TNH.shape[-1] % 8:
            raise ValueError(f"attention kind `xformers` needs a head width that is a multiple of 8, not {q_TNH.shape[-1]}")
        out = None
        for call in self.calls:
            q, k, v = _inputs(call, q_TNH, k_SNH, v_SNH)
            part: Tensor = self._fmha.memory_efficient_attention(q, k, v, attn_bias=call.bias)[0]
            if call.q_index is None:
                return part
            out = (torch.zeros_like(q_TNH) if out is None else out).index_copy(0, call.q_index, part)
        return torch.zeros_like(q_TNH) if out is None else out

    def not_supported_reasons(self, q_TNH: Tensor, k_SNH: Tensor, v_SNH: Tensor) -> dict[str, list[str]]:
        """What the operators say against these inputs, by operator, forward and backward, CUTLASS and flash."""
        fmha = self._fmha
        reasons: dict[str, list[str]] = {}
        for call in self.calls:
            q, k, v = _inputs(call, q_TNH, k_SNH, v_SNH)
            inputs = fmha.Inputs(query=q, key=k, value=v, attn_bias=call.bias)
            for operator in (fmha.cutlass.FwOp, fmha.cutlass.BwOp, fmha.flash.FwOp, fmha.flash.BwOp):
                name = f"{operator.__module__.rpartition('.')[2]}.{operator.__name__}"
                reasons.setdefault(name, []).extend(operator.not_supported_reasons(inputs))
        return reasons


def plan_calls(mask: RowMask, device: torch.device) -> tuple[Call, ...]:
    """One call for the full rows, one for the causal ones, where there are any."""
    fmha = import_fmha()
    active = (mask.q_lengths > 0) & (mask.k_lengths > 0)
    calls: list[Call] = []
    for causal, kind in ((False, fmha.attn_bias.BlockDiagonalMask), (True, fmha.attn_bias.BlockDiagonalCausalMask)):
        rows = active & (mask.causal == causal)
        if not bool(rows.any()):
            continue
        bias = kind.from_seqlens(mask.q_lengths[rows].tolist(), mask.k_lengths[rows].tolist(), device=device)
        q_index, k_index = _tokens(mask.q_lengths, rows, device), _tokens(mask.k_lengths, rows, device)
        calls.append(Call(bias=bias, q_index=q_index, k_index=k_index))
    return tuple(calls)


def _tokens(lengths: Tensor, rows: Tensor, device: torch.device) -> Tensor | None:
    """Packed tokens of these rows; None where they are all."""
    chosen = rows.repeat_interleave(lengths)
    return None if bool(chosen.all()) else chosen.nonzero().flatten().to(device)


def _inputs(call: Call, q_TNH: Tensor, k_SNH: Tensor, v_SNH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``[1, T', N, H]`` of the call's rows."""
    q = q_TNH if call.q_index is None else q_TNH.index_select(0, call.q_index)
    k, v = (x if call.k_index is None else x.index_select(0, call.k_index) for x in (k_SNH, v_SNH))
    return q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0)
