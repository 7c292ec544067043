"""Generation with a trained model: the cache changes nothing, a beam of one is greedy, every candidate is scored as if alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from ofa_modalities.processor import Item
from ofa_modalities.program import RepeatStep, SlotStep, TextStep
from ofa_modalities.segment import EncodedSegment, Example
from ofa_models import GenerationOptions, Session
from ofa_models.generation.planning import plan_steps
from torch import Tensor

# V vocabulary, D model width, F unit features

OPEN_TASKS = ("speak", "mirror", "detect", "tell", "recite")


@dataclass
class Uncached:
    """Greedy answers of one row without any cache: for every unit the whole target side is run again from its first token."""

    session: Session
    task: str
    example: Example
    max_items: int
    target: list[EncodedSegment] = field(default_factory=list)
    answers: dict[tuple[int, tuple[int, ...]], list[Any]] = field(default_factory=dict)
    log_probability: float = 0.0

    def __post_init__(self) -> None:
        resolved = self.session.resolve(self.task)
        self.encoder, self.program = resolved.encoder, resolved.program
        self.limits = {step.slot: step for step in _flat(plan_steps(self.encoder, self.program, GenerationOptions()))}
        self.walk(self.program.target, ())

    def state(self, segment: EncodedSegment, at: int) -> Tensor:
        """``[1, D]`` at token ``at`` of ``segment``, behind the target side so far."""
        target = (*self.target, segment)
        count = sum(part.num_tokens for part in target)
        example = Example(
            task=self.example.task, alternative=self.example.alternative, address="", source=self.example.source, target=target,
            num_source_tokens=self.example.num_source_tokens, num_target_tokens=count,
        )  # fmt: skip
        batch, model = self.encoder.pack([example]), self.session.checkpoint.model
        return model.decode(batch, model.encode(batch), torch.tensor([count - segment.num_tokens + at]))

    def choose(self, segment: EncodedSegment, at: int, allowed: list[int]) -> int:
        """The likeliest of the allowed ids behind token ``at`` of ``segment``."""
        weight = self.session.checkpoint.model.token_weight()
        log_probs = (self.state(segment, at) @ weight[allowed].T)[0].log_softmax(-1)
        best = int(log_probs.argmax())
        self.log_probability += float(log_probs[best])
        return allowed[best]

    def walk(self, steps: Any, path: tuple[int, ...]) -> None:
        for step in steps:
            match step:
                case TextStep():
                    self.target.append(step.segment)
                case SlotStep() if step.rule is None:
                    self.frames(step, path)
                case SlotStep():
                    self.ids(step, path)
                case RepeatStep():
                    self.repeat(step, path)

    def ids(self, step: SlotStep, path: tuple[int, ...]) -> None:
        vocabulary, rule = self.session.checkpoint.vocabulary, step.rule
        assert rule is not None
        end = vocabulary.id("end")
        allowed = [index for name in rule.blocks for index in vocabulary.block(name)]
        found: list[int] = []
        longest = rule.length or self.limits[step.slot.index].max_length
        while len(found) < longest:
            # A slot of a fixed length has all its units; what is not known yet lies behind the token that is asked.
            shown = found if rule.length is None else [*found, *[allowed[0]] * (rule.length - len(found))]
            segment = step.segment(Item(units=np.array(shown, np.int64), shape=(len(shown),)))
            chosen = self.choose(segment, len(found), allowed + [end] * (rule.length is None))
            if chosen == end:
                break
            found.append(chosen)
        self.answers[step.slot.index, path] = found
        self.target.append(step.segment(Item(units=np.array(found, np.int64), shape=(len(found),))))

    def frames(self, step: SlotStep, path: tuple[int, ...]) -> None:
        found: list[np.ndarray] = []
        limit = self.limits[step.slot.index]
        zero = np.zeros(1, np.float32)
        while len(found) < limit.max_frames:
            item = Item(units=np.stack([*found, zero]), shape=(len(found) + 1,))
            output = self.session.checkpoint.model.read_frames(step.adaptor, self.state(step.segment(item), len(found)))
            found.append(output.frames[0].numpy())
            stop = float(output.stop_logits[0].sigmoid())
            ends = stop >= limit.stop_threshold
            self.log_probability += float(np.log(stop if ends else 1 - stop))
            if ends:
                break
        self.answers[step.slot.index, path] = found
        self.target.append(step.segment(Item(units=np.stack(found), shape=(len(found),))))

    def repeat(self, step: RepeatStep, path: tuple[int, ...]) -> None:
        vocabulary = self.session.checkpoint.vocabulary
        choices = [vocabulary.id("next"), vocabulary.id("end")]
        for item in range(self.max_items):
            if self.choose(step.opens, 0, choices) == choices[1]:
                break
            self.target.append(step.opens)
            self.walk(step.body, (*path, item))
        self.target.append(step.closes)


def _flat(steps: Any) -> list[Any]:
    """Steps with a slot, those inside repeats included."""
    return [leaf for step in steps for leaf in (_flat(step.body) if hasattr(step, "body") else [step]) if hasattr(leaf, "slot")]


@pytest.fixture(scope="module")
def session(remembered) -> Session:
    """In float64, so that a difference would be one of the algorithm."""
    session = remembered.session()
    session.checkpoint.model.double()
    return session


@pytest.mark.parametrize("task", OPEN_TASKS)
@torch.no_grad()
def test_cached_generation_equals_running_everything_again_for_every_unit(remembered, session, task):
    # Rows that were trained on, and others that the model is unsure about.
    rows = remembered.questions(task)
    rows += {"speak": [{"x": "sideways"}], "tell": [{"topic": "a dog in the sun"}]}.get(task, [])
    options = GenerationOptions(max_items=4)
    resolved = session.resolve(task)
    rng = np.random.default_rng(0)
    examples = [resolved.encoder.encode(task, row, split="infer", rng=rng, with_targets=False) for row in rows]
    cached = session._generate(resolved, examples, plan_steps(resolved.encoder, resolved.program, options), options)
    for example, answer in zip(examples, cached, strict=True):
        expected = Uncached(session, task, example, options.max_items)
        assert answer.slots.keys() == expected.answers.keys()
        for place, units in expected.answers.items():
            found = answer.slots[place][0].units
            assert len(found) == len(units)
            np.testing.assert_allclose(found, np.array(units).reshape(found.shape), atol=1e-5)
        assert answer.log_probability == pytest.approx(expected.log_probability, abs=1e-5)


def test_the_model_is_unsure_somewhere(session):
    """Else the laws here would compare certainties with certainties."""
    assert session("tell", topic="a dog in the sun").probability < 0.9


@pytest.mark.parametrize("task", [*OPEN_TASKS, "name"])
def test_a_beam_of_one_is_greedy(remembered, session, task):
    rows = remembered.questions(task) + {"tell": [{"topic": "a dog in the sun"}]}.get(task, [])
    answers = [
        session.batch(task, rows, generation=GenerationOptions(strategy=strategy, num_beams=1, max_items=4))
        for strategy in ("greedy", "beam")
    ]
    for greedy, beam in zip(*answers, strict=True):
        assert beam.log_probability == pytest.approx(greedy.log_probability, abs=1e-9)
        assert repr(dict(beam)) == repr(dict(greedy))


def test_a_wider_beam_is_never_less_likely_on_what_the_model_knows(remembered, session):
    for row in remembered.questions("tell"):
        greedy = session("tell", row)
        beam = session("tell", row, generation=GenerationOptions(strategy="beam", num_beams=4, length_penalty=0.0))
        assert beam.log_probability >= greedy.log_probability - 1e-9


@torch.no_grad()
def test_a_closed_set_is_scored_as_each_of_a_thousand_candidates_alone(remembered, session):
    (candidates,) = session.checkpoint.closed_sets["name"].values()
    assert len(candidates) == 1000
    assert {"red", "red cat", "red cat house"} <= set(candidates)
    everything = GenerationOptions(num_return=1000)
    for thing in ("a tomcat", "a hut", "something never seen"):
        found = session("name", thing=thing, generation=everything).candidates
        assert sorted(one.value for one in found) == sorted(candidates)
        assert sum(one.probability for one in found) == pytest.approx(1, abs=1e-9)
        assert [one.log_probability for one in found] == sorted((one.log_probability for one in found), reverse=True)
        for best in (1, 7):
            few = session("name", thing=thing, generation=GenerationOptions(num_return=best)).candidates
            assert [one.value for one in few] == [one.value for one in found[:best]]
        scored = dict(found)
        alone = each_alone(session, thing, candidates)
        for name in candidates:
            assert scored[name] == pytest.approx(alone[name], abs=1e-9), name


def each_alone(session: Session, thing: str, candidates: tuple[str, ...]) -> dict[str, float]:
    """Log-probability of each candidate as the whole answer of a row of its own, normalised over what may follow its tokens."""
    encoder, model = session.resolve("name").encoder, session.checkpoint.model
    rng = np.random.default_rng(0)
    examples = [encoder.encode("name", {"thing": thing, "name": name}, split="valid", rng=rng) for name in candidates]
    batch = encoder.pack(examples)
    labels = batch.token_labels
    hidden = model.decode(batch, model.encode(batch), labels.positions)
    rows = torch.searchsorted(batch.target.lengths.cumsum(0), labels.positions, right=True).tolist()
    totals = dict.fromkeys(candidates, 0.0)
    for row, state, label, node, line in zip(
        rows, hidden, labels.ids.tolist(), labels.nodes.tolist(), labels.slots.tolist(), strict=True
    ):
        tree = batch.slots[line].tree
        assert tree is not None
        allowed = [int(tree.token[child]) for child in tree.children(node)]
        totals[candidates[row]] += float((state @ model.token_weight()[allowed].T).log_softmax(-1)[allowed.index(label)])
    return totals


def test_what_was_learnt_is_the_best_of_the_thousand(remembered, session):
    for row in remembered.rows["name"]:
        assert session("name", thing=row["thing"]).label == row["name"]
