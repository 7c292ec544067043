"""The best answers of a closed set, or the scores of all, exactly.

    # R rows, N tree nodes, C candidates, M nodes of a call, A ancestors of a node, D model width

Log-probabilities only fall along a path. So a node whose own is below that of the n-th best candidate found need not be run,
and when none is left above it the answer is exact, as if all had been scored. Each round runs, for all rows side by side,
as many of the open nodes as will have to be run if the model stays as decided as it was so far: one where it is sure, a whole
level of the tree where it is not. Scoring everything is the same search, for all candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from ofa_modalities.prefix_tree import PrefixTree
from torch import Tensor

from ofa_models.backend import DecoderState, ModelBackend
from ofa_models.closed_set import branch_log_probs

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

_MOST_SCORES = 1 << 22
"""Rows times tree nodes that are searched together."""
_MARGIN = 1.25
"""How much further than so far on average the best way is expected to fall: one more call costs more than a few nodes."""
_CALL_NODES = 512
"""Most nodes of one call of the decoder."""


class Scored(NamedTuple):
    """A candidate of a closed set, by number, and its log-probability."""

    candidate: int
    log_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choices:
    """Where a tree leaves a choice. A step with one choice is certain and costs nothing.

    branches ``[N]``: whether a node has several children. branching: int64, ascending, those that have. goal ``[N]``: where
    single choices lead from a node: to itself where it branches or is a leaf. below ``[N]``: most choices on a way down from a
    node, its own included. last ``[N]``: whether it has the last choice of every way down, so that nothing run lies below it.
    """

    branches: NDArray[np.bool_]
    branching: Int64
    goal: Int64
    below: Int64
    last: NDArray[np.bool_]


@lru_cache(maxsize=16)
def _choices(tree: PrefixTree) -> _Choices:
    counts = np.diff(tree.child_start)
    branches = counts > 1
    goal, below = np.arange(tree.num_nodes), branches.astype(np.int64)
    cuts = [0, *(np.flatnonzero(np.diff(tree.depth)) + 1).tolist(), tree.num_nodes]
    for start, stop in reversed(list(pairwise(cuts))):
        level = np.arange(start, stop)
        single = level[counts[level] == 1]
        goal[single] = goal[tree.child_start[single]]
        if start:
            parents = tree.parent[level] - tree.parent[start]  # ascending
            most = np.zeros(parents[-1] + 1, np.int64)
            np.maximum.at(most, parents, below[level])
            below[tree.parent[start] :][: len(most)] += most
    return _Choices(branches=branches, branching=np.flatnonzero(branches), goal=goal, below=below, last=branches & (below == 1))


@dataclass(slots=True, kw_only=True)
class ClosedSetScorer:
    """Scores a closed set for R rows whose decoders stand right before their answer.

    lanes int64 ``[R]``: each row's lane of ``state``, everything before the answer (its begin token included) written.
    root_hidden ``[R, D]``: final state of that last token. coordinates int64 ``[R]``: where the first answer token stands.
    max_nodes: bound on nodes whose keys are held for others. ``num_nodes_run`` counts nodes that went through the decoder.
    """

    backend: ModelBackend
    state: DecoderState
    tree: PrefixTree
    lanes: Tensor
    root_hidden: Tensor
    coordinates: Tensor
    max_nodes: int = 4096
    num_nodes_run: int = 0

    def score_all(self) -> Tensor:
        """float32 ``[R, C]``: the log-probability of every candidate."""
        scores = np.concatenate([np.zeros((0, len(self.tree.leaf))), *self._searches(len(self.tree.leaf))])
        return torch.from_numpy(scores.astype(np.float32)).to(self.root_hidden.device)

    def best(self, n: int = 1) -> list[list[Scored]]:
        """The ``n`` best candidates of every row (all, if there are fewer), best first, exactly as full scoring ranks them."""
        n = min(n, len(self.tree.leaf))
        found: list[list[Scored]] = []
        for scores in self._searches(n):
            for line in scores:
                near = np.flatnonzero(line >= np.partition(line, len(line) - n)[len(line) - n])
                best = near[np.argsort(-line[near], kind="stable")][:n]
                found.append([Scored(int(candidate), float(line[candidate])) for candidate in best])
        return found

    @torch.no_grad()
    def _searches(self, num_wanted: int) -> list[Float64]:
        """Scores ``[rows, C]`` of some rows at a time, exact for the ``num_wanted`` best of each; others may be -inf."""
        deepest = int(self.tree.depth[-1])
        step = max(1, min(_MOST_SCORES // self.tree.num_nodes, self.max_nodes // max(1, deepest)))
        rows = np.arange(len(self.lanes))
        return [_Search(self, rows[start : start + step], num_wanted).run() for start in range(0, len(rows), step)]

    def run_nodes(self, rows: Int64, nodes: Int64, ancestors: Int64, written: int) -> Tensor:
        """States ``[M, D]`` of ``nodes[m]`` in row ``rows[m]``; ancestors ``[M, A]`` by number."""
        self.num_nodes_run += len(nodes)
        at = self.to_device(rows)
        places = self.coordinates[at] + self.to_device(self.tree.depth[nodes] - 1)
        embedded = self.backend.embed_ids(self.to_device(self.tree.token[nodes]))
        coordinates = places[:, None].expand(-1, 3)
        return self.backend.extend_nodes(self.state, embedded, coordinates, self.lanes[at], self.to_device(ancestors), written)

    def to_device(self, array: NDArray[Any]) -> Tensor:
        """The array as a tensor beside the lanes."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.lanes.device)


class _Search:
    """Of some rows. Places of rows and nodes are flat: row · N + node.

    totals: log-probability of a node, -inf where its parent was not looked at. open: whether it branches, has a total and was
    not looked at. numbers: of nodes whose keys are held, else -1. drops, looked: of each row, how far the best child lies below
    its node, over all nodes looked at.
    """

    def __init__(self, scorer: ClosedSetScorer, rows: Int64, num_wanted: int) -> None:
        self.scorer, self.rows, self.num_wanted = scorer, rows, num_wanted
        self.tree, self.choices = scorer.tree, _choices(scorer.tree)
        shape = (len(rows), self.tree.num_nodes)
        self.totals = np.full(shape, -np.inf)
        self.open = np.zeros(shape, np.bool_)
        self.numbers = np.full(shape, -1, np.int32)
        self.written = 0
        self.drops, self.looked = np.zeros(len(rows)), np.zeros(len(rows), np.int64)
        self.round = 0

    def run(self) -> Float64:
        """Scores ``[rows, C]``."""
        everyone = np.arange(len(self.rows))
        self.totals[:, self.choices.goal[0]] = 0
        if self.choices.goal[0] == 0 and len(self.choices.branching):
            self.look(everyone, everyone * 0, self.scorer.root_hidden[self.scorer.to_device(self.rows)])
        elif len(self.choices.branching):
            self.open[:, self.choices.goal[0]] = True
        while len(chosen := self.choose()):
            self.expand(chosen)
            self.round += 1
        return self.totals[:, self.tree.leaf]

    def choose(self) -> Int64:
        """Flat places of the open nodes that are looked at next, in order; none where every row has its answer."""
        branching = self.choices.branching
        frontier = np.where(self.open[:, branching], self.totals[:, branching], -np.inf)
        if self.num_wanted == len(self.tree.leaf):
            rows, columns = np.nonzero(frontier > -np.inf)
            return rows * self.tree.num_nodes + branching[columns]
        at = len(self.tree.leaf) - self.num_wanted
        needed = np.partition(self.totals[:, self.tree.leaf], at)[:, at]
        chosen: list[Int64] = []
        for row, line in enumerate(frontier):
            first = int(line.argmax())
            if line[first] == -np.inf or line[first] < needed[row]:
                continue
            drop = self.drops[row] / max(1, int(self.looked[row])) * int(self.choices.below[branching[first]])
            expected = line[first] - _MARGIN * drop - np.log(self.num_wanted)
            least = 1 << max(0, self.round - int(self.choices.below[0]))
            places = np.flatnonzero(line >= max(needed[row], expected))
            if len(places) < least:
                places = np.flatnonzero((line >= needed[row]) & (line > -np.inf))
                places = places[np.argsort(-line[places], kind="stable")][:least]
            chosen.append(row * self.tree.num_nodes + branching[places])
        return np.concatenate([np.zeros(0, np.int64), *chosen])

    def expand(self, chosen: Int64) -> None:
        """Run the chosen nodes, and what is on the way to them, and look at them; no more at once than keys may be held."""
        missing = self.missing(chosen)
        if self.written and self.written + self.num_kept(missing) > self.scorer.max_nodes:
            self.numbers[:], self.written = -1, 0
            missing = self.missing(chosen)
        if len(chosen) > 1 and self.num_kept(missing) > self.scorer.max_nodes:
            self.expand(chosen[: len(chosen) // 2])
            self.expand(chosen[len(chosen) // 2 :])
            return
        nodes = missing % self.tree.num_nodes
        depth = self.tree.depth[nodes]
        for level in np.unique(depth).tolist():
            places = missing[depth == level]
            for start in range(0, len(places), _CALL_NODES):
                self.run_level(places[start : start + _CALL_NODES], chosen)

    def num_kept(self, places: Int64) -> int:
        """How many of these nodes stand above others that may be run, so that their keys are read again."""
        return len(places) - int(self.choices.last[places % self.tree.num_nodes].sum())

    def missing(self, chosen: Int64) -> Int64:
        """Flat places of the chosen nodes and their ancestors whose keys are not held, ascending."""
        row, node = np.divmod(chosen, self.tree.num_nodes)
        found: list[Int64] = []
        while len(node):
            unknown = (self.numbers[row, node] < 0) & (node > 0)
            row, node = row[unknown], node[unknown]
            found.append(row * self.tree.num_nodes + node)
            node = self.tree.parent[node]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def run_level(self, places: Int64, chosen: Int64) -> None:
        """Run nodes of one depth, and look at those that are chosen."""
        places = places[np.argsort(self.choices.last[places % self.tree.num_nodes], kind="stable")]
        num_kept = self.num_kept(places)
        row, node = np.divmod(places, self.tree.num_nodes)
        ancestors = np.zeros((len(node), int(self.tree.depth[node[0]]) - 1), np.int64)
        above = self.tree.parent[node]
        for column in range(ancestors.shape[1]):
            ancestors[:, column] = self.numbers[row, above]
            above = self.tree.parent[above]
        hidden = self.scorer.run_nodes(self.rows[row], node, ancestors, self.written)
        self.numbers[row[:num_kept], node[:num_kept]] = np.arange(self.written, self.written + num_kept)
        self.written += num_kept
        at = np.flatnonzero(np.isin(places, chosen))
        if len(at):
            self.look(row[at], node[at], hidden[self.scorer.to_device(at)])

    def look(self, row: Int64, node: Int64, hidden: Tensor) -> None:
        """Give the children of branching nodes their totals, by the states behind the nodes."""
        self.open[row, node] = False
        for owner, child, log_probs in branch_log_probs(hidden, self.scorer.backend.token_weight(), node, self.tree):
            goal = self.choices.goal[child]
            self.totals[row[owner], goal] = self.totals[row[owner], node[owner]] + log_probs
            self.open[row[owner], goal] = self.choices.branches[goal]
            starts = np.flatnonzero(np.diff(owner, prepend=-1))
            np.subtract.at(self.drops, row[owner[starts]], np.maximum.reduceat(log_probs, starts))
            np.add.at(self.looked, row[owner[starts]], 1)
