"""CATEGORY with a classifier head: learnt, the same packed and alone, and answered exactly as it is scored."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from ofa_models import GenerationOptions, Session
from ofa_models._resolving import SessionError
from ofa_models.zoo import as_backend
from ofa_trainer import Task, Trained, Trainer
from ofa_trainer.criterion import CriterionContext
from ofa_trainer.step import StepLoss

LABELS = ("cat", "dog", "owl", "fox", "bee", "ant", "elk")
TIED = "is it in [TEXT:text] ? -> [CATEGORY:tied]"
HEAD = "what is in [TEXT:text] ? -> [CATEGORY:kind,head=classifier]"
BOTH = "say [TEXT:text] -> [TEXT:again,max_length=8] [CATEGORY:kind,head=classifier]"


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rows() -> list[dict[str, object]]:
    return [{"text": f"the {label} sat here", "again": label, "kind": label, "tied": label} for label in LABELS]


@pytest.fixture(scope="module")
def trained() -> Trained:
    tasks = [
        Task(name, text, train=rows() * 4, valid=False, weight=1.0)
        for name, text in (("head", HEAD), ("tied", TIED), ("both", BOTH))
    ]
    options: dict[str, Any] = {"batch_tokens": 256, "tokenizer_size": 300, "valid_metrics": False, "precision": "float32"}
    return Trainer(steps=45, **options).fit("nano", tasks)


@pytest.fixture(scope="module")
def session(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session.from_pretrained(trained.save(tmp_path_factory.mktemp("category")))


def test_labels_are_learnt_by_a_head_of_their_own(session: Session) -> None:
    plan = session.checkpoint.plan
    (untied,) = plan.model.untied
    block = next(block for block in plan.vocabulary.blocks if block.name.startswith("category:kind"))
    assert untied == (block.start, block.start + block.size)
    for task in ("head", "tied"):
        answers = session.batch(task, [{"text": row["text"]} for row in rows()])
        assert [answer.label for answer in answers] == list(LABELS)


def test_generation_equals_scoring(session: Session) -> None:
    """Softmax over the head's rows at the only asked position, computed by hand from the packed batch."""
    resolved = session.resolve("head")
    examples = [resolved.encoder.encode(resolved.task, row, split="test", rng=_rng(), alternative=0) for row in rows()]
    model: Any = session.checkpoint.model
    model.eval()
    with torch.no_grad():
        batch = resolved.encoder.pack(examples)
        hidden = model.decode(batch, model.encode(batch), batch.token_labels.positions)
        scores = (hidden @ model.classifier.T).log_softmax(-1)
    for row, line in zip(rows(), scores, strict=True):
        top = session("head", text=row["text"]).top(len(LABELS))
        found = {candidate.value: candidate.log_probability for candidate in top}
        assert [found[label] for label in sorted(LABELS)] == pytest.approx(line.tolist(), abs=1e-4)
        assert math.fsum(candidate.probability for candidate in top) == pytest.approx(1, abs=1e-5)


def test_packed_equals_alone(trained: Trained) -> None:
    prepared = trained.prepared
    context = CriterionContext(width=64, vocabulary=prepared.vocabulary.plan)
    loss = StepLoss(prepared.encoder.slots, prepared.catalog, context, {"head": 0.4, "both": 0.4, "tied": 0.2}, seed=0)
    examples = [
        prepared.encoder.encode(name, row, split="train", rng=_rng()) for row in rows() for name in ("head", "both", "tied")
    ]
    found = []
    for parts in ([examples], [[example] for example in examples]):
        trained.model.zero_grad()
        batches = [prepared.encoder.pack(part) for part in parts]
        weights = loss.weigh(batches)
        for batch in batches:
            loss(as_backend(trained.model), batch, weights).loss.backward()
        found.append({name: parameter.grad.clone() for name, parameter in trained.model.named_parameters()})
    together, alone = found
    assert together["classifier"].abs().max() > 1e-4
    for name, gradient in together.items():
        assert torch.allclose(gradient, alone[name], atol=1e-5), name


def test_top_k_asks_again_where_the_answer_holds_one(session: Session) -> None:
    answer = session("head", text="the owl sat here")
    assert len(answer.candidates) == 1
    top = answer.top(3)
    assert top[0].value == "owl"
    assert [candidate.probability for candidate in top] == sorted((c.probability for c in top), reverse=True)
    asked = session("head", text="the owl sat here", generation=GenerationOptions(num_return=3)).candidates
    assert [candidate.value for candidate in top] == [candidate.value for candidate in asked]
    assert len(answer.top(99)) == len(LABELS)
    assert session("both", text="the owl sat here").top(2)[0].value == "owl"
    with pytest.raises(ValueError, match="at least one"):
        answer.top(0)


def test_top_k_says_what_to_ask_where_it_cannot(session: Session) -> None:
    beam = GenerationOptions(strategy="beam")
    with pytest.raises(ValueError, match=r"num_return=3"):
        session("both", text="the owl sat here", generation=beam).top(3)
    sampled = session("head", text="the owl sat here", generation=GenerationOptions(strategy="sample"))
    assert sampled.top(2)[0].value == "owl"
    open_answer = session("say [TEXT:text] -> [TEXT:again,max_length=8]", text="the owl sat here")
    with pytest.raises(ValueError, match=r"1 answers of `again` were found.*num_beams=2, num_return=2"):
        open_answer.top(2)


def test_one_set_has_one_head(session: Session) -> None:
    with pytest.raises(SessionError, match="trained without one"):
        session("in [TEXT:text] -> [CATEGORY:tied,head=classifier]", text="x")
    tasks = [
        Task("a", HEAD, train=rows(), valid=False),
        Task("b", "and [TEXT:text] -> [CATEGORY:kind]", train=rows(), valid=False),
    ]
    with pytest.raises(ValueError, match="give both the same `head`"):
        Trainer(steps=1, tokenizer_size=300).prepare("nano", tasks)
