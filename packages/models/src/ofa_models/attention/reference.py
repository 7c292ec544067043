"""The kernel that all others equal: one row at a time, plain softmax in float32 (float64 for float64).

# R rows, T packed query tokens, S packed key tokens, N heads, H head width
"""

from __future__ import annotations

import torch
from torch import Tensor

from ofa_models.attention.mask import RowMask


class ReferenceAttention:
    """Plain attention, row by row."""

    kind = "reference"

    def __init__(self, mask: RowMask) -> None:
        self.mask = mask

    def __call__(self, q_TNH: Tensor, k_SNH: Tensor, v_SNH: Tensor) -> Tensor:
        """``[T, N, H]``."""
        q_lengths, k_lengths = self.mask.q_lengths.tolist(), self.mask.k_lengths.tolist()
        q, k, v = torch.split(q_TNH, q_lengths), torch.split(k_SNH, k_lengths), torch.split(v_SNH, k_lengths)
        rows = zip(q, k, v, self.mask.causal.tolist(), strict=True)
        outputs = [attend_row(*row, causal=causal) for *row, causal in rows]
        return torch.cat(outputs) if outputs else _zeros(q_TNH, v_SNH)


def attend_row(q_TNH: Tensor, k_SNH: Tensor, v_SNH: Tensor, *, causal: bool) -> Tensor:
    """One row: ``[T, N, H]``; zeros where there is no key."""
    if k_SNH.shape[0] == 0:
        return _zeros(q_TNH, v_SNH)
    wide = torch.promote_types(q_TNH.dtype, torch.float32)
    q, k, v = (x.to(wide).transpose(0, 1) for x in (q_TNH, k_SNH, v_SNH))
    with torch.autocast(q.device.type, enabled=False):
        scores = q @ k.transpose(1, 2) * q.shape[-1] ** -0.5
        if causal:
            scores = scores.masked_fill(~torch.ones(scores.shape[1:], dtype=torch.bool, device=q.device).tril(), -torch.inf)
        out: Tensor = (scores.softmax(-1) @ v).transpose(0, 1)
        return out.to(q_TNH.dtype)


def _zeros(q_TNH: Tensor, v_SNH: Tensor) -> Tensor:
    return q_TNH.new_zeros(*q_TNH.shape[:2], v_SNH.shape[2])
