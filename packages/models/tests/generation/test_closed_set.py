"""Closed sets: full scoring, best-first search and the loss agree with scoring each candidate alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_modalities.prefix_tree import PrefixTree
from ofa_models.closed_set import closed_set_loss
from ofa_models.generation.closed import ClosedSetScorer
from torch import Tensor

END = 3
BEGIN = 1


def thousand_candidates(seed: int = 0, number: int = 1000, vocabulary_size: int = 40) -> list[list[int]]:
    """Distinct sequences with many shared prefixes, long single-choice tails, and prefixes of each other (before the end)."""
    rng = np.random.default_rng(seed)
    found: dict[tuple[int, ...], None] = {(5,): None, (5, 6): None, (5, 6, 7): None}
    while len(found) < number:
        base = list(found)[rng.integers(len(found))]
        tail = rng.integers(4, vocabulary_size, rng.integers(1, 4)).tolist()
        found[tuple(base[: rng.integers(0, len(base) + 1)]) + tuple(tail)] = None
    return [[*words, END] for words in found]


def scorer(backend: Any, memory: Any, tree: PrefixTree, **options: Any) -> ClosedSetScorer:
    rows = len(memory.lengths)
    state = backend.start(memory, copies=1, capacity=32)
    prompt = torch.tensor([[BEGIN, 9]]).expand(rows, 2)
    counts = torch.tensor([1 + row % 2 for row in range(rows)])
    places = torch.arange(2)[None, :, None].expand(rows, 2, 3)
    hidden = backend.extend(state, backend.embed_ids(prompt), places, counts)
    return ClosedSetScorer(
        backend=backend, state=state, tree=tree, lanes=torch.arange(rows),
        root_hidden=hidden[torch.arange(rows), counts - 1].detach(), coordinates=counts.clone(), **options,
    )  # fmt: skip


@torch.no_grad()
def alone(scoring: ClosedSetScorer, backend: Any, sequences: list[list[int]]) -> Tensor:
    """Each candidate through plain ``extend``, normalised over the tokens the tree allows."""
    tree, state, rows = scoring.tree, scoring.state, len(scoring.lanes)
    base = state.lengths.clone()
    scores = torch.zeros(rows, len(sequences), dtype=torch.float64)
    for number, sequence in enumerate(sequences):
        ids = torch.tensor(sequence[:-1]).expand(rows, -1)
        places = (scoring.coordinates[:, None] + torch.arange(len(sequence) - 1))[..., None].expand(-1, -1, 3)
        states = scoring.root_hidden[:, None]
        if len(sequence) > 1:
            counts = torch.full((rows,), len(sequence) - 1)
            states = torch.cat([states, backend.extend(state, backend.embed_ids(ids), places, counts)], 1)
            state.truncate(base)
        for step, (node, token) in enumerate(zip(tree.path(number)[:-1], sequence, strict=True)):
            allowed = [int(tree.token[child]) for child in tree.children(node)]
            log_probs = (states[:, step] @ backend.token_weight()[allowed].T).log_softmax(-1)
            scores[:, number] += log_probs[:, allowed.index(token)]
    return scores


@pytest.mark.parametrize("max_nodes", [4096, 50])
def test_full_scoring_equals_each_candidate_alone(make_backend: Any, make_memory: Any, max_nodes: int) -> None:
    backend, sequences = make_backend(), thousand_candidates()
    scoring = scorer(backend, make_memory([4, 1, 6]), PrefixTree.build(sequences), max_nodes=max_nodes)
    scores = scoring.score_all()
    expected = alone(scoring, backend, sequences)
    assert torch.allclose(scores.double(), expected, atol=1e-5)
    assert torch.allclose(scores.exp().sum(1), torch.ones(3), atol=1e-4)


def test_only_nodes_that_lead_to_a_choice_are_run(make_backend: Any, make_memory: Any) -> None:
    sequences = [[4, 10, 11, 12, END], [5, 10, 11, 12, END], [6, 7, 8, END], [6, 7, 9, 10, 11, END]]
    scoring = scorer(make_backend(), make_memory([3, 3]), PrefixTree.build(sequences))
    scoring.score_all()
    assert scoring.num_nodes_run == 2 * 2  # nodes 6 and 6 7, in two rows
    single = scorer(make_backend(), make_memory([3]), PrefixTree.build([[4, 5, 6, END]]))
    assert single.score_all().tolist() == [[0.0]]
    assert single.best(3) == [[(0, 0.0)]]
    assert single.num_nodes_run == 0


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_best_first_equals_full_scoring(make_backend: Any, make_memory: Any, n: int) -> None:
    backend, sequences = make_backend(seed=3), thousand_candidates(seed=1)
    scoring = scorer(backend, make_memory([2, 5, 3, 0]), PrefixTree.build(sequences))
    full = scoring.score_all()
    run_by_full = scoring.num_nodes_run
    found = scoring.best(n)
    for row, scored in enumerate(found):
        assert [entry.candidate for entry in scored] == full[row].argsort(descending=True, stable=True)[:n].tolist()
        assert np.allclose([entry.log_probability for entry in scored], full[row].sort(descending=True).values[:n], atol=1e-5)
    if n == 1:
        assert scoring.num_nodes_run - run_by_full < run_by_full / 5


def thousand_names() -> list[list[int]]:
    """Three words each, ten of them at every place."""
    return [[4 + first, 14 + second, 24 + third, END] for first in range(10) for second in range(10) for third in range(10)]


@pytest.mark.parametrize(("sharpness", "calls", "nodes"), [(0.1, 2, 110), (30.0, 2, 2)])
def test_an_undecided_model_runs_whole_levels_and_a_decided_one_its_way(
    make_backend: Any, make_memory: Any, monkeypatch: pytest.MonkeyPatch, sharpness: float, calls: int, nodes: int
) -> None:
    """However many names there are: no more calls than words before the last choice, no more nodes than the tree has."""
    monkeypatch.setattr("ofa_models.generation.closed._CALL_NODES", 1 << 20)
    backend, rows = make_backend(seed=2, sharpness=sharpness), 6
    scoring = scorer(backend, make_memory([3] * rows), PrefixTree.build(thousand_names()))
    made: list[int] = []
    run_nodes = backend.extend_nodes
    monkeypatch.setattr(backend, "extend_nodes", lambda *given: made.append(len(given[3])) or run_nodes(*given))
    best = scoring.best(1)
    assert (len(made), sum(made)) == (calls, nodes * rows)
    full = scoring.score_all()
    assert sum(made[calls:]) == 110 * rows
    assert [scored[0].candidate for scored in best] == full.argmax(1).tolist()


@pytest.mark.parametrize("sharpness", [0.1, 3.0])
def test_keys_are_held_of_no_more_nodes_than_asked(make_backend: Any, make_memory: Any, sharpness: float) -> None:
    backend, most = make_backend(seed=4, sharpness=sharpness), 24
    scoring = scorer(backend, make_memory([3, 5]), PrefixTree.build(thousand_candidates(seed=2)), max_nodes=most)
    held: list[int] = []
    run_nodes = backend.extend_nodes
    backend.extend_nodes = lambda *given: held.append(given[-1]) or run_nodes(*given)
    few = scoring.best(3)
    full = scoring.score_all()
    assert max(held) <= most
    assert held.count(0) > 4
    for row, scored in enumerate(few):
        assert [one.candidate for one in scored] == full[row].argsort(descending=True, stable=True)[:3].tolist()


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.integers(4, 9), min_size=1, max_size=4).map(tuple), min_size=1, max_size=25, unique=True),
    st.integers(1, 30), st.integers(1, 9), st.integers(0, 5),
)  # fmt: skip
def test_any_small_set_scores_alike_in_every_way(
    make_backend: Any, make_memory: Any, words: list[tuple[int, ...]], n: int, max_nodes: int, seed: int
) -> None:
    backend, sequences = make_backend(vocabulary_size=12, seed=seed), [[*word, END] for word in words]
    scoring = scorer(backend, make_memory([2, 3]), PrefixTree.build(sequences), max_nodes=max_nodes)
    full = scoring.score_all()
    assert torch.allclose(full.double(), alone(scoring, backend, sequences), atol=1e-5)
    for row, scored in enumerate(scoring.best(n)):
        assert len({entry.candidate for entry in scored}) == len(scored) == min(n, len(sequences))
        assert np.allclose(
            [full[row, entry.candidate] for entry in scored], full[row].sort(descending=True).values[:n], atol=1e-5
        )


def wide_case(dtype: torch.dtype, rows: int = 40) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, PrefixTree]:
    """Rows at a root of 300 children, at narrow nodes and at a node with one child."""
    rng = np.random.default_rng(0)
    sequences = [[token, END] for token in range(10, 310)] + [[5, token, END] for token in range(6, 30)] + [[6, 7, 8, END]]
    tree = PrefixTree.build(sequences)
    nodes, ids = [], []
    for candidate in rng.integers(0, len(sequences), rows):
        path = tree.path(int(candidate))
        step = int(rng.integers(len(path) - 1))
        nodes.append(path[step])
        ids.append(int(tree.token[path[step + 1]]))
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, 16, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(320, 16, generator=generator, dtype=dtype, requires_grad=True)
    return hidden, weight, torch.tensor(nodes), torch.tensor(ids), torch.rand(rows, generator=generator), tree


def plain_losses(hidden: Tensor, weight: Tensor, nodes: Tensor, ids: Tensor, tree: PrefixTree) -> Tensor:
    losses = []
    for row, (node, token) in enumerate(zip(nodes.tolist(), ids.tolist(), strict=True)):
        allowed = [int(tree.token[child]) for child in tree.children(node)]
        losses.append(-(hidden[row] @ weight[allowed].T).log_softmax(-1)[allowed.index(token)])
    return torch.stack(losses)


@pytest.mark.parametrize("chunk_elements", [1 << 22, 700])
def test_the_loss_and_its_gradients_equal_plain_cross_entropy(monkeypatch: pytest.MonkeyPatch, chunk_elements: int) -> None:
    monkeypatch.setattr("ofa_models.closed_set._CHUNK_ELEMENTS", chunk_elements)
    hidden, weight, nodes, ids, scale, tree = wide_case(torch.float64)
    loss, per_row = closed_set_loss(hidden, weight, nodes, ids, scale, tree)
    (loss * 2).backward()
    got = [hidden.grad, weight.grad]
    hidden.grad = weight.grad = None
    expected = plain_losses(hidden, weight, nodes, ids, tree)
    (expected @ scale.double() * 2).backward()
    assert not per_row.requires_grad
    assert torch.allclose(per_row, expected.detach())
    assert torch.allclose(loss, expected @ scale.double())
    for ours, theirs in zip(got, [hidden.grad, weight.grad], strict=True):
        assert ours is not None
        assert theirs is not None
        assert torch.allclose(ours, theirs)


def test_the_loss_takes_states_in_bfloat16_beside_float32_weights() -> None:
    hidden, weight, nodes, ids, scale, tree = wide_case(torch.float32)
    low = hidden.detach().bfloat16().requires_grad_()
    loss, per_row = closed_set_loss(low, weight, nodes, ids, scale, tree)
    loss.backward()
    assert per_row.dtype == torch.float32
    assert low.grad is not None
    assert low.grad.dtype == torch.bfloat16
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    assert torch.allclose(per_row, plain_losses(hidden, weight, nodes, ids, tree).detach(), atol=0.1)


def test_the_loss_of_an_answer_is_minus_its_score(make_backend: Any, make_memory: Any) -> None:
    backend, sequences = make_backend(), thousand_candidates(number=50)
    tree = PrefixTree.build(sequences)
    scoring = scorer(backend, make_memory([3]), tree)
    ids, path = sequences[17], tree.path(17)
    places = (scoring.coordinates[:, None] + torch.arange(len(ids) - 1))[..., None].expand(-1, -1, 3)
    states = backend.extend(scoring.state, backend.embed_ids(torch.tensor([ids[:-1]])), places, torch.tensor([len(ids) - 1]))
    scoring.state.truncate(scoring.state.lengths - (len(ids) - 1))
    hidden = torch.cat([scoring.root_hidden[:, None], states], 1)[0]
    loss, _ = closed_set_loss(
        hidden, backend.token_weight(), torch.tensor(path[:-1]), torch.tensor(ids), torch.ones(len(ids)), tree
    )
    assert loss.item() == pytest.approx(-scoring.score_all()[0, 17].item(), abs=1e-5)


def test_an_id_that_does_not_follow_its_node_is_an_error() -> None:
    hidden, weight, nodes, ids, scale, tree = wide_case(torch.float32)
    ids[7] = 319
    with pytest.raises(ValueError, match="token 319 does not follow its node"):
        closed_set_loss(hidden, weight, nodes, ids, scale, tree)
