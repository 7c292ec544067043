"""The prefix tree of a closed set: candidates as token sequences, shared prefixes once.

    # N nodes (0 is the root), C candidates

Every candidate ends in a leaf of its own: a sequence either closes with ``<end>`` or is as long as all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrefixTree:
    """Nodes in breadth-first order, children of a node contiguous and sorted by token.

    token ``[N]``: the token that leads into a node (-1 at the root). parent ``[N]`` (-1 at the root).
    depth ``[N]``. child_start ``[N + 1]``: children of n are ``child_start[n] .. child_start[n + 1] - 1``.
    leaf ``[C]``: the node that candidate c ends in. candidate ``[N]``: the inverse, -1 inside the tree.
    """

    token: Int64
    parent: Int64
    depth: Int64
    child_start: Int64
    leaf: Int64
    candidate: Int64

    @classmethod
    def build(cls, sequences: Sequence[Sequence[int]]) -> PrefixTree:
        """Build from one non-empty token sequence per candidate, in linear time.

        Raises ValueError where two sequences are equal or one is a prefix of another.
        """
        children: list[dict[int, int]] = [{}]
        ends: list[int] = []
        terminal: set[int] = set()
        for number, sequence in enumerate(sequences):
            node = 0
            for token in sequence:
                if node in terminal:
                    raise ValueError(f"candidate {number} continues another candidate")
                following = children[node].get(int(token))
                if following is None:
                    following = len(children)
                    children[node][int(token)] = following
                    children.append({})
                node = following
            if not sequence or node in terminal or children[node]:
                raise ValueError(f"candidate {number} is empty, a duplicate or a prefix of another candidate")
            terminal.add(node)
            ends.append(node)
        return cls._in_breadth_first_order(children, ends)

    @classmethod
    def _in_breadth_first_order(cls, children: list[dict[int, int]], ends: list[int]) -> PrefixTree:
        total = len(children)
        token, parent, depth = (np.full(total, -1, np.int64) for _ in range(3))
        depth[0] = 0
        child_start = np.zeros(total + 1, np.int64)
        new_index = np.zeros(total, np.int64)
        order = [0]
        for position, old in enumerate(order):
            new_index[old] = position
            child_start[position] = len(order)
            for child_token, child in sorted(children[old].items()):
                new = len(order)
                token[new], parent[new], depth[new] = child_token, position, depth[position] + 1
                order.append(child)
        child_start[total] = total
        leaf = new_index[np.asarray(ends, np.int64)] if ends else np.zeros(0, np.int64)
        candidate = np.full(total, -1, np.int64)
        candidate[leaf] = np.arange(len(ends))
        return cls(token=token, parent=parent, depth=depth, child_start=child_start, leaf=leaf, candidate=candidate)

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.token)

    def children(self, node: int) -> range:
        """Nodes below ``node``."""
        return range(int(self.child_start[node]), int(self.child_start[node + 1]))

    def path(self, candidate: int) -> list[int]:
        """Nodes from the root to the candidate's leaf, both included."""
        node = int(self.leaf[candidate])
        nodes = [node]
        while node:
            node = int(self.parent[node])
            nodes.append(node)
        return nodes[::-1]
