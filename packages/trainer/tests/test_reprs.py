"""What a notebook shows of an object is two lines, whatever the object holds."""

from __future__ import annotations

import pytest
from ofa_modalities.batch import PackedBatch
from ofa_modalities.struct.output import Table
from ofa_models import GeneralistModel
from ofa_models.plans import GenerationOptions
from ofa_trainer import EvaluatePlan, RunFile, Task, Trained, Trainer
from ofa_trainer.trainer import validation_batches
from trainer_rows import text_rows

CLASSES = [f"a_class_with_a_long_name_{number}" for number in range(300)]
LINES = {f"task_{number}": f"what is task {number} of [TEXT:text] ? -> [TEXT:has,closed_set]" for number in range(12)}


@pytest.fixture(scope="module")
def trained() -> Trained:
    rows = text_rows(30)
    sets = {"has": ["yes", "no", *CLASSES]}
    tasks = [Task(name, line, train=rows, valid=0.1, closed_sets=sets) for name, line in LINES.items()]
    return Trainer(steps=2, batch_tokens=256, tokenizer_size=300, valid_rows=2, valid_metrics=False).fit("nano", tasks)


def test_objects_are_told_in_two_lines(trained: Trained) -> None:
    session, prepared = trained.session(), trained.prepared
    evaluation = trained.evaluate("valid")
    batch = validation_batches(prepared, Trainer().options)[0]
    assert isinstance(batch, PackedBatch)
    shown = [
        GeneralistModel("nano"),
        Trainer(steps=3),
        trained,
        prepared,
        prepared.tasks[0],
        prepared.plans[0],
        prepared.plans[0].instructions[0].slots[0],
        prepared.model_plan,
        prepared.train_plan,
        prepared.vocabulary,
        prepared.encoder,
        prepared.mixture,
        batch,
        session,
        session.checkpoint,
        session.checkpoint.plan,
        session.resolve("task_3"),
        session.resolve("task_3").program,
        session("task_3", text="a cat"),
        evaluation,
        evaluation.tasks["task_1"],
        evaluation.tasks["task_1"].metrics["has/accuracy"],
        GenerationOptions(num_beams=3),
        EvaluatePlan(),
        RunFile.model_validate({"tasks": {name: {"instruction": line, "train": "x.csv"} for name, line in LINES.items()}}),
        Table(columns=tuple(CLASSES), rows=((1,) * len(CLASSES),) * 50),
    ]
    for one in shown:
        for text in (repr(one), str(one) if not isinstance(one, Table) else ""):
            assert len(text) <= 190, text
            assert "\n" not in text
            assert " object at 0x" not in text


def test_what_is_told_is_what_matters(trained: Trained) -> None:
    assert repr(Trainer(steps=3)) == "Trainer(steps=3)"
    assert repr(GenerationOptions(num_beams=3)) == "GenerationOptions(num_beams=3)"
    assert repr(trained).startswith("Trained(nano, step 2 of 2, done; ")
    assert repr(trained.session()).startswith("Session(generalist nano, ")
    assert repr(trained.prepared.plans[0].instructions[0]) == f"InstructionPlan({LINES['task_0']!r})"
