"""Several labels a row, from one cell of a CSV: with semicolons, as JSON, as Python writes a list."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ofa_trainer import Task, Trained, Trainer

KINDS = {"red": "colour", "dog": "animal", "run": "verb", "cat": "animal", "blue": "colour"}
SPELLINGS = (";".join, " ; ".join, lambda tags: repr(tags), lambda tags: "[" + ", ".join(f'"{tag}"' for tag in tags) + "]")


def write_rows(path: Path, count: int) -> None:
    rng = random.Random(0)
    lines = ["text,tags"]
    for number in range(count):
        words = rng.sample(list(KINDS), rng.randrange(4))
        tags = sorted({KINDS[word] for word in words})
        cell = SPELLINGS[number % len(SPELLINGS)](tags) if tags else "[]"
        quoted = cell.replace('"', '""')
        lines.append(f'{" ".join(words) or "nothing"},"{quoted}"')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module", params=["([CATEGORY:tags])*", "([TEXT:tags,closed_set])*"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    path = tmp_path_factory.mktemp("tags") / "my.csv"
    write_rows(path, 60)
    task = Task("tags", f"[TEXT:text] kinds? -> {request.param}", train=path, test=path, valid=False)
    options = Trainer(steps=120, batch_tokens=512, tokenizer_size=300, valid_metrics=False)
    return options.fit("nano", [task])


@pytest.mark.slow
def test_labels_of_a_cell_are_learnt_and_answered_as_a_list(trained: Trained) -> None:
    assert set(next(iter(trained.prepared.closed_sets["tags"].values()))) == {"colour", "animal", "verb"}
    session = trained.session()
    assert session("tags", text="dog red")["tags"] == ["animal", "colour"]
    assert session("tags", text="nothing")["tags"] == []
    evaluation = trained.evaluate("test")
    assert evaluation.tasks["tags"].rows == 60
    assert evaluation.figures()["tags"]["tags/accuracy"].value > 0.9
    assert evaluation.predictions()[0]["truth"]
