"""What may come next: the best of many scores, weights that are not copied, the precision of products, a least length."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_modalities.processor import TokenRule
from ofa_models import GenerationOptions
from ofa_models.generation import scores
from ofa_models.generation.scores import Choices, best_columns
from ofa_models.generation.steps import TokenStep

END = 3


def choices(allowed: list[int], weight: torch.Tensor, *, length: int | None = None, **options: object) -> Choices:
    rule = TokenRule(blocks=("text",), length=length)
    step = TokenStep(slot=0, begin=1, rule=rule, allowed=np.array(allowed), max_length=8)
    return Choices(step, END, weight, GenerationOptions(**options))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5000), st.integers(1, 12), st.integers(0, 99), st.booleans())
def test_the_best_columns_are_those_of_the_whole_line(width: int, count: int, seed: int, closed: bool) -> None:
    count = min(count, width)
    lines = torch.randn(3, width, generator=torch.Generator().manual_seed(seed))
    if closed:
        lines[:, count:] = lines[:, count:].masked_fill(lines[:, count:] < 1, -torch.inf)
    values, columns = best_columns(lines, count)
    assert torch.equal(values, lines.topk(count).values)
    assert torch.equal(lines.gather(1, columns), values)
    assert all(len(set(line)) == count for line in columns.tolist())


def test_the_first_of_equals_is_taken_whatever_else_is_in_the_batch() -> None:
    line = torch.zeros(4096)
    line[[700, 701, 3000, 4095]] = 1.0
    assert best_columns(line[None], 1)[1].tolist() == [[700]]
    assert best_columns(torch.stack([torch.rand(4096), line]), 1)[1][1].tolist() == [700]


def test_ids_that_lie_together_are_scored_without_a_copy_of_their_weights() -> None:
    weight = torch.randn(2000, 4)
    whole = choices(list(range(20, 2000)), weight)
    assert whole._weight.data_ptr() == weight[END:].data_ptr()
    logits = whole.logits(torch.randn(2, 4), [])
    assert set(torch.tensor(whole.tokens)[logits[0] > -torch.inf].tolist()) == {END, *range(20, 2000)}
    apart = choices([20, 1999], weight)
    assert apart.tokens.tolist() == [END, 20, 1999]
    assert apart.gaps is None
    assert choices(list(range(20, 30)), weight, length=4).tokens.tolist() == list(range(20, 30))


@pytest.mark.parametrize("native", [True, False])
def test_products_are_in_bfloat16_where_that_is_no_slower(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(scores, "multiplies_fast", lambda dtype, device: native or dtype != torch.bfloat16)
    made = choices(list(range(20, 60)), torch.randn(60, 8))
    hidden = torch.randn(2, 8).bfloat16()
    logits = made.logits(hidden, [])
    assert made._weight.dtype is (torch.bfloat16 if native else torch.float32)
    assert logits.dtype is torch.float32
    first = made._weight
    made.logits(hidden, [])
    assert made._weight is first


def test_an_answer_does_not_end_before_its_least_length() -> None:
    weight = torch.zeros(60, 8)
    weight[END] = 1.0
    made = choices(list(range(20, 60)), weight, min_length=2)
    logits = made.logits(torch.ones(1, 8), [])
    for history, ends in (([], False), ([0], False), ([0, 1], True)):
        chosen, log_probs = made.scores(logits, [history])
        assert (int(best_columns(chosen, 1)[1]) == made.end) == ends
        other = 20 - int(made.tokens[0])
        assert float(log_probs[0, other]) == pytest.approx(float(logits.log_softmax(-1)[0, other]))
