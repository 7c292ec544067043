"""Optimisers and schedules."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ofa_models import build_model
from ofa_trainer import Task, Trainer
from ofa_trainer.muon import Muon, orthogonalised
from ofa_trainer.optimizers import Optimizers
from ofa_trainer.plans import ScheduleKind, TrainerOptions
from ofa_trainer.schedule import Schedule
from torch import nn
from trainer_rows import text_rows


@pytest.mark.parametrize("shape", [(16, 16), (8, 24), (24, 8)])
def test_muon_takes_the_steps_of_torch_s_own(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    first = [nn.Parameter(torch.randn(shape)) for _ in range(3)]
    second = [nn.Parameter(parameter.detach().clone()) for parameter in first]
    ours = Muon(first, lr=0.02, weight_decay=0.1)
    theirs = torch.optim.Muon(second, lr=0.02, weight_decay=0.1)
    start = [parameter.detach().clone() for parameter in first]
    for _ in range(4):
        for one, other in zip(first, second, strict=True):
            one.grad = torch.randn(shape)
            other.grad = one.grad.clone()
        ours.step()
        theirs.step()
    for one, other, begin in zip(first, second, start, strict=True):
        moved = (one - begin).norm()
        assert (one - other).norm() < 0.05 * moved  # theirs works in bfloat16


@given(rows=st.integers(2, 12), columns=st.integers(2, 12))
def test_orthogonalised_matrices_have_singular_values_near_one(rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(rows * 100 + columns)
    left, _ = torch.linalg.qr(torch.randn(rows, rows, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(columns, columns, generator=generator))
    values = torch.linspace(0.2, 1.0, min(rows, columns))
    matrix = left[:, : len(values)] * values @ right[:, : len(values)].T
    found = torch.linalg.svdvals(orthogonalised(matrix[None])[0].float())
    assert float(found.min()) > 0.6
    assert float(found.max()) < 1.3


def test_muon_is_for_matrices() -> None:
    with pytest.raises(ValueError, match="for matrices"):
        Muon([nn.Parameter(torch.zeros(3))], lr=0.1)


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_every_parameter_has_one_optimiser(name: str) -> None:
    options = TrainerOptions(optimizer=name)  # type: ignore[arg-type]
    prepared = Trainer(tokenizer_size=300).prepare("nano", [Task("first", "[TEXT:text] -> [TEXT:first]", train=text_rows(30))])
    model = build_model(prepared.model_plan, prepared.catalog)
    extra = nn.Linear(4, 1)
    optimizers = Optimizers(model, [extra], options)
    owned = [
        id(parameter)
        for optimizer in optimizers.optimizers.values()
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(owned) == sorted(id(parameter) for parameter in [*model.parameters(), *extra.parameters()])
    assert ("muon" in optimizers.optimizers) == (name == "muon")
    for group in optimizers.optimizers["adamw"].param_groups:
        assert all((parameter.ndim >= 2) == (group["weight_decay"] > 0) for parameter in group["params"])


@given(
    kind=st.sampled_from(["warmup-stable-decay", "cosine", "linear", "constant"]),
    total=st.integers(1, 500),
    warmup=st.integers(0, 100),
    final=st.floats(0, 1),
)
def test_schedules_stay_between_zero_and_the_peak(kind: ScheduleKind, total: int, warmup: int, final: float) -> None:
    schedule = Schedule(kind, total, warmup, final)
    factors = [schedule.factor(step) for step in range(total)]
    assert all(0 <= factor <= 1 for factor in factors)
    peak = factors.index(max(factors))
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert peak <= total // 10


@pytest.mark.parametrize("kind", ["warmup-stable-decay", "cosine", "linear"])
def test_an_unknown_number_of_steps_falls_with_the_share_of_the_run(kind: ScheduleKind) -> None:
    unknown = Schedule(kind, None, 4, 0.02)
    assert [unknown.factor(step, 0.0) for step in range(6)] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    assert unknown.factor(0, 0.1) >= 0.9  # few slow steps are no longer warmed up than a tenth of the run
    falling = [unknown.factor(50, share / 10) for share in range(11)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == pytest.approx(0.02)


def test_a_known_number_of_steps_falls_with_them() -> None:
    known = Schedule("warmup-stable-decay", 100, 4, 0.0)
    assert [known.factor(step) for step in (0, 4, 50, 75)] == [0.2, 1.0, 1.0, 0.5]
