"""Who attends to whom, on packed tokens.

# R rows, T packed query tokens, S packed key tokens
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMask:
    """Block diagonal over rows: queries of row r see keys of row r only.

    q_lengths, k_lengths: int64 ``[R]`` on CPU, zeros allowed. causal: bool ``[R]`` on CPU; a causal row has as many
    keys as queries, and query i sees keys 0..i. A query without keys gets zeros.
    """

    q_lengths: Tensor
    k_lengths: Tensor
    causal: Tensor

    def __post_init__(self) -> None:
        if bool((self.causal & (self.q_lengths != self.k_lengths)).any()):
            raise ValueError("a causal row needs as many keys as queries")

    @classmethod
    def within(cls, lengths: Tensor, causal: Tensor) -> RowMask:
        """Self-attention of rows of ``lengths``."""
        lengths = lengths.cpu()
        return cls(q_lengths=lengths, k_lengths=lengths, causal=causal.cpu())

    @classmethod
    def across(cls, q_lengths: Tensor, k_lengths: Tensor) -> RowMask:
        """Cross-attention: every query of a row sees every key of it."""
        causal = torch.zeros(q_lengths.shape[0], dtype=torch.bool)
        return cls(q_lengths=q_lengths.cpu(), k_lengths=k_lengths.cpu(), causal=causal)

    @property
    def num_queries(self) -> int:
        """T."""
        return int(self.q_lengths.sum())

    @property
    def num_keys(self) -> int:
        """S."""
        return int(self.k_lengths.sum())

    def materialize(self) -> Tensor:
        """bool ``[T, S]``, True where a query sees a key. For tests."""
        rows = torch.arange(self.q_lengths.shape[0])
        q_row, k_row = rows.repeat_interleave(self.q_lengths), rows.repeat_interleave(self.k_lengths)
        q_place = _places(self.q_lengths)
        k_place = _places(self.k_lengths)
        same = q_row[:, None] == k_row[None, :]
        return same & (~self.causal[q_row][:, None] | (k_place[None, :] <= q_place[:, None]))


def _places(lengths: Tensor) -> Tensor:
    """Index of each packed token inside its row."""
    starts = lengths.cumsum(0) - lengths
    return torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)
