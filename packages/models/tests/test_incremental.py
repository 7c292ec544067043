"""The cache of the generalist: only the lanes that get tokens are run, and each comes out as if it were alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ofa_models.generalist.incremental import LayerWeights
from torch import Tensor


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each call takes through the MLP of each layer (behind its projections and attention)."""
    counts: list[int] = []
    mlp = LayerWeights.mlp

    def note(self: LayerWeights, x: Tensor) -> Tensor:
        counts.append(len(x))
        return mlp(self, x)

    monkeypatch.setattr(LayerWeights, "mlp", note)
    return counts


SCHEDULES = {
    "all": [range(12)] * 6,
    "primaries": [range(0, 12, 3)] * 6,
    "fewer and fewer": [range(12), [0, 1, 2, 4, 5, 6, 7, 8, 10, 11], [1, 2, 7, 11], [2, 7], [7], [7]],
    "now these, now those": [[3], [0, 4, 5, 11], [1, 2, 3, 4, 5, 6, 7, 9, 10], [], [8, 9], range(12)],
}


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@torch.no_grad()
def test_lanes_that_get_no_tokens_are_not_run(
    build: Any, pack: Any, rows: Any, schedule: Any, step: int, counted: list[int]
) -> None:
    """Four rows with three lanes each: whatever is asked of others, a lane's states are those of its row decoded at once."""
    model, batch = build(), pack(rows[:4])
    memory = model.encode(batch)
    lengths = batch.target.lengths
    starts = lengths.cumsum(0) - lengths
    uncached = model.decode(batch, memory, torch.arange(batch.target.num_tokens))
    embedded = model.embed_ids(batch.target.streams[0].units)
    state = model.start(memory, copies=3, capacity=int(lengths.max()))
    for lanes in schedule:
        counts = torch.zeros(12, dtype=torch.int64)
        for lane in lanes:
            counts[lane] = min(step, int(lengths[lane // 3] - state.lengths[lane]))
        index = (starts.repeat_interleave(3) + state.lengths)[:, None] + torch.arange(step)
        index = index.clamp(max=len(embedded) - 1)
        before = state.lengths
        hidden = model.extend(state, embedded[index], batch.target.coordinates[index], counts)
        num_asked = int((counts > 0).sum())
        assert counted == ([num_asked * step] * len(model.decoder) if num_asked else [])
        counted.clear()
        assert hidden.shape == (12, step, 64)
        assert hidden.isfinite().all()
        assert torch.equal(state.lengths, before + counts)
        for lane, count in enumerate(counts.tolist()):
            torch.testing.assert_close(hidden[lane, :count], uncached[index[lane, :count]], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_row_that_has_its_answer_costs_nothing_more(build: Any, pack: Any, rows: Any, counted: list[int]) -> None:
    model, batch = build(), pack(rows[:4])
    state = model.start(model.encode(batch), copies=1, capacity=4)
    line = torch.zeros(4, 1, 3, dtype=torch.int64)
    for live in ([1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 1, 0]):
        model.extend(state, model.embed_ids(torch.ones(4, 1, dtype=torch.int64)), line, torch.tensor(live))
    assert counted[:: len(model.decoder)] == [4, 3, 1]
