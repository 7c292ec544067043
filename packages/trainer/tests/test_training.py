"""Training: the laws of a step, exact resume, what is written and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from ofa_instruction import OFAWarning
from ofa_models import GeneralistModel, load_checkpoint
from ofa_models.checkpoint import CheckpointError
from ofa_trainer import DataError, Interrupted, NonFiniteLoss, Task, Trained, Trainer, find_checkpoint
from ofa_trainer.checkpointing import saved_steps
from ofa_trainer.reporting import Event, StepDone
from ofa_trainer.step import StepLoss
from torch import Tensor
from trainer_rows import text_rows

FIRST = "what is the first word of [TEXT:text,noise_ratio=0.2] ? -> [TEXT:first]"
HAS = "is there a cat in [TEXT:text] ? -> [TEXT:has,closed_set]"


def tasks(count: int = 60) -> list[Task]:
    return [Task("first", FIRST, train=text_rows(count)), Task("has", HAS, train=text_rows(count, seed=1))]


def trainer(**options: Any) -> Trainer:
    defaults = {"steps": 12, "batch_tokens": 512, "tokenizer_size": 300, "valid_metrics": False, "deterministic": True}
    return Trainer(**(defaults | options))


def test_a_models_own_precision_gives_way_with_a_warning() -> None:
    with pytest.warns(OFAWarning, match="the model's precision `bfloat16` is not used"):
        prepared = trainer(precision="float32").prepare(GeneralistModel("nano", precision="bfloat16"), tasks())
    assert prepared.model_plan.precision == "float32"


def weights(trained: Trained) -> dict[str, Tensor]:
    return dict(trained.model.state_dict())


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("dropout", [0.1])
def test_stopping_and_resuming_equals_a_straight_run(tmp_path: Path, workers: int, dropout: float) -> None:
    model = GeneralistModel("nano", dropout=dropout)
    straight = trainer(steps=60).fit(model, tasks(), output=tmp_path / "straight")
    stopped = trainer(steps=60, stop_after=30, workers=workers).fit(model, tasks(), output=tmp_path / "parts")
    assert (stopped.reason, stopped.state.step) == ("stopped", 30)
    resumed = trainer(steps=60, workers=workers).fit(model, tasks(), output=tmp_path / "parts", resume=True)
    assert resumed.state.step == 60
    assert resumed.state.stream.counts[0] > 2 * 57  # beyond the end of an epoch
    assert_same(weights(straight.last), weights(resumed.last))
    assert_same(weights(straight), weights(resumed))
    assert_same(weights(straight.last), dict(load_checkpoint(find_checkpoint(tmp_path / "parts", "newest")).model.state_dict()))
    steps = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert [event["step"] for event in steps if event["event"] == "step"] == [10, 20, 30, 40, 50, 60]


def test_resuming_twice(tmp_path: Path) -> None:
    straight = trainer().fit("nano", tasks())
    for stop in (3, 8, None):
        parts = trainer(stop_after=stop).fit("nano", tasks(), output=tmp_path, resume=True)
    assert_same(weights(straight.last), weights(parts.last))


def test_a_resumed_run_must_be_the_same_run(tmp_path: Path) -> None:
    trainer(stop_after=2).fit("nano", tasks(), output=tmp_path)
    with pytest.raises(CheckpointError, match=r"(?s)trainer\.seed: 0 then, 1 now.*trainer\.steps: 12 then, 11 now") as found:
        trainer(steps=11, seed=1).fit("nano", tasks(), output=tmp_path, resume=True)
    assert "What may change: `steps` to more of them; minutes, stop_after," in str(found.value)
    with pytest.raises(CheckpointError, match="task first: its training rows"):
        trainer().fit("nano", tasks(61), output=tmp_path, resume=True)
    with pytest.raises(ValueError, match="holds a run at step 2 already"):
        trainer().fit("nano", tasks(), output=tmp_path)


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def report(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass


def test_cutting_a_step_into_parts_changes_nothing() -> None:
    def losses(accumulation: int) -> list[tuple[float, float]]:
        recorder = Recorder()
        Trainer(
            steps=1,
            batch_tokens=600,
            tokenizer_size=300,
            valid_metrics=False,
            precision="float32",
            accumulation=accumulation,
            reporters=[recorder],
        ).fit("nano", tasks())
        return [(event.loss, event.gradient_norm) for event in recorder.events if isinstance(event, StepDone)]

    (one,), (four,) = losses(1), losses(4)
    assert four == pytest.approx(one, rel=1e-6)


def test_the_loss_weighs_each_task_by_its_share() -> None:
    prepared = trainer().prepare("nano", tasks())
    shares = {"first": 0.3, "has": 0.7}
    from ofa_models import build_model
    from ofa_models.zoo import as_backend
    from ofa_trainer.criterion import CriterionContext
    from ofa_trainer.trainer import row_stream

    context = CriterionContext(width=64, vocabulary=prepared.vocabulary.plan)
    loss = StepLoss(prepared.encoder.slots, prepared.catalog, context, shares, seed=0)
    model = build_model(prepared.model_plan, prepared.catalog)
    rows = next(row_stream(prepared, trainer().options).steps(row_stream(prepared, trainer().options).start()))
    batch = prepared.encoder.pack(rows.examples)
    together = loss(as_backend(model), batch, loss.weigh([batch])).loss.item()
    alone = 0.0
    for number, name in enumerate(prepared.encoder.task_names):
        part = prepared.encoder.pack([row for row in rows.examples if row.task == number])
        alone += loss(as_backend(model), part, loss.weigh([part])).loss.item()
        assert part.num_rows > 1, name
    assert together == pytest.approx(alone, rel=1e-5)


def test_it_learns() -> None:
    recorder = Recorder()
    Trainer(steps=40, batch_tokens=1024, tokenizer_size=300, valid_metrics=False, reporters=[recorder]).fit("nano", tasks(200))
    steps = [event for event in recorder.events if isinstance(event, StepDone)]
    assert steps[-1].losses["first"] < 0.6 * steps[0].losses["first"]


def test_a_loss_that_is_no_number_names_task_and_rows() -> None:
    with pytest.raises(NonFiniteLoss, match=r"step \d+: the (loss|gradient) of .*`first`.* is not finite; rows: .*row"):
        trainer(steps=20, muon_lr=1e30, adamw_lr=1e30, warmup_steps=0, clip=None).fit("nano", tasks())


def test_checkpoints_rotate_and_the_best_stays(tmp_path: Path) -> None:
    trained = trainer(steps=12, validate_every=2, keep=2).fit("nano", tasks(), output=tmp_path)
    best = trained.state.best_step
    assert best is not None
    assert saved_steps(tmp_path) == sorted({best, 10, 12})
    assert_same(weights(trained), dict(load_checkpoint(find_checkpoint(tmp_path)).model.state_dict()))
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint"
    assert (tmp_path / "checkpoint" / "model.safetensors").read_bytes() == (
        tmp_path / "checkpoints" / f"step-{best:06d}" / "model.safetensors"
    ).read_bytes()
    assert find_checkpoint(tmp_path, "newest").name == "step-000012"
    assert sorted(path.name for path in find_checkpoint(tmp_path).iterdir()) == [
        "closed_sets",
        "model.safetensors",
        "plan.json",
        "run.json",
        "tokenizer.json",
    ]
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        find_checkpoint(tmp_path / "checkpoints")
    trained.save(tmp_path / "demo" / "checkpoint")
    assert find_checkpoint(tmp_path / "demo") == tmp_path / "demo" / "checkpoint"


def test_minutes_alone_end_with_the_rate_at_its_end(tmp_path: Path) -> None:
    recorder = Recorder()
    trained = trainer(steps=None, minutes=0.05, log_every=1, reporters=[recorder]).fit("nano", tasks(), output=tmp_path)
    assert trained.reason == "done"
    assert trained.state.total_steps is None
    steps = [event for event in recorder.events if isinstance(event, StepDone)]
    assert len(steps) == trained.state.step
    assert steps[-1].lr < 0.5
    assert [event.lr for event in steps[len(steps) // 2 :]] == sorted(
        [event.lr for event in steps[len(steps) // 2 :]], reverse=True
    )


def test_an_unbuilt_model_stays_unbuilt_and_random_numbers_untouched() -> None:
    before = torch.get_rng_state()
    model = GeneralistModel("nano")
    trainer(steps=2).fit(model, tasks())
    assert not model.plan.is_complete
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_complete_plan_must_be_that_of_the_tasks() -> None:
    complete = trainer().prepare("nano", tasks()).model_plan
    assert trainer().prepare(complete, tasks()).model_plan == complete
    with pytest.raises(ValueError, match=r"differs in vocabulary_size.*GeneralistModel"):
        trainer(tokenizer_size=310).prepare(complete, tasks())


@pytest.mark.parametrize(
    ("instruction", "error", "message"),
    [
        ("[TEXT:text] -> ", ValueError, "nothing to learn"),
        ("[TEXT:text|TEXT:first] -> [TEXT:has]", ValueError, "contrast"),
        ("[TEXT:txt] -> [TEXT:has]", DataError, "reads the column `txt`.*did you mean `text`"),
        ("[TEXT:text] -> [TEXT:has,closed_set=colours]", None, ""),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_runs(
    instruction: str, error: type[Exception] | None, message: str
) -> None:
    task = Task("x", instruction, train=text_rows(30))
    if error is None:
        assert trainer().prepare("nano", [task]).closed_sets == {"x": {"colours": ("no", "yes")}}
        return
    with pytest.raises(error, match=message):
        trainer().prepare("nano", [task])


def test_wrong_options_name_the_nearest() -> None:
    with pytest.raises(ValueError, match="`stepz`: there is no such key; did you mean `steps`"):
        Trainer(stepz=3)
    with pytest.raises(ValueError, match="two tasks are called `first`"):
        trainer().prepare("nano", [*tasks(), *tasks()])
    with pytest.raises(ValueError, match="no slot uses the closed set `other`"):
        trainer().prepare("nano", [Task("x", HAS, train=text_rows(30), closed_sets={"other": ["a"]})])


PROGRAM = """
    import sys
    sys.path.insert(0, {tests!r})
    import torch
    torch.set_num_threads(1)
    from test_training import tasks, trainer
    from ofa_trainer import Interrupted
    options = dict(steps={steps}, save_every=1, keep=2, log_every=1)
    try:
        trainer(**options).fit("nano", tasks(), output={output!r}, resume=True)
    except Interrupted as error:
        print(error)
        sys.exit(130)
"""


def start(output: Path, steps: int) -> subprocess.Popen[str]:
    program = textwrap.dedent(PROGRAM.format(tests=str(Path(__file__).parent), output=str(output), steps=steps))
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def wait_for_steps(output: Path, steps: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not [step for step in saved_steps(output) if step >= steps]:
        assert process.poll() is None, "the run ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_run_leaves_whole_checkpoints_and_goes_on(tmp_path: Path) -> None:
    for wanted in (2, 5):
        process = start(tmp_path, 1000)
        wait_for_steps(tmp_path, wanted, process)
        process.kill()
        process.communicate()
        steps = saved_steps(tmp_path)
        assert steps
        for step in steps:
            load_checkpoint(tmp_path / "checkpoints" / f"step-{step:06d}")


KILLED_WHILE_SAVING = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    import ofa_trainer.run
    import torch
    from test_training import tasks, trainer
    torch.set_num_threads(1)  # as here: equal results need equal thread counts
    write_state = ofa_trainer.run.write_state

    def die(folder, state, tensors):
        if state.step == 3:
            (folder / "state.safetensors").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        write_state(folder, state, tensors)

    ofa_trainer.run.write_state = die
    trainer(steps=6, save_every=1, keep=2).fit("nano", tasks(), output={output!r})
"""


def test_a_kill_in_the_middle_of_a_save_leaves_the_checkpoints_before_it(tmp_path: Path) -> None:
    program = textwrap.dedent(KILLED_WHILE_SAVING.format(tests=str(Path(__file__).parent), output=str(tmp_path)))
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert saved_steps(tmp_path) == [1, 2]
    leftovers = [entry for entry in (tmp_path / "checkpoints").iterdir() if entry.name.startswith(".")]
    assert leftovers
    resumed = trainer(steps=6, save_every=1, keep=2).fit("nano", tasks(), output=tmp_path, resume=True)
    assert_same(weights(trainer(steps=6).fit("nano", tasks()).last), weights(resumed.last))
    assert not any(entry.exists() for entry in leftovers)


@pytest.mark.slow
def test_an_interrupt_finishes_the_step_and_saves(tmp_path: Path) -> None:
    process = start(tmp_path, 1000)
    wait_for_steps(tmp_path, 2, process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"interrupted after step {saved_steps(tmp_path)[-1]}" in said


def test_an_interrupt_is_typed(tmp_path: Path) -> None:
    class Stopper(Recorder):
        def report(self, event: Event) -> None:
            if isinstance(event, StepDone):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="interrupted after step 1; saved") as found:
        Trainer(steps=5, log_every=1, batch_tokens=512, tokenizer_size=300, valid_metrics=False, reporters=[Stopper()]).fit(
            "nano", tasks(), output=tmp_path
        )
    assert found.value.checkpoint is not None
    assert saved_steps(tmp_path) == [1]


def test_losses_are_weighed_as_the_tasks_say_else_by_their_share_of_the_mixture() -> None:
    first, has = text_rows(30), text_rows(60, seed=1)
    by_share = [Task("first", FIRST, train=first, valid=False), Task("has", HAS, train=has, valid=False)]
    said = [
        Task("first", FIRST, train=first, valid=False, loss_weight=3),
        Task("has", HAS, train=has, valid=False, loss_weight=1),
    ]
    prepared = [trainer().prepare("nano", given).train_plan.tasks for given in (by_share, said)]
    assert [[task.loss_share for task in tasks] for tasks in prepared] == [pytest.approx([1 / 3, 2 / 3]), [0.75, 0.25]]
    assert [task.share for task in prepared[1]] == pytest.approx([1 / 3, 2 / 3])
    with pytest.raises(ValueError, match="loss_weight or none has; without one: `has`"):
        trainer().prepare("nano", [said[0], by_share[1]])
