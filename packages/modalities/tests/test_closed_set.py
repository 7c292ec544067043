from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import (
    PrefixTree,
    SampleError,
    check_candidates,
    closed_set_plan,
    collect_candidates,
    read_closed_set,
    write_closed_set,
)
from ofa_modalities.program import walk_tree

WORDS = st.lists(st.lists(st.integers(10, 14), max_size=5), min_size=1, max_size=30)


@given(WORDS)
def test_a_tree_spells_every_candidate_and_no_other(words: list[list[int]]) -> None:
    sequences = [(*word, 3) for word in dict.fromkeys(map(tuple, words))]
    tree = PrefixTree.build(sequences)
    for number, sequence in enumerate(sequences):
        path = tree.path(number)
        assert tuple(tree.token[path[1:]]) == sequence
        assert tree.candidate[path[-1]] == number
        nodes, branching = walk_tree(tree, np.array(sequence))
        assert nodes.tolist() == path[:-1]
        assert branching.tolist() == [float(len(tree.children(node)) > 1) for node in path[:-1]]
    assert tree.num_nodes == 1 + len({sequence[:end] for sequence in sequences for end in range(1, len(sequence) + 1)})
    for node in range(tree.num_nodes):
        children = tree.children(node)
        assert (tree.parent[list(children)] == node).all()
        assert list(tree.token[list(children)]) == sorted(tree.token[list(children)])


@pytest.mark.parametrize("sequences", [[(1, 2), (1, 2)], [(1,), (1, 2)], [(1, 2), (1,)], [()]])
def test_a_tree_refuses_what_has_no_leaf_of_its_own(sequences: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="candidate"):
        PrefixTree.build(sequences)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20))
def test_files_keep_candidates(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    candidates = collect_candidates(values)
    if not candidates:
        return
    path = tmp_path_factory.mktemp("sets") / "label.json"
    write_closed_set(path, candidates)
    assert read_closed_set(path, closed_set_plan("label", candidates)) == candidates


def test_files_that_are_no_sets_or_another_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_closed_set(path, ("x", "y"))
    with pytest.raises(ValueError, match="the closed set `label` of the plan has 1 candidates"):
        read_closed_set(path, closed_set_plan("label", ("x",)))
    for text, said in (("{", "not JSON"), ('{"a": 1}', "not a list"), ("[]", "no candidates"), ('["a", ""]', "candidate 1")):
        path.write_text(text)
        with pytest.raises(ValueError, match=said):
            read_closed_set(path)
    lines = tmp_path / "a.txt"
    lines.write_text("yes\n\nno\nyes\n")
    assert read_closed_set(lines) == ("yes", "no")
    with pytest.raises(ValueError, match="not one text"):
        check_candidates("yes", "a")


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    sets = {"a": ("cat", "cat on the mat", "Dog", "dog", "the cat"), "one": ("cat",)}
    return make_run(
        {"vqa": "[TEXT:q] -> [TEXT:a,closed_set,uncased]", "sure": "[TEXT:q] -> [TEXT:a,closed_set=one]"},
        {"vqa": sets, "sure": sets},
    )


def test_candidates_of_equal_tokens_are_one_spelled_as_the_first(run: Any) -> None:
    line = run.encoder.line("vqa", run.tasks[0].instructions[0].target[0])
    rule = run.encoder.rule(line)
    assert rule.answers == ("cat", "cat on the mat", "Dog", "the cat")
    assert len(rule.tree.leaf) == 4
    assert run.encoder.slots[line].tree is rule.tree
    ids = run.encode("vqa", {"q": "?", "a": " DOG "}).target[0].labels
    assert run.encoder.decode(line, ids[:-1]) == "Dog"


def test_a_candidate_may_be_a_prefix_of_another(run: Any) -> None:
    short, long = (run.encode("vqa", {"q": "?", "a": answer}).target[0] for answer in ("cat", "cat on the mat"))
    assert short.labels[-1] == long.labels[-1] == run.vocabulary.id("end")
    assert np.array_equal(short.labels[:-1], long.labels[: len(short.labels) - 1])
    assert short.nodes[-1] == long.nodes[len(short.nodes) - 1]
    assert short.weights[-1] == 1


def test_positions_without_a_choice_carry_no_loss(run: Any) -> None:
    example = run.encode("sure", {"q": "?", "a": "cat"})
    assert example.target[0].weights.sum() == 0
    assert len(run.encoder.pack([example]).token_labels.ids) == 0


def test_a_label_outside_the_set_names_near_ones(run: Any) -> None:
    with pytest.raises(SampleError, match=r"'the cta' is not among the 4 candidates; did you mean 'the cat'"):
        run.encode("vqa", {"q": "?", "a": "the cta"})


def test_a_set_that_is_not_there_is_an_error(make_run: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="no closed set `a`; the task has `b`"):
        make_run({"t": "[TEXT:q] -> [TEXT:a,closed_set]"}, {"t": {"b": ("x",)}})
    with pytest.raises(ValueError, match="max_length=1"):
        make_run({"t": "[TEXT:q] -> [TEXT:a,closed_set,max_length=1]"}, {"t": {"a": ("zebra xylophone", "x")}})
