"""A training step on rows of equal length: the generalist beside a T5 of the same sizes.

    # R rows, V vocabulary

Nothing is padded, so packing has nothing to win: what is measured is the work of a step. A step is forward, backward and
AdamW. Rounds are interleaved, and the order within a round alternates; a ratio is the median over rounds of (our seconds /
T5's), so below one ours is faster. ``products`` is the time of the bare matrix products of our step, forward and backward.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

import torch
from ofa_models.generalist.model import Generalist
from ofa_models.plans import Precision
from ofa_models.precision import resolve_precision
from padded import packed_loss
from report import Value, parser, show
from t5_models import Pair, make_pair, make_rows, t5_inputs
from torch import Tensor, nn


@dataclass
class Side:
    """One model with its optimiser, and the loss of its step."""

    model: nn.Module
    loss: Callable[[], Tensor]
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model.train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)

    def run(self, steps: int, clock: Callable[[], float]) -> float:
        """Seconds of a step."""
        started = clock()
        for _ in range(steps):
            self.loss().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return (clock() - started) / steps


def products_of(model: Generalist, pair: Pair, task: str) -> list[tuple[int, int, int]]:
    """(rows, inner, columns) of every product of a step with a weight: forward, gradient of the input, gradient of the weight."""
    size = model.plan.architecture
    batch = pair.prepared.encoder.pack(pair.examples(task, make_rows(task), with_targets=True))
    sources, targets, labels = batch.source.num_tokens, batch.target.num_tokens, len(batch.token_labels.ids)
    inner = size.num_heads * size.head_width
    forward = [
        *[(sources, size.width, 3 * inner), (sources, inner, size.width)] * size.encoder_layers,
        *[(sources, size.width, 2 * size.mlp_width), (sources, size.mlp_width, size.width)] * size.encoder_layers,
        *[(targets, size.width, 3 * inner), (targets, inner, size.width)] * size.decoder_layers,
        *[(targets, size.width, inner), (sources, size.width, 2 * inner), (targets, inner, size.width)] * size.decoder_layers,
        *[(targets, size.width, 2 * size.mlp_width), (targets, size.mlp_width, size.width)] * size.decoder_layers,
        (labels, size.width, model.embedding.shape[0]),
    ]
    return [shape for a, b, c in forward for shape in ((a, b, c), (a, c, b), (b, a, c))]


class Products:
    """The bare products of a step, on tensors of their shapes."""

    def __init__(self, shapes: Sequence[tuple[int, int, int]], dtype: torch.dtype) -> None:
        self.shapes = shapes
        self.tensors = {side: torch.ones(side, dtype=dtype) for a, b, c in shapes for side in ((a, b), (b, c))}
        self.seconds: list[float] = []

    def run(self, steps: int, clock: Callable[[], float]) -> float:
        """Seconds of all of them once."""
        started = clock()
        for _ in range(steps):
            for a, b, c in self.shapes:
                torch.mm(self.tensors[a, b], self.tensors[b, c])
        return (clock() - started) / steps


def compare(
    size: str, precision: Precision, task: str, *, rounds: int, steps: int, clock: Callable[[], float]
) -> dict[str, Value]:
    """One row of the table."""
    pair = make_pair(size, precision)
    examples = pair.examples(task, make_rows(task), with_targets=True)
    batch = pair.prepared.encoder.pack(examples)
    inputs = t5_inputs(examples, pad=pair.ours.embedding.shape[0] - 1)
    ours = Side(pair.ours, lambda: packed_loss(pair.ours, batch))
    theirs = Side(pair.theirs, lambda: pair.theirs.loss(inputs))
    bare = Products(products_of(pair.ours, pair, task), torch.bfloat16 if precision == "bfloat16" else torch.float32)
    sides = (ours, theirs, bare)
    for side in sides:
        side.run(1, clock)
    for number in range(rounds):
        for side in sides if number % 2 == 0 else sides[::-1]:
            side.seconds.append(side.run(steps, clock))
    return {
        "size": size,
        "precision": precision,
        "task": task,
        "ours / T5": statistics.median(a / b for a, b in zip(ours.seconds, theirs.seconds, strict=True)),
        "ours / products": statistics.median(a / b for a, b in zip(ours.seconds, bare.seconds, strict=True)),
        "T5 / products": statistics.median(a / b for a, b in zip(theirs.seconds, bare.seconds, strict=True)),
        "ours ms": 1000 * statistics.median(ours.seconds),
        "tokens": batch.source.num_tokens + batch.target.num_tokens,
        "logit rows": len(batch.token_labels.ids),
    }


def main() -> None:
    """Print the table."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", type=int, default=2, help="steps of a round")
    options.add_argument("--sizes", nargs="+", default=["tiny", "base"])
    options.add_argument("--tasks", nargs="+", default=["text", "caption"])
    options.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    options.add_argument("--emulated", action="store_true", help="bfloat16 also on a processor without it (minutes a row)")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: for a machine that is shared")
    asked = options.parse_args()
    torch.set_num_threads(asked.threads)
    clock = time.perf_counter if asked.clock == "wall" else time.process_time
    notes = [f"{torch.get_num_threads()} threads, {asked.clock} clock, torch {torch.__version__}"]
    is_native, rows = resolve_precision("auto") == "bfloat16", []
    for size, precision, task in product(asked.sizes, asked.precisions, asked.tasks):
        if precision == "float32" or is_native or asked.emulated:
            rows.append(compare(size, precision, task, rounds=asked.rounds, steps=asked.steps, clock=clock))
    if not is_native:
        notes.append("this processor has no bfloat16 products: they would be emulated, tens of times slower (--emulated)")
    show("a training step on rows of equal length", rows, as_json=asked.json, notes=notes)


if __name__ == "__main__":
    main()
