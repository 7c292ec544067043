"""Output weights that are not tied to the embedding: where they stand, and that nothing stale is ever answered with."""

from __future__ import annotations

import pytest
import torch
from ofa_instruction.plans import PluginChoice
from ofa_models import ModelPlan, build_model
from ofa_models.plans import StreamPlan
from pydantic import ValidationError


def plan(**changes: object) -> ModelPlan:
    text = StreamPlan(adaptor=PluginChoice(name="text", distribution="ofa-models"))
    changed = {"vocabulary_size": 12, "adaptors": {"text": text}, **changes}
    return ModelPlan.model_validate(ModelPlan.of_size("nano").model_dump() | changed)


def test_untied_rows_stand_in_place_of_the_embedding_s() -> None:
    model = build_model(plan(untied=((0, 2), (5, 8))))
    weight = model.token_weight()
    assert model.classifier.shape == (5, 64)
    assert torch.equal(weight[[0, 1, 5, 6, 7]], model.classifier)
    rest = [2, 3, 4, 8, 9, 10, 11]
    assert torch.equal(weight[rest], model.embedding[rest])
    weight.sum().backward()
    assert torch.equal(model.embedding.grad[5], torch.zeros(64))
    assert torch.equal(model.embedding.grad[rest], torch.ones(7, 64))
    assert torch.equal(model.classifier.grad, torch.ones(5, 64))


def test_without_untied_ids_nothing_is_added() -> None:
    model = build_model(plan())
    assert model.token_weight() is model.embedding
    assert "classifier" not in model.state_dict()
    tied, untied = model.state_dict(), build_model(plan(untied=((3, 4),))).state_dict()
    assert all(torch.equal(tied[name], untied[name]) for name in tied)


@pytest.mark.parametrize("fused", [True, False])
def test_an_answer_uses_the_weights_as_they_are_now(fused: bool) -> None:
    model = build_model(plan(untied=((3, 9),))).eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=fused)
    with torch.no_grad():
        first = model.token_weight()
        assert model.token_weight() is first
    model.token_weight().square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        assert torch.equal(model.token_weight()[3:9], model.classifier)
        assert torch.equal(model.token_weight()[:3], model.embedding[:3])
        assert not torch.equal(model.token_weight()[3:9], first[3:9])
    model.load_state_dict(build_model(plan(untied=((3, 9),)), seed=1).state_dict())
    with torch.no_grad():
        assert torch.equal(model.token_weight()[3:9], model.classifier)
    model.double()
    with torch.no_grad():
        assert model.token_weight().dtype is torch.float64


@pytest.mark.parametrize("untied", [((3, 3),), ((3, 5), (4, 6)), ((5, 6), (1, 2)), ((10, 13),), ((-1, 2),)])
def test_ranges_that_overlap_or_lie_outside_are_refused(untied: object) -> None:
    with pytest.raises(ValidationError, match="the untied ids"):
        plan(untied=untied)
