"""Fitting a code book to pictures.

    # N pictures, B pictures of a step, M cells of a step, K codes, C width of a code

First the convolutions learn without a book; then k-means over their cells makes the book, which from there on follows the cells
nearest to its codes by a running mean, while codes that nothing comes near to are placed on cells of the step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ofa_modalities.image.codebook import SmallVq, to_floats

BATCH = 32
_WARM_SHARE = 0.25
"""Share of the steps without a book."""
_DECAY = 0.97
_COMMITMENT = 0.5
_LEARNING_RATE = 6e-3
_KMEANS_CELLS_PER_CODE = 32
_KMEANS_ROUNDS = 10


def fit_code_book(
    pictures: NDArray[np.uint8],
    *,
    downsample: int,
    codes: int,
    width: int,
    steps: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, NDArray[np.float32]]:
    """Arrays of a :class:`SmallVq` fitted to uint8 ``[N, S, S, 3]``; the same on every call with the same number of threads."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(seed)
        model = SmallVq(downsample=downsample, codes=codes, width=width)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    warm = max(1, round(_WARM_SHARE * steps))
    book: _Book | None = None
    with torch.enable_grad():
        for step in range(steps):
            batch = to_floats(pictures[torch.randint(len(pictures), (BATCH,), generator=generator).numpy()])
            if step == warm:
                book = _Book(model, _kmeans(_many_cells(model, pictures, codes, generator), codes, generator))
            cells = model.cells(batch.contiguous(memory_format=torch.channels_last))
            loss = cells.new_zeros(())
            given = cells
            if book is not None:
                quantised = book.follow(cells.detach().flatten(0, 2), generator).view_as(cells)
                loss = _COMMITMENT * (cells - quantised).square().sum(-1).mean()
                given = cells + (quantised - cells).detach()
            made = model.pictures(given)
            loss = loss + (made - batch).square().mean() + 0.1 * (made - batch).abs().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            progress(step + 1, steps)
        if book is None:
            _Book(model, _kmeans(_many_cells(model, pictures, codes, generator), codes, generator))
    return {name: np.ascontiguousarray(tensor.detach().float().numpy()) for name, tensor in model.state_dict().items()}


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: up over the first 5 % of the steps, then down in a half cosine."""
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise
    return 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * (step - rise) / max(1, steps - rise))))


class _Book:
    """The codes of a model while they follow the cells."""

    def __init__(self, model: SmallVq, codes: Tensor) -> None:
        self.model = model
        self.sums = codes.clone()
        self.counts = torch.ones(len(codes))
        model.book.copy_(codes)

    @torch.no_grad()
    def follow(self, cells: Tensor, generator: torch.Generator) -> Tensor:
        """The codes nearest to cells ``[M, C]``, which then move towards them."""
        model = self.model
        chosen = model.nearest(cells)
        quantised = model.book[chosen]
        counts = torch.zeros_like(self.counts).index_add_(0, chosen, torch.ones(len(cells)))
        sums = torch.zeros_like(self.sums).index_add_(0, chosen, cells)
        usual = len(cells) / len(counts)
        self.counts.mul_(_DECAY).add_(counts / usual, alpha=1 - _DECAY)
        self.sums.mul_(_DECAY).add_(sums / usual, alpha=1 - _DECAY)
        dead = (self.counts < 0.02).nonzero().flatten()
        if len(dead):
            places = torch.randint(len(cells), (len(dead),), generator=generator)
            self.sums[dead] = cells[places]
            self.counts[dead] = 1.0
        model.book.copy_(F.normalize(self.sums, dim=1))
        return quantised


@torch.no_grad()
def _many_cells(model: SmallVq, pictures: NDArray[np.uint8], codes: int, generator: torch.Generator) -> Tensor:
    """Cells ``[M, C]`` of pictures, enough for so many codes."""
    wanted = codes * _KMEANS_CELLS_PER_CODE
    found: list[Tensor] = []
    order = torch.randperm(len(pictures), generator=generator).numpy()
    for start in range(0, len(order), BATCH):
        found.append(model.cells(to_floats(pictures[order[start : start + BATCH]])).flatten(0, 2))
        if sum(map(len, found)) >= wanted:
            break
    return torch.cat(found)


@torch.no_grad()
def _kmeans(cells: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` centres of length 1 of cells ``[M, C]``; an empty one is placed on a cell."""
    centres = cells[torch.randint(len(cells), (count,), generator=generator)]
    for _ in range(_KMEANS_ROUNDS):
        chosen = (cells @ centres.T).argmax(-1)
        sums = torch.zeros_like(centres).index_add_(0, chosen, cells)
        counts = torch.bincount(chosen, minlength=count)
        empty = (counts == 0).nonzero().flatten()
        sums[empty] = cells[torch.randint(len(cells), (len(empty),), generator=generator)]
        centres = F.normalize(sums, dim=1)
    return centres
