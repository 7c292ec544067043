"""Exact log-probabilities over a closed set: normalised over the tokens its prefix tree allows at each step.

    # L labelled rows, M nodes, E edges (node, child), g rows of a chunk, D model width, V vocabulary

The same numbers in loss and in answer (generation/closed.py searches by them). A step with one choice costs nothing, so only
branching nodes get logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ofa_modalities.prefix_tree import PrefixTree
from torch import Tensor

Int64 = NDArray[np.int64]

_WIDE = 64
"""From so many children on a node's rows share one matrix product; below, edges are gathered."""
_SHARED = 16
"""All rows of a chunk times all its tokens, up to so many times the edges there are: one product beats gathered rows."""
_CHUNK_ELEMENTS = 1 << 22
"""Bound on the elements of one temporary: logits of a wide node, gathered rows of narrow ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """Some rows with all edges of their nodes: row after row, a row's edges contiguous and in the children's order.

    rows ``[g]``, counts ``[g]`` edges of each. owner ``[E]`` into ``rows``; child ``[E]``. wide: all rows at one node.
    """

    rows: Int64
    counts: Int64
    owner: Int64
    child: Int64
    wide: bool


def closed_set_loss(
    hidden: Tensor, weight: Tensor, nodes: Tensor, ids: Tensor, scale: Tensor, tree: PrefixTree
) -> tuple[Tensor, Tensor]:
    """Cross entropy of choosing ``ids[l]`` among the children of ``nodes[l]``.

    hidden ``[L, D]`` and weight ``[V, D]`` may differ in dtype (products run in ``hidden``'s, the softmax in float32 or
    wider); nodes, ids int64 ``[L]``; scale ``[L]``. Returns the scaled sum, differentiable in ``hidden`` and ``weight``,
    and the unscaled losses ``[L]``, detached. Gradients are computed in the forward pass, so no logits are kept.
    Raises ValueError where an id is no child of its node.
    """
    loss, per_row = _ClosedSetLoss.apply(hidden, weight, nodes, ids, scale, tree)  # type: ignore[no-untyped-call]
    return loss, per_row


class _ClosedSetLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, nodes: Tensor, ids: Tensor, scale: Tensor, tree: PrefixTree
    ) -> tuple[Tensor, Tensor]:
        wide_type = torch.promote_types(hidden.dtype, torch.float32)
        per_row = hidden.new_zeros(len(nodes), dtype=wide_type)
        scale = scale.to(wide_type)
        need_hidden, need_weight = ctx.needs_input_grad[:2]
        hidden_grad = torch.zeros_like(hidden, dtype=wide_type) if need_hidden else None
        weight_grad = torch.zeros_like(weight) if need_weight else None
        ids_numpy = ids.cpu().numpy()
        for chunk in _chunks(tree, nodes.cpu().numpy(), hidden.shape[1]):
            rows = _to(chunk.rows, hidden)
            log_probs = _log_probs(chunk, hidden, weight, tree)
            chosen = _to(_chosen_edges(chunk, ids_numpy, tree), hidden)
            per_row[rows] = -log_probs[chosen]
            if need_hidden or need_weight:
                grad = log_probs.exp()
                grad[chosen] -= 1
                grad *= scale[rows].repeat_interleave(_to(chunk.counts, hidden))
                _accumulate(chunk, grad, hidden, weight, tree, hidden_grad, weight_grad)
        ctx.save_for_backward(hidden_grad, weight_grad)
        ctx.hidden_type = hidden.dtype
        ctx.mark_non_differentiable(per_row)
        return (per_row * scale).sum(), per_row

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden_grad, weight_grad = ctx.saved_tensors
        first = None if hidden_grad is None else (hidden_grad * grads[0]).to(ctx.hidden_type)
        second = None if weight_grad is None else (weight_grad * grads[0]).to(weight_grad.dtype)
        return first, second, None, None, None, None


def _accumulate(
    chunk: _Chunk,
    grad: Tensor,
    hidden: Tensor,
    weight: Tensor,
    tree: PrefixTree,
    hidden_grad: Tensor | None,
    weight_grad: Tensor | None,
) -> None:
    """Add the gradient ``[E]`` of a chunk's logits to those of ``hidden`` and ``weight``."""
    rows = _to(chunk.rows, hidden)
    if chunk.wide:
        tokens = _to(tree.token[chunk.child[: chunk.counts[0]]], hidden)
        grad_matrix = grad.view(len(rows), -1).to(hidden.dtype)
        if hidden_grad is not None:
            hidden_grad.index_add_(0, rows, (grad_matrix @ weight[tokens].to(hidden.dtype)).to(hidden_grad.dtype))
        if weight_grad is not None:
            weight_grad.index_add_(0, tokens, (grad_matrix.T @ hidden[rows]).to(weight_grad.dtype))
        return
    tokens, owners = _to(tree.token[chunk.child], hidden), rows[_to(chunk.owner, hidden)]
    if hidden_grad is not None:
        hidden_grad.index_add_(0, owners, (grad[:, None] * weight[tokens]).to(hidden_grad.dtype))
    if weight_grad is not None:
        weight_grad.index_add_(0, tokens, (grad[:, None] * hidden[owners]).to(weight_grad.dtype))


def branch_log_probs(
    hidden: Tensor, weight: Tensor, nodes: Int64, tree: PrefixTree
) -> Iterator[tuple[Int64, Int64, NDArray[np.floating[Any]]]]:
    """Log-probabilities of all children of ``nodes[m]``, given the state ``hidden[m]`` after that node, in chunks.

    hidden ``[M, D]``, nodes ``[M]``. Yields (row ``[E]`` into ``nodes``, child node ``[E]``, log-probability ``[E]``);
    a row's edges lie together in one chunk, children in order.
    """
    hidden = hidden.to(weight.dtype)
    for chunk in _chunks(tree, nodes, hidden.shape[1]):
        yield chunk.rows[chunk.owner], chunk.child, _log_probs(chunk, hidden, weight, tree).cpu().numpy()


def _chunks(tree: PrefixTree, nodes: Int64, width: int) -> Iterator[_Chunk]:
    counts = tree.child_start[nodes + 1] - tree.child_start[nodes]
    wide = counts >= _WIDE
    for node in np.unique(nodes[wide]):
        rows, num_children = np.flatnonzero(nodes == node), len(tree.children(int(node)))
        step = max(1, _CHUNK_ELEMENTS // num_children)
        for start in range(0, len(rows), step):
            yield _chunk(tree, nodes, rows[start : start + step], wide=True)
    narrow = np.flatnonzero(~wide)
    pieces = (np.cumsum(counts[narrow]) * width) // _CHUNK_ELEMENTS
    for rows in np.split(narrow, np.flatnonzero(np.diff(pieces)) + 1):
        if len(rows):
            yield _chunk(tree, nodes, rows, wide=False)


def _chunk(tree: PrefixTree, nodes: Int64, rows: Int64, *, wide: bool) -> _Chunk:
    start = tree.child_start[nodes[rows]]
    counts = tree.child_start[nodes[rows] + 1] - start
    first = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(rows)), counts)
    child = np.arange(int(counts.sum())) - first[owner] + start[owner]
    return _Chunk(rows=rows, counts=counts, owner=owner, child=child, wide=wide)


def _log_probs(chunk: _Chunk, hidden: Tensor, weight: Tensor, tree: PrefixTree) -> Tensor:
    """``[E]`` log-softmax over each row's edges, float32 or wider."""
    with torch.autocast(hidden.device.type, enabled=False):
        logits = _logits(chunk, hidden[_to(chunk.rows, hidden)], weight, tree)
    if chunk.wide:
        return logits.view(len(chunk.rows), -1).log_softmax(-1).flatten()
    owner = _to(chunk.owner, hidden)
    largest = logits.new_full((len(chunk.rows),), -torch.inf).scatter_reduce_(0, owner, logits, "amax")
    shifted = logits - largest[owner]
    total = logits.new_zeros(len(chunk.rows)).index_add_(0, owner, shifted.exp())
    return shifted - total.log()[owner]


def _logits(chunk: _Chunk, hidden: Tensor, weight: Tensor, tree: PrefixTree) -> Tensor:
    """``[E]`` in float32 or wider, of the chunk's own states ``[g, D]``."""
    wide_type = torch.promote_types(hidden.dtype, torch.float32)
    if chunk.wide:
        tokens = _to(tree.token[chunk.child[: chunk.counts[0]]], hidden)
        return (hidden @ weight[tokens].to(hidden.dtype).T).to(wide_type).flatten()
    owner, hidden = _to(chunk.owner, hidden), hidden.to(wide_type)
    distinct, which = np.unique(tree.token[chunk.child], return_inverse=True)
    matrix = weight[_to(distinct, hidden)].to(wide_type)
    if len(distinct) * len(hidden) <= _SHARED * len(owner):
        return (hidden @ matrix.T)[owner, _to(which, hidden)]
    return (hidden[owner] * matrix[_to(which, hidden)]).sum(-1)


def _chosen_edges(chunk: _Chunk, ids: Int64, tree: PrefixTree) -> Int64:
    """``[g]`` number of the edge whose token is the row's id."""
    tokens = tree.token[chunk.child]
    matches = np.flatnonzero(tokens == ids[chunk.rows][chunk.owner])
    if len(matches) != len(chunk.rows):
        missing = np.setdiff1d(np.arange(len(chunk.rows)), chunk.owner[matches])
        raise ValueError(f"row {int(chunk.rows[missing[0]])}: token {int(ids[chunk.rows[missing[0]]])} does not follow its node")
    return matches


def _to(array: Int64, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(like.device)
