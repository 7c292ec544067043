"""The walk: framing as in training, strategies, constraints, repeats, several slots, frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_modalities.prefix_tree import PrefixTree
from ofa_modalities.processor import TokenRule
from ofa_modalities.segment import EncodedSegment
from ofa_models.generation import Controls, RowAnswer, generate
from ofa_models.generation.scores import Choices
from ofa_models.generation.steps import FixedStep, ForcedStep, FrameStep, RepeatStep, Step, TokenStep, repeat_numbers
from ofa_models.plans import GenerationOptions
from torch import Tensor

END, NEXT, CHOOSE, BEGIN = 3, 4, 5, 6
CONTROLS = Controls(end=END, next=NEXT, choose=CHOOSE)
TEXT = np.arange(10, 30)
BINS = np.arange(30, 40)
CANDIDATES = [[10, 11, END], [10, END], [12, 13, 14, END], [12, 13, 15, END], [16, END]]


def text(slot: int, max_length: int = 6, begin: int = BEGIN) -> TokenStep:
    return TokenStep(slot=slot, begin=begin, rule=TokenRule(blocks=("text",)), allowed=TEXT, max_length=max_length)


def bins(slot: int) -> TokenStep:
    return TokenStep(slot=slot, begin=7, rule=TokenRule(blocks=("bin",), length=4), allowed=BINS, max_length=256)


def grid(slot: int, *shape: int) -> TokenStep:
    rule = TokenRule(blocks=("bin",), length=math.prod(shape), shape=shape)
    return TokenStep(slot=slot, begin=8, rule=rule, allowed=BINS, max_length=256)


def closed(slot: int) -> TokenStep:
    tree = PrefixTree.build(CANDIDATES)
    return TokenStep(slot=slot, begin=BEGIN, rule=TokenRule(blocks=("text",), tree=tree), allowed=TEXT, max_length=256)


def forced_ids(slot: int, *ids: int) -> EncodedSegment:
    units = np.array(ids, np.int64)
    return EncodedSegment(slot=slot, adaptor="text", units=units, shape=units.shape, layout=units.shape)


def run(
    backend: Any, memory: Any, steps: tuple[Step, ...], forced: Any = None, keys: Any = None, **options: Any
) -> list[RowAnswer]:
    rows = len(memory.lengths)
    return generate(
        backend, memory, steps, controls=CONTROLS, options=GenerationOptions(**options),
        forced=forced or [{}] * rows, row_keys=keys or list(range(rows)),
    )  # fmt: skip


def transcript(
    backend: Any, steps: tuple[Step, ...], answer: RowAnswer, forced: Any
) -> tuple[Tensor, Tensor, list[tuple[int, list[int], int]], list[tuple[int, np.ndarray, float]]]:
    """One row's target side as training frames it, written anew.

    Returns embedded tokens, coordinates, (position, allowed ids, label) and (position, frame, stop).
    """
    embedded: list[Tensor] = []
    places: list[tuple[int, ...]] = []
    labels: list[tuple[int, list[int], int]] = []
    frames: list[tuple[int, np.ndarray, float]] = []
    numbers = repeat_numbers(steps)

    def stand(shape: tuple[int, ...]) -> None:
        start = max(map(max, places), default=-1) + 1
        cells = product(*map(range, shape))
        filled = [(*(0,) * (3 - len(cell)), *cell) if len(shape) > 1 else cell * 3 for cell in cells]
        places.extend(tuple(start + part for part in cell) for cell in filled)

    def put(ids: list[int], shape: tuple[int, ...] | None = None) -> None:
        embedded.extend(backend.embed_ids(torch.tensor(ids, dtype=torch.int64)))
        stand(shape or (len(ids),))

    def walk(inside: tuple[Step, ...], path: tuple[int, ...]) -> None:
        for step in inside:
            match step:
                case FixedStep(ids=ids):
                    put(list(ids))
                case ForcedStep(slot=slot):
                    put(forced[slot, path].units.tolist())
                case TokenStep():
                    best = answer.slots[step.slot, path][0]
                    units = best.units.tolist()
                    wanted = units if step.rule.length or not best.finished else [*units, END]
                    for place, token in enumerate(wanted):
                        allowed = step.allowed.tolist() + ([] if step.rule.length else [END])
                        if step.rule.tree is not None:
                            tree = step.rule.tree
                            node = tree.path(best.candidate)[place]
                            allowed = [int(tree.token[child]) for child in tree.children(node)]
                        labels.append((len(embedded) + place, allowed, token))
                    put([step.begin, *(units[:-1] if step.rule.length else units)], step.rule.shape)
                case FrameStep():
                    best = answer.slots[step.slot, path][0]
                    for place, frame in enumerate(best.units):
                        frames.append((len(embedded) + place, frame, float(place + 1 == len(best.units) and best.finished)))
                    embedded.append(backend.begin_vector(step.adaptor))
                    if len(best.units) > 1:
                        embedded.extend(backend.embed_frames(step.adaptor, torch.from_numpy(best.units[:-1])))
                    stand((len(best.units),))
                case RepeatStep(body=body):
                    count = answer.counts[numbers[id(step)], path]
                    for item in range(count + 1):
                        labels.append((len(embedded), [NEXT, END], NEXT if item < count else END))
                        put([CHOOSE])
                        if item < count:
                            walk(body, (*path, item))

    walk(steps, ())
    return torch.stack(embedded), torch.tensor(places), labels, frames


MIXED: tuple[Step, ...] = (
    FixedStep(ids=(20, 21)), text(0), ForcedStep(slot=1), bins(2), grid(8, 2, 3), closed(3), FixedStep(ids=(22,)),
    RepeatStep(body=(bins(4), FixedStep(ids=(23,)), grid(9, 2, 1, 2), text(5, 3))),
    FrameStep(slot=6, adaptor="series", max_frames=5, stop_threshold=0.5), text(7),
)  # fmt: skip


def rows_of(memory: Any) -> list[Tensor]:
    return list(memory.states.split(memory.lengths.tolist()))


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_cached_generation_equals_the_uncached_teacher_forced_decoder(
    make_backend: Any, make_memory: Any, seed: int, strategy: str
) -> None:
    backend, memory = make_backend(seed=seed), make_memory([3, 1, 5, 2])
    forced = [{(1, ()): forced_ids(1, 7, *range(30, 31 + row))} for row in range(4)]
    answers = run(backend, memory, MIXED, forced, strategy=strategy, num_beams=1, max_items=3)
    for answer, own, source in zip(answers, forced, rows_of(memory), strict=True):
        embedded, coordinates, labels, frames = transcript(backend, MIXED, answer, own)
        hidden = backend.decode_dense(embedded, coordinates, source)
        total = 0.0
        for position, allowed, label in labels:
            log_probs = (hidden[position] @ backend.token_weight()[allowed].T).log_softmax(-1)
            free = not (allowed == [NEXT, END] and label == END and answer.counts[0, ()] == 3)
            exact = set(allowed) - {END} <= set(TEXT.tolist()) and len(allowed) < len(TEXT)  # a closed set is not greedy
            if free and not exact:
                assert allowed[int(log_probs.argmax())] == label
            if free:
                total += float(log_probs[allowed.index(label)])
        for position, frame, stop in frames:
            output = backend.read_frames("series", hidden[position][None])
            assert np.allclose(output.frames[0], frame, atol=1e-5)
            assert bool(output.stop_logits[0] >= 0) == bool(stop)
        stops = sum(hypotheses[0].log_probability for (slot, _), hypotheses in answer.slots.items() if slot == 6)
        assert answer.log_probability - stops == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("options", [{"strategy": "beam", "num_beams": 3}, {"strategy": "sample", "num_return": 3}])
@torch.no_grad()
def test_what_a_search_finds_in_a_grid_is_worth_what_the_teacher_forced_decoder_says(
    make_backend: Any, make_memory: Any, options: dict[str, Any]
) -> None:
    steps: tuple[Step, ...] = (text(0), grid(1, 2, 3), FixedStep(ids=(20,)), grid(2, 2, 2, 1), bins(3))
    backend, memory = make_backend(seed=5), make_memory([3, 2])
    for answer, source in zip(run(backend, memory, steps, **options), rows_of(memory), strict=True):
        embedded, coordinates, labels, _ = transcript(backend, steps, answer, {})
        hidden = backend.decode_dense(embedded, coordinates, source)
        scores = [
            float((hidden[place] @ backend.token_weight()[allowed].T).log_softmax(-1)[allowed.index(label)])
            for place, allowed, label in labels
        ]
        assert answer.log_probability == pytest.approx(sum(scores), abs=1e-6)


def test_what_else_is_in_the_batch_does_not_matter(make_backend: Any, make_memory: Any) -> None:
    backend, memory = make_backend(seed=1), make_memory([3, 1, 5, 2])
    forced = [{(1, ()): forced_ids(1, 7, *range(30, 31 + row))} for row in range(4)]
    for options in ({"strategy": "greedy"}, {"strategy": "beam", "num_beams": 3}, {"strategy": "sample", "num_return": 2}):
        together = run(backend, memory, MIXED, forced, **options, max_items=2)
        for row, source in enumerate(rows_of(memory)):
            single = type(memory)(states=source, lengths=memory.lengths[row : row + 1])
            (alone,) = run(backend, single, MIXED, forced[row : row + 1], [row], **options, max_items=2)
            assert alone.counts == together[row].counts
            for key, hypotheses in alone.slots.items():
                others = together[row].slots[key]
                assert len(others) == len(hypotheses)
                assert all(np.allclose(a.units, b.units) for a, b in zip(hypotheses, others, strict=True))


def flat(answer: RowAnswer) -> dict[Any, list[Any]]:
    return {key: [one.units.tolist() for one in hypotheses] for key, hypotheses in answer.slots.items()}


@pytest.mark.parametrize("options", [{}, {"repetition_penalty": 1.3}, {"min_length": 4, "no_repeat_ngram_size": 2}])
def test_a_beam_of_one_is_greedy(make_backend: Any, make_memory: Any, options: dict[str, Any]) -> None:
    for seed in range(8):
        backend, memory = make_backend(seed=seed), make_memory([2, 4, 3])
        steps = (text(0, 9), bins(1), text(2, 9))
        assert [flat(a) for a in run(backend, memory, steps, strategy="beam", num_beams=1, **options)] == [
            flat(a) for a in run(backend, memory, steps, **options)
        ]


def every_answer(backend: Any, source: Tensor, step: TokenStep) -> Iterator[tuple[float, list[int]]]:
    """All answers of a slot with their log-probabilities, by brute force."""

    def grow(units: list[int], total: float) -> Iterator[tuple[float, list[int]]]:
        inputs = torch.tensor([step.begin, *units])
        hidden = backend.decode_dense(backend.embed_ids(inputs), torch.arange(len(inputs))[:, None].expand(-1, 3), source)
        allowed = [*step.allowed.tolist(), END]
        log_probs = (hidden[-1] @ backend.token_weight()[allowed].T).log_softmax(-1).tolist()
        for token, log_prob in zip(allowed, log_probs, strict=True):
            if token == END:
                yield total + log_prob, units
            elif len(units) + 1 == step.max_length:
                yield total + log_prob, [*units, token]
            else:
                yield from grow([*units, token], total + log_prob)

    yield from grow([], 0.0)


@torch.no_grad()
def test_wide_beams_find_the_best_answers_of_all(make_backend: Any, make_memory: Any) -> None:
    backend, memory = make_backend(seed=5, sharpness=2.0), make_memory([3, 2])
    step = TokenStep(slot=0, begin=BEGIN, rule=TokenRule(blocks=("text",)), allowed=TEXT[:4], max_length=3)
    answers = run(backend, memory, (step,), strategy="beam", num_beams=100, num_return=6, length_penalty=0.0)
    for answer, source in zip(answers, rows_of(memory), strict=True):
        expected = sorted(every_answer(backend, source, step), reverse=True)[:6]
        found = answer.slots[0, ()]
        assert [one.units.tolist() for one in found] == [units for _, units in expected]
        assert np.allclose([one.log_probability for one in found], [total for total, _ in expected], atol=1e-6)


@pytest.mark.parametrize("strategy", ["beam", "sample"])
def test_n_best_answers_are_sorted_and_distinct(make_backend: Any, make_memory: Any, strategy: str) -> None:
    backend, memory = make_backend(seed=2, sharpness=1.0), make_memory([2, 4, 3])
    for answer in run(backend, memory, (text(0), closed(1), text(2)), strategy=strategy, num_return=4, temperature=2.0):
        for hypotheses in answer.slots.values():
            assert [one.score for one in hypotheses] == sorted((one.score for one in hypotheses), reverse=True)
            assert len({one.units.tobytes() for one in hypotheses}) == len(hypotheses) <= 4
            assert strategy == "sample" or len(hypotheses) == 4


def test_greedy_gives_the_n_best_of_a_closed_set(make_backend: Any, make_memory: Any) -> None:
    (answer,) = run(make_backend(), make_memory([2]), (closed(0), text(1)), num_return=10)
    assert len(answer.slots[0, ()]) == 5
    assert sum(np.exp(one.log_probability) for one in answer.slots[0, ()]) == pytest.approx(1, abs=1e-5)
    assert {one.candidate for one in answer.slots[0, ()]} == set(range(5))
    assert len(answer.slots[1, ()]) == 1


def test_samples_follow_seed_and_row_and_nothing_else(make_backend: Any, make_memory: Any) -> None:
    backend, memory = make_backend(sharpness=1.0), make_memory([2, 2])
    steps = (text(0, 12),)
    first = [flat(a) for a in run(backend, memory, steps, strategy="sample", seed=1, keys=[7, 8])]
    assert first == [flat(a) for a in run(backend, memory, steps, strategy="sample", seed=1, keys=[7, 8])]
    assert first != [flat(a) for a in run(backend, memory, steps, strategy="sample", seed=2, keys=[7, 8])]
    assert first != [flat(a) for a in run(backend, memory, steps, strategy="sample", seed=1, keys=[9, 10])]


def test_samples_come_as_often_as_the_model_says(make_backend: Any, make_memory: Any) -> None:
    backend, memory = make_backend(seed=4, sharpness=1.5), make_memory([2])
    many = type(memory)(states=memory.states.repeat(400, 1), lengths=memory.lengths.repeat(400))
    exact = {
        one.candidate: np.exp(one.log_probability) for one in run(backend, memory, (closed(0),), num_return=5)[0].slots[0, ()]
    }
    drawn = [a.slots[0, ()][0].candidate for a in run(backend, many, (closed(0),), strategy="sample", keys=list(range(400)))]
    for candidate, probability in exact.items():
        assert drawn.count(candidate) / 400 == pytest.approx(
            probability, abs=4 * np.sqrt(probability * (1 - probability) / 400) + 0.005
        )


def test_top_k_of_one_is_greedy(make_backend: Any, make_memory: Any) -> None:
    backend, memory = make_backend(seed=3), make_memory([2, 4])
    greedy = run(backend, memory, (text(0, 9),))
    assert [flat(a) for a in run(backend, memory, (text(0, 9),), strategy="sample", top_k=1)] == [flat(a) for a in greedy]


def test_processors_hold_inside_open_slots(make_backend: Any, make_memory: Any) -> None:
    backend, memory = make_backend(seed=6, sharpness=4.0), make_memory([2, 4, 1, 3, 6])
    plain = [a.slots[0, ()][0].units.tolist() for a in run(backend, memory, (text(0, 20),))]
    assert any(len(set(units)) < len(units) or len(units) < 8 for units in plain)
    for strategy in ("greedy", "beam", "sample"):
        steps = (text(0, 12), bins(1))
        for answer in run(backend, memory, steps, strategy=strategy, no_repeat_ngram_size=1, min_length=8):
            units = answer.slots[0, ()][0].units.tolist()
            assert len(set(units)) == len(units) >= 8
            assert len(answer.slots[1, ()][0].units) == 4


RULES = st.sampled_from(["text", "bins", "closed"])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(RULES, st.booleans()), min_size=1, max_size=3), st.integers(0, 10_000),
    st.sampled_from(["greedy", "beam", "sample"]), st.integers(1, 3), st.integers(0, 3), st.integers(1, 5),
)  # fmt: skip
def test_constraints_are_never_violated(
    make_backend: Any, make_memory: Any, shape: list[tuple[str, bool]], seed: int, strategy: str, n: int, items: int, longest: int
) -> None:
    steps: list[Step] = []
    for slot, (rule, repeated) in enumerate(shape):
        step = {"text": text(slot, longest), "bins": bins(slot), "closed": closed(slot)}[rule]
        steps.append(RepeatStep(body=(step,)) if repeated else step)
    backend = make_backend(seed=seed, sharpness=0.5 + seed % 7)
    answers = run(
        backend,
        make_memory([2, 0, 3]),
        tuple(steps),
        strategy=strategy,
        num_beams=2,
        num_return=n,
        max_items=items,
        temperature=1.5,
    )
    for answer in answers:
        for (slot, path), hypotheses in answer.slots.items():
            rule, repeated = shape[slot]
            assert len(path) == int(repeated)
            for one in hypotheses:
                units = one.units.tolist()
                if rule == "text":
                    assert set(units) <= set(TEXT.tolist())
                    assert len(units) <= longest
                    assert one.finished or len(units) == longest
                elif rule == "bins":
                    assert len(units) == 4
                    assert set(units) <= set(BINS.tolist())
                else:
                    assert [*units, END] == CANDIDATES[one.candidate]
        assert all(count <= items for count in answer.counts.values())


@pytest.mark.parametrize("strategy", ["greedy", "beam", "sample"])
def test_what_a_slot_may_answer_is_put_together_once(
    make_backend: Any, make_memory: Any, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setattr("ofa_models.generation.engine.choose", lambda scores, draws: [0] * len(scores))
    made: list[Choices] = []

    class Counted(Choices):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr("ofa_models.generation.tokens.Choices", Counted)
    steps = (RepeatStep(body=(bins(0), text(1, 3))), text(2, 4))
    (answer,) = run(make_backend(), make_memory([2]), steps, strategy=strategy, max_items=3, no_repeat_ngram_size=1)
    assert answer.counts[0, ()] == 3
    allowed = [len(choices.tokens) - (0 if choices.gaps is None else len(choices.gaps)) for choices in made]
    assert list(zip(allowed, [len(choices.processors) for choices in made], strict=True)) == [(10, 0), (21, 1), (21, 1)]


def test_repeats_nest_and_keep_their_counts(make_backend: Any, make_memory: Any) -> None:
    steps = (RepeatStep(body=(bins(0), RepeatStep(body=(text(1, 2),)))), text(2))
    seen = set()
    for seed in range(12):
        for answer in run(make_backend(seed=seed, sharpness=2.0), make_memory([2, 3]), steps, max_items=3):
            outer = answer.counts[0, ()]
            seen.add(outer)
            assert {path for slot, path in answer.slots if slot == 0} == {(item,) for item in range(outer)}
            inner = {(item, place) for item in range(outer) for place in range(answer.counts[1, (item,)])}
            assert {path for slot, path in answer.slots if slot == 1} == inner
            assert (2, ()) in answer.slots
    assert len(seen) > 2


def test_a_repeat_around_a_forced_slot_has_as_many_items_as_it(make_backend: Any, make_memory: Any) -> None:
    steps = (RepeatStep(body=(ForcedStep(slot=0), text(1, 2))), text(2))
    forced = [{(0, (item,)): forced_ids(0, 7, 30 + item) for item in range(count)} for count in (2, 0, 5)]
    answers = run(make_backend(), make_memory([2, 3, 1]), steps, forced, max_items=1)
    assert [answer.counts[0, ()] for answer in answers] == [2, 0, 5]
    assert [sum(slot == 1 for slot, _ in answer.slots) for answer in answers] == [2, 0, 5]


def test_repeats_stop_where_the_cache_is_full(make_backend: Any, make_memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ofa_models.generation.engine.MAX_CAPACITY", 30)
    monkeypatch.setattr("ofa_models.generation.engine.choose", lambda scores, draws: [0] * len(scores))
    steps = (RepeatStep(body=(bins(0), text(1, 3))), text(2, 4))
    (answer,) = run(make_backend(), make_memory([2]), steps, max_items=1000)
    assert answer.counts[0, ()] == 2
    assert (2, ()) in answer.slots


def test_frames_are_refined_once_finished_and_fed_back_as_they_were(make_backend: Any, make_memory: Any) -> None:
    backend, calls = make_backend(), []
    steps = (FrameStep(slot=0, adaptor="audio_frames", max_frames=6, stop_threshold=0.7),)
    plain = [answer.slots[0, ()][0] for answer in run(backend, make_memory([2, 4, 3]), steps)]

    def refine(frames: Tensor, counts: Tensor) -> Tensor:
        calls.append(counts.tolist())
        return frames * 2 + torch.arange(len(counts)).repeat_interleave(counts)[:, None]

    backend.refine = refine
    refined = [answer.slots[0, ()][0] for answer in run(backend, make_memory([2, 4, 3]), steps)]
    assert calls == [[len(answer.units) for answer in plain]]
    for number, (before, after) in enumerate(zip(plain, refined, strict=True)):
        assert before.log_probability == after.log_probability
        np.testing.assert_allclose(after.units, before.units * 2 + number, rtol=1e-6)


def test_lanes_outside_a_search_are_not_run(make_backend: Any, make_memory: Any) -> None:
    backend, memory = make_backend(), make_memory([2])
    run(backend, memory, (FixedStep(ids=tuple(range(10, 30))), closed(0)), strategy="beam", num_beams=8)
    assert backend.num_tokens_run < 21 + 8
