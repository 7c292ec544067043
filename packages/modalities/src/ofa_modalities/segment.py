"""One encoded row, before packing: segments of numpy arrays.

# U units, F unit features, N tokens of a segment
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.processor import Item

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedSegment:
    """One item, or a piece of fixed text, or a control token of a repeat, as a model will see it.

    slot: line of the slot table; -1 for fixed text and control tokens.
    label_slot: line that its labels count for (a control token counts for the repeat's first target slot).
    adaptor: name of its stream.
    units: int64 ``[U]`` or float32 ``[U, F]``; on the target side shifted, begin token included.
    shape: of these units. layout: of the tokens, row-major; ``(N,)`` is a line, ``(rows, columns)`` a picture.
    begins: token 0 is the adaptor's begin vector, so that ``N == tokens of the units + 1``.
    labels int64 ``[N]``, weights float32 ``[N]``, nodes int64 ``[N]``: what each token must answer, where that is an id.
    frames float32 ``[N, F]``, stop float32 ``[N]``: the same for floats, with ``weights``.
    noise float32 ``[U, F]`` and time in [0, 1): what the units, an answer by diffusion, are mixed with before they are read.
    refers: index among the row's source segments of what it refers to, or -1.
    """

    slot: int
    adaptor: str
    units: NDArray[Any]
    shape: tuple[int, ...]
    layout: tuple[int, ...]
    label_slot: int = -1
    begins: bool = False
    labels: Int64 | None = None
    weights: Float32 | None = None
    nodes: Int64 | None = None
    frames: Float32 | None = None
    stop: Float32 | None = None
    noise: Float32 | None = None
    time: float | None = None
    refers: int = -1

    @property
    def num_tokens(self) -> int:
        """N."""
        return math.prod(self.layout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A value that is longer than its limit allows.

    line: of the slot table. kept, total: its units, or its items under ``max_items``. limit: the option that says so.
    is_learnt: all of it is learnt, and only answers will end there; otherwise what lies beyond is left out.
    """

    line: int
    kept: int
    total: int
    limit: str
    is_learnt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """One row, encoded.

    task: index into the encoder's task names. alternative: which of its instructions was used.
    referred: by slot index, the items that other slots refer to (sizes for the way back); with their units only where some are
        given to the answer.
    forced: by slot index, the items of ``no_loss`` target slots: what generation writes by itself.
    cuts: values that are longer than their limits allow. empty: columns that are read and hold nothing.
    causal: whether a token of the target side sees those before it alone; False for an answer by diffusion.
    """

    task: int
    alternative: int
    address: str
    source: tuple[EncodedSegment, ...]
    target: tuple[EncodedSegment, ...]
    num_source_tokens: int
    num_target_tokens: int
    referred: Mapping[int, tuple[Item, ...]] = field(default_factory=dict)
    forced: Mapping[int, tuple[Item, ...]] = field(default_factory=dict)
    cuts: tuple[Cut, ...] = ()
    empty: tuple[str, ...] = ()
    causal: bool = True

    def __repr__(self) -> str:
        tokens = f"{self.num_source_tokens} source + {self.num_target_tokens} target tokens"
        return f"Example({self.address or f'task {self.task}'}: {tokens})"

    @property
    def num_tokens(self) -> int:
        """Source and target tokens together: what the token budget counts."""
        return self.num_source_tokens + self.num_target_tokens
