"""Exact log-probabilities over a closed set: normalised over the tokens its prefix tree allows at each step.

    # L labelled rows, R rows, M nodes of a call, N tree nodes, C candidates, E edges (node, child), D model width, V vocabulary

The same numbers in loss and in answer. A step with one choice costs nothing, so only branching nodes get logits, and
only nodes that branch, or lead to one that does, are run through the decoder at all. Full scoring feeds them level by
level in pieces of bounded memory (a piece is a stretch of the tree's depth-first order with the ancestors of its first
node); the n best are found best-first, which is exact because log-probabilities only fall along a path.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from ofa_modalities.prefix_tree import PrefixTree
from torch import Tensor

from ofa_models.backend import DecoderState, ModelBackend

Int64 = NDArray[np.int64]

_WIDE = 64
"""From so many children on a node's rows share one matrix product; below, edges are gathered."""
_CHUNK_ELEMENTS = 1 << 22
"""Bound on the elements of one temporary: logits of a wide node, gathered rows of narrow ones."""


class Scored(NamedTuple):
    """A candidate of a closed set, by number, and its log-probability."""

    candidate: int
    log_probability: float


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
    wide_type = torch.promote_types(hidden.dtype, torch.float32)
    rows = _to(chunk.rows, hidden)
    if chunk.wide:
        tokens = _to(tree.token[chunk.child[: chunk.counts[0]]], hidden)
        logits = (hidden[rows] @ weight[tokens].to(hidden.dtype).T).to(wide_type)
        return logits.log_softmax(-1).flatten()
    owner = _to(chunk.owner, hidden)
    products = hidden[rows[owner]].to(wide_type) * weight[_to(tree.token[chunk.child], hidden)].to(wide_type)
    logits = products.sum(-1)
    largest = logits.new_full((len(rows),), -torch.inf).scatter_reduce_(0, owner, logits, "amax")
    shifted = logits - largest[owner]
    total = logits.new_zeros(len(rows)).index_add_(0, owner, shifted.exp())
    return shifted - total.log()[owner]


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


@dataclass(slots=True, kw_only=True)
class ClosedSetScorer:
    """Scores a closed set for R rows whose decoders stand right before their answer.

    lanes int64 ``[R]``: each row's lane of ``state``, everything before the answer (its begin token included) written.
    root_hidden ``[R, D]``: final state of that last token. coordinates int64 ``[R]``: where the first answer token stands.
    max_nodes: bound on nodes whose keys are held at once. ``num_nodes_run`` counts nodes that went through the decoder.
    """

    backend: ModelBackend
    state: DecoderState
    tree: PrefixTree
    lanes: Tensor
    root_hidden: Tensor
    coordinates: Tensor
    max_nodes: int = 4096
    num_nodes_run: int = 0

    @torch.no_grad()
    def score_all(self) -> Tensor:
        """float32 ``[R, C]``: the log-probability of every candidate."""
        tree = self.tree
        needed, branching = _needed_nodes(tree)
        num_needed = int(needed.sum())
        rows_at_once = max(1, min(self.max_nodes // max(1, num_needed), (1 << 23) // tree.num_nodes))
        pieces = _pieces(tree, needed, max(1, self.max_nodes // rows_at_once)) if num_needed else []
        scores = [
            self._score_rows(np.arange(start, min(start + rows_at_once, len(self.lanes))), pieces, branching)
            for start in range(0, len(self.lanes), rows_at_once)
        ]
        return torch.from_numpy(np.concatenate(scores)).to(self.root_hidden.device)

    def _score_rows(self, rows: Int64, pieces: Sequence[Int64], branching: NDArray[np.bool_]) -> NDArray[np.float32]:
        tree, weight = self.tree, self.backend.token_weight()
        edges = np.zeros((len(rows), tree.num_nodes))
        for owner, child, log_prob in branch_log_probs(self.root_hidden[_to(rows, self.lanes)], weight, rows * 0, tree):
            edges[owner, child] = log_prob
        for piece in pieces:
            for nodes, hidden in self._feed_piece(rows, piece):
                at = np.flatnonzero(np.repeat(branching[nodes], len(rows)))
                states = hidden[_to(at, hidden)]
                for owner, child, log_prob in branch_log_probs(states, weight, np.repeat(nodes, len(rows))[at], tree):
                    edges[at[owner] % len(rows), child] = log_prob
        for start, stop in _levels(tree.depth):
            edges[:, start:stop] += edges[:, tree.parent[start:stop]] if start else 0
        return edges[:, tree.leaf].astype(np.float32)

    def _feed_piece(self, rows: Int64, piece: Int64) -> Iterator[tuple[Int64, Tensor]]:
        """Run the nodes of ``piece`` (ascending, closed under ancestors but for the root) for all ``rows``.

        Yields (nodes ``[k]``, states ``[k · R', D]`` node-major) in calls of bounded size.
        """
        tree, num_rows = self.tree, len(rows)
        ancestors = np.zeros((0, 0), np.int64)
        step = max(1, 1024 // num_rows)
        level_start = 0
        for start, stop in _levels(tree.depth[piece]):
            level = piece[start:stop]
            if start:
                parents = np.searchsorted(piece, tree.parent[level])
                ancestors = np.concatenate([ancestors[parents - level_start], parents[:, None]], axis=1)
            else:
                ancestors = np.zeros((len(level), 0), np.int64)
            level_start = start
            for first in range(0, len(level), step):
                nodes = level[first : first + step]
                numbers = ancestors[first : first + step][:, None, :] * num_rows + np.arange(num_rows)[None, :, None]
                at = np.tile(rows, len(nodes))
                written = (start + first) * num_rows
                hidden = self._run(np.repeat(nodes, num_rows), at, numbers.reshape(len(at), -1), written)
                yield nodes, hidden

    def _run(self, nodes: Int64, rows: Int64, ancestors: Int64, written: int) -> Tensor:
        """States ``[M, D]`` of ``nodes[m]`` in row ``rows[m]``; ancestors ``[M, A]`` by number, -1: none."""
        self.num_nodes_run += len(nodes)
        at = _to(rows, self.lanes)
        places = self.coordinates[at] + _to(self.tree.depth[nodes] - 1, self.lanes)
        embedded = self.backend.embed_ids(_to(self.tree.token[nodes], self.lanes))
        coordinates = places[:, None].expand(-1, 3)
        return self.backend.extend_nodes(self.state, embedded, coordinates, self.lanes[at], _to(ancestors, self.lanes), written)

    @torch.no_grad()
    def best(self, n: int = 1) -> list[list[Scored]]:
        """The ``n`` best candidates of every row (all, if there are fewer), best first, exactly as full scoring ranks them.

        Rows search side by side: each round runs one node of every unfinished row through the decoder.
        """
        searches = [_Search(tree=self.tree, num_wanted=min(n, len(self.tree.leaf))) for _ in range(len(self.lanes))]
        self._expand(searches, np.arange(len(searches)), np.zeros(len(searches), np.int64), self.root_hidden)
        written = 0
        while waiting := [row for row, search in enumerate(searches) if search.advance()]:
            nodes = np.array([searches[row].queue[0] for row in waiting], np.int64)
            paths = [searches[row].ancestors(int(node)) for row, node in zip(waiting, nodes, strict=True)]
            ancestors = np.full((len(paths), max(map(len, paths))), -1, np.int64)
            for line, path in enumerate(paths):
                ancestors[line, : len(path)] = path
            hidden = self._run(nodes, np.array(waiting, np.int64), ancestors, written)
            for number, row in enumerate(waiting):
                searches[row].numbers[int(nodes[number])] = written + number
                searches[row].queue.pop(0)
            written += len(waiting)
            ready = np.array([line for line, row in enumerate(waiting) if not searches[row].queue], np.int64)
            if len(ready):
                self._expand(searches, np.array(waiting)[ready], nodes[ready], hidden[_to(ready, hidden)])
        return [search.found for search in searches]

    def _expand(self, searches: Sequence[_Search], rows: Int64, nodes: Int64, hidden: Tensor) -> None:
        for owner, child, log_prob in branch_log_probs(hidden, self.backend.token_weight(), nodes, self.tree):
            stops = np.append(np.flatnonzero(np.diff(owner)) + 1, len(owner))
            start = 0
            for stop in stops:
                searches[int(rows[owner[start]])].add(child[start:stop], log_prob[start:stop])
                start = int(stop)


@dataclass(slots=True, kw_only=True)
class _Search:
    """Best-first search of one row.

    Children of an expanded node wait in sorted order with only the best of them on the heap, so a root with thousands
    of children costs one sort. ``queue``: nodes to run, each below the one before; the last is then expanded.
    """

    tree: PrefixTree
    num_wanted: int
    found: list[Scored] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    queue: list[int] = field(default_factory=list)
    base: float = 0.0
    heap: list[tuple[float, int, int, int]] = field(default_factory=list)
    families: list[tuple[Int64, NDArray[np.float64]]] = field(default_factory=list)

    def add(self, children: Int64, log_probs: NDArray[np.floating[Any]]) -> None:
        """Children of the node expanded last, with the log-probability of each step."""
        order = np.argsort(-log_probs, kind="stable")
        self.families.append((children[order], log_probs[order].astype(np.float64) + self.base))
        self._push(len(self.families) - 1, 0)

    def _push(self, family: int, place: int) -> None:
        children, totals = self.families[family]
        if place < len(children):
            heapq.heappush(self.heap, (-float(totals[place]), int(children[place]), family, place))

    def advance(self) -> bool:
        """Take candidates until a node must be run; False once enough are found."""
        while not self.queue and len(self.found) < self.num_wanted:
            negative, node, family, place = heapq.heappop(self.heap)
            self._push(family, place + 1)
            while len(self.tree.children(node)) == 1:
                node = self.tree.children(node)[0]
            if self.tree.candidate[node] >= 0:
                self.found.append(Scored(int(self.tree.candidate[node]), -negative))
                continue
            self.base = -negative
            while node and node not in self.numbers:
                self.queue.insert(0, node)
                node = int(self.tree.parent[node])
        return len(self.found) < self.num_wanted

    def ancestors(self, node: int) -> list[int]:
        """Numbers of the nodes between the root and ``node``."""
        numbers = []
        while (node := int(self.tree.parent[node])) > 0:
            numbers.append(self.numbers[node])
        return numbers


def _levels(depth: Int64) -> list[tuple[int, int]]:
    """(start, stop) of each stretch of equal depth; ``depth`` ascends."""
    cuts = np.flatnonzero(np.diff(depth)) + 1
    return list(zip([0, *cuts.tolist()], [*cuts.tolist(), len(depth)], strict=True))


def _needed_nodes(tree: PrefixTree) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """bool ``[N]`` twice: below the root, nodes that branch or lead to one that does; nodes that branch."""
    branching = np.diff(tree.child_start) > 1
    needed = branching.copy()
    for start, stop in reversed(_levels(tree.depth)[1:]):
        np.logical_or.at(needed, tree.parent[start:stop], needed[start:stop])
    needed[0] = False
    return needed, branching


def _pieces(tree: PrefixTree, needed: NDArray[np.bool_], size: int) -> list[Int64]:
    """Needed nodes in stretches of ``size`` of their depth-first order, each with the ancestors of its first node."""
    levels = _levels(tree.depth)
    weight = needed.astype(np.int64)
    for start, stop in reversed(levels[1:]):
        np.add.at(weight, tree.parent[start:stop], weight[start:stop])
    rank = np.zeros(tree.num_nodes, np.int64)
    for start, stop in levels[1:]:
        before = np.cumsum(weight[start:stop]) - weight[start:stop]
        parents = tree.parent[start:stop]
        first = tree.child_start[parents] - start
        rank[start:stop] = rank[parents] + needed[parents] + before - before[first]
    nodes = np.flatnonzero(needed)
    pieces = []
    order = nodes[np.argsort(rank[nodes], kind="stable")]
    for start in range(0, len(order), size):
        piece = order[start : start + size]
        above = []
        node = int(tree.parent[piece[0]])
        while node > 0:
            above.append(node)
            node = int(tree.parent[node])
        pieces.append(np.union1d(piece, np.array(above, np.int64)))
    return pieces
