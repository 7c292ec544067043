"""Peak memory of one training step at 16k tokens and a vocabulary of 32k: packed and chunked against padded and whole.

Each step runs in a fresh process, which reports its own peak; this process stays small, because a child starts with the
peak of its parent.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from report import Value, parser, show

TOKENS = 16_384
VOCABULARY = 32_000


def peak_mb() -> float:
    """The largest resident size that this process has had."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def measure(kind: str, size: str) -> dict[str, float]:
    """Run one step of a kind in this process."""
    import torch
    from ofa_models.generalist.model import Generalist
    from ofa_models.zoo import build_model
    from padded import PaddedBatch, packed_loss, padded_loss
    from workload import make_workload

    workload = make_workload(size, TOKENS, 1)
    plan = workload.prepared.model_plan.model_copy(update={"vocabulary_size": VOCABULARY})
    model = build_model(plan)
    assert isinstance(model, Generalist)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    batch = workload.prepared.encoder.pack(workload.steps[0])
    before = peak_mb()
    loss = packed_loss(model, batch) if kind == "packed" else padded_loss(model, PaddedBatch.of(batch))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return {"peak": peak_mb(), "before": before, "loss": float(loss.detach()), "tokens": batch.num_tokens}


def main() -> None:
    """Measure both and print."""
    made = parser(__doc__)
    made.add_argument("--size", default="tiny")
    made.add_argument("--measure", choices=["packed", "padded"], help="run one step here and print its figures")
    options = made.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.size)))
        return
    found: dict[str, dict[str, float]] = {}
    for kind in ("packed", "padded"):
        command = [sys.executable, __file__, "--size", options.size, "--measure", kind]
        found[kind] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    names = {"packed": "packed, logits in chunks", "padded": "padded, all logits"}
    whole = found["padded"]["peak"]
    step = found["padded"]["peak"] - found["padded"]["before"]
    rows: list[dict[str, Value]] = [
        {
            "step": names[kind],
            "peak MB": round(figures["peak"]),
            "of padded": round(figures["peak"] / whole, 3),
            "step alone MB": round(figures["peak"] - figures["before"]),
            "of padded's": round((figures["peak"] - figures["before"]) / step, 3),
            "loss": round(figures["loss"], 4),
        }
        for kind, figures in found.items()
    ]
    note = f"{options.size}, {int(found['packed']['tokens']):,} tokens, vocabulary {VOCABULARY:,}; at most 0.5 is asked"
    show("peak memory of a training step", rows, as_json=options.json, notes=[note])


if __name__ == "__main__":
    main()
