"""Training steps a second: packed against padded, on the same rows in the same order.

Two comparisons, each with its rounds interleaved, so that a ratio is made of steps that ran next to each other:

- the generalist on packed batches and the same model on padded batches, on the demo's mix of six tasks;
- the generalist on packed batches and transformers' T5 of equal parameters on padded batches, on the two text tasks.

A step is forward, backward and AdamW. Batches are made beforehand on both sides. All use cross entropy alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from ofa_models.generalist.model import Generalist
from ofa_models.precision import autocast_for, resolve_precision
from ofa_models.zoo import build_model
from padded import PaddedBatch, packed_loss, padded_loss
from report import Value, parser, show
from t5_models import equal_t5, num_parameters, t5_inputs
from torch import Tensor, nn
from workload import TEXT_TASKS, Workload, make_workload


@dataclass
class Contender:
    """One side of a comparison. steps: one call a batch, returning its loss. counts: rows computed in all of them."""

    name: str
    model: nn.Module
    steps: Sequence[Callable[[], Tensor]]
    counts: dict[str, int]
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)

    def run(self) -> float:
        """All its steps once; seconds."""
        started = time.perf_counter()
        for step in self.steps:
            step().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - started


def compare(ours: Contender, other: Contender, rounds: int) -> float:
    """Median over rounds of (their seconds / ours)."""
    for contender in (ours, other):
        contender.run()
    for number in range(rounds):
        for contender in (ours, other) if number % 2 == 0 else (other, ours):
            contender.seconds.append(contender.run())
    return statistics.median(theirs / mine for mine, theirs in zip(ours.seconds, other.seconds, strict=True))


def packed_contender(model: Generalist, workload: Workload) -> Contender:
    """The generalist as it trains."""
    batches = [workload.prepared.encoder.pack(step) for step in workload.steps]
    counts = {
        "encoder rows": sum(batch.source.num_tokens for batch in batches),
        "decoder rows": sum(batch.target.num_tokens for batch in batches),
        "logit rows": sum(len(batch.token_labels.ids) for batch in batches),
    }
    steps = [lambda batch=batch: packed_loss(model, batch) for batch in batches]
    return Contender("generalist, packed", model, steps, counts)


def padded_contender(model: Generalist, workload: Workload) -> tuple[Contender, float]:
    """The generalist on padded batches, and their padding share."""
    batches = [PaddedBatch.of(workload.prepared.encoder.pack(step)) for step in workload.steps]
    counts = {
        "encoder rows": sum(batch.source.num_tokens for batch in batches),
        "decoder rows": sum(batch.target.num_tokens for batch in batches),
        "logit rows": sum(batch.target.num_tokens for batch in batches),
    }
    share = statistics.mean(batch.padding_share for batch in batches)
    steps = [lambda batch=batch: padded_loss(model, batch) for batch in batches]
    return Contender("generalist, padded", model, steps, counts), share


def t5_contender(reference: Generalist, workload: Workload) -> tuple[Contender, float]:
    """T5 of as many parameters on padded batches of the same rows, and their padding share."""
    model = equal_t5(reference)
    pad = workload.prepared.vocabulary.id("pad")
    batches = [t5_inputs(step, pad) for step in workload.steps]
    rows = {"encoder rows": 0, "decoder rows": 0, "logit rows": 0}
    real = 0
    for inputs in batches:
        rows["encoder rows"] += inputs["input_ids"].numel()
        rows["decoder rows"] += inputs["labels"].numel()
        rows["logit rows"] += inputs["labels"].numel()
        real += int(inputs["attention_mask"].sum()) + int((inputs["decoder_input_ids"] != pad).sum())

    def step(inputs: dict[str, Tensor]) -> Tensor:
        with autocast_for(reference.plan.precision, reference.embedding):
            loss: Tensor = model(**inputs, use_cache=False).loss
        return loss

    steps = [lambda inputs=inputs: step(inputs) for inputs in batches]
    share = 1 - real / (rows["encoder rows"] + rows["decoder rows"])
    return Contender("transformers T5, padded", model, steps, rows), share


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--size", default="tiny")
    made.add_argument("--batch-tokens", type=int, default=8192)
    made.add_argument("--steps", type=int, default=4, help="batches of a round")
    made.add_argument("--rounds", type=int, default=5)
    options = made.parse_args()
    torch.manual_seed(0)
    rows: list[dict[str, Value]] = []
    notes: list[str] = []
    for title, names in (("six tasks", None), ("text tasks", TEXT_TASKS)):
        workload = make_workload(options.size, options.batch_tokens, options.steps, names)
        model = build_model(workload.prepared.model_plan)
        assert isinstance(model, Generalist)
        ours = packed_contender(model, workload)
        other, share = padded_contender(model, workload) if names is None else t5_contender(model, workload)
        if names is None:
            with torch.no_grad():
                gap = max(abs(float(a() - b())) for a, b in zip(ours.steps, other.steps, strict=True))
            notes.append(f"packed and padded losses of the same rows differ by {gap:.1e} at most")
        else:
            notes.append(f"parameters: generalist {num_parameters(model):,}, T5 {num_parameters(other.model):,}")
        ratio = compare(ours, other, options.rounds)
        num_rows = sum(map(len, workload.steps))
        for contender, padding, times in ((ours, 0.0, ratio), (other, share, 1.0)):
            rows.append(
                {
                    "rows of": title,
                    "model": contender.name,
                    "rows/s": round(num_rows / statistics.median(contender.seconds), 1),
                    "times": round(times, 2),
                    "padding": f"{padding:.0%}",
                    **contender.counts,
                }
            )
    precision = resolve_precision(workload.prepared.model_plan.precision)
    plan = f"{options.size}, {options.batch_tokens:,} tokens a step, {options.rounds} rounds of {options.steps} steps"
    notes.append(f"{plan}, {torch.get_num_threads()} threads, precision {precision}; at least 2 times is asked of both")
    show("training throughput", rows, as_json=options.json, notes=notes)


if __name__ == "__main__":
    main()
