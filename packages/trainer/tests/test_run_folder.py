"""The folder of a run: it stands for the best step, is held by one run, and is never started over."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from ofa_models import load_checkpoint
from ofa_models.checkpoint import CheckpointError
from ofa_trainer import Task, Trained, Trainer, find_checkpoint
from ofa_trainer.checkpointing import saved_steps, step_folder
from ofa_trainer.locking import RunFolderError, locked
from ofa_trainer.metrics.metric import Judged, Scores
from ofa_trainer.reporting import Event, Validated
from ofa_trainer.reporting.json_lines import logged_events
from trainer_rows import text_rows

HAS = "is there a cat in [TEXT:text] ? -> [TEXT:has,closed_set]"


def tasks(**options: Any) -> list[Task]:
    return [Task("has", HAS, **({"train": text_rows(40), "valid": text_rows(10, seed=3)} | options))]


def trainer(**options: Any) -> Trainer:
    defaults = {"steps": 6, "batch_tokens": 256, "tokenizer_size": 300, "valid_metrics": False, "deterministic": True}
    return Trainer(**(defaults | options))


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return dict(trained.model.state_dict())


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(folder).model.state_dict())


def same(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def report(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass


# The best step


@pytest.fixture
def falling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging finds less in every later validation: 1, 1/2, 1/3 …"""
    from ofa_trainer.reporting import Figure

    found: list[float] = []

    def judge(*_: object) -> dict[str, dict[str, Figure]]:
        found.append(1 / (len(found) + 1))
        return {"has": {"has/accuracy": Figure(value=found[-1], low=0, high=1, rows=10)}}

    monkeypatch.setattr(Trainer, "_judge", judge)


@pytest.mark.usefixtures("falling")
def test_a_folder_stands_for_the_step_that_the_metric_likes_best(tmp_path: Path) -> None:
    recorder = Recorder()
    trained = trainer(valid_metrics=True, validate_every=2, reporters=[recorder]).fit("nano", tasks(), output=tmp_path)
    validations = [event for event in recorder.events if isinstance(event, Validated)]
    assert [event.best for event in validations] == [True, False, False]
    assert validations[-1].loss < validations[0].loss  # the loss would have it otherwise
    assert (trained.step, trained.state.step, trained.state.best_by) == (2, 6, "has/has/accuracy")
    assert same(weights(trained), stored(tmp_path / "checkpoint"))
    assert same(weights(trained.last), stored(tmp_path / "last"))
    assert not same(weights(trained), weights(trained.last))
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint"
    assert find_checkpoint(tmp_path, "newest") == step_folder(tmp_path, 6)
    assert same(weights(trained), dict(trained.session().checkpoint.model.state_dict()))
    alone = trainer(valid_metrics=True, validate_every=2).fit("nano", tasks())
    assert alone.step == 2
    assert same(weights(alone), weights(trained))
    assert same(weights(alone.last), weights(trained.last))


@pytest.mark.usefixtures("falling")
def test_the_best_is_that_by_the_loss_where_asked(tmp_path: Path) -> None:
    options = {"valid_metrics": True, "validate_every": 2}
    trained = trainer(**options, best_by="loss").fit("nano", tasks(), output=tmp_path)
    assert trained.step > 2
    assert trained.state.best_by == "loss"
    with pytest.raises(ValueError, match=r"no validation gives `has/has/acuracy`; did you mean `has/has/accuracy`\?"):
        trainer(valid_metrics=True, best_by="has/has/acuracy").fit("nano", tasks())
    with pytest.raises(ValueError, match="`valid_metrics` is off"):
        trainer(best_by="has/has/accuracy").fit("nano", tasks())


def test_without_validation_a_folder_stands_for_the_last_step(tmp_path: Path) -> None:
    trained = trainer(stop_after=2).fit("nano", tasks(valid=False), output=tmp_path)
    assert same(weights(trained), stored(tmp_path / "checkpoint"))
    trained = trainer(validate_every=2).fit("nano", tasks(valid=False), output=tmp_path, resume=True)
    assert trained.step == 6
    assert same(weights(trained), stored(tmp_path / "checkpoint"))


@pytest.mark.usefixtures("falling")
def test_validations_change_no_step_and_the_best_survives_a_resume(tmp_path: Path) -> None:
    plain = trainer().fit("nano", tasks())
    options = {"valid_metrics": True, "validate_every": 2}
    trainer(**options, stop_after=4).fit("nano", tasks(), output=tmp_path)
    resumed = trainer(**options).fit("nano", tasks(), output=tmp_path, resume=True)
    assert same(weights(plain.last), weights(resumed.last))
    assert resumed.step == 2
    assert same(weights(resumed), stored(tmp_path / "checkpoint"))


# Nothing after training loses it


class Failing:
    """A metric, of anybody's."""

    def __call__(self, rows: list[Judged], options: object) -> Scores:
        raise KeyError("no such thing")


def test_what_fails_beside_the_training_is_told_and_costs_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ofa_trainer.loop import StepRunner

    def fail(*_: object) -> None:
        assert saved_steps(tmp_path) == [6]  # saved before it is judged
        raise MemoryError("too much")

    class Broken(Recorder):
        def report(self, event: Event) -> None:
            raise ZeroDivisionError("a plot")

    monkeypatch.setattr(Trainer, "_judge", fail)
    monkeypatch.setattr(StepRunner, "validate", fail)
    with caplog.at_level(logging.WARNING):
        trained = trainer(valid_metrics=True, reporters=[Broken()]).fit("nano", tasks(), output=tmp_path)
    assert trained.reason == "done"
    assert same(weights(trained), stored(tmp_path / "checkpoint"))
    assert "the reporter Broken failed and is left out: ZeroDivisionError: a plot" in caplog.text
    assert "judging the validation rows failed and is left out: MemoryError: too much" in caplog.text
    warnings = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [event["step"] for event in warnings if event["event"] == "warning"] == [6, 6]


# One run, one folder


HOLD = """
    import sys, time
    from pathlib import Path
    from ofa_trainer.locking import locked
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_second_run_into_a_folder_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(RunFolderError, match=rf"is in use by another run \(process {process.pid} on .*, since .*\): wait"):
        trainer().fit("nano", tasks(), output=tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert trainer(steps=1).fit("nano", tasks(), output=tmp_path).reason == "done"


def test_one_process_holds_a_folder_once(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RunFolderError, match="in use"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_one_error_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        with pytest.raises(RunFolderError, match=r"cannot be written to: .*; choose another output folder"):
            trainer().fit("nano", tasks(), output=folder)


FULL = """
    import resource, sys
    sys.path.insert(0, {tests!r})
    import torch
    torch.set_num_threads(1)
    from pathlib import Path
    from test_run_folder import tasks, trainer
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        trainer().fit("nano", tasks(), output=sys.argv[1], resume=True)
    except ValueError as error:
        print(error)
"""


def test_a_disk_that_is_full_is_one_error_and_the_older_checkpoint_stays(tmp_path: Path) -> None:
    before = trainer(stop_after=2).fit("nano", tasks(), output=tmp_path)
    program = textwrap.dedent(FULL.format(tests=str(Path(__file__).parent)))
    said = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True).stdout
    assert "step-000006` cannot be written" in said
    assert "File too large" in said
    assert len(said.splitlines()) == 1
    assert saved_steps(tmp_path) == [2]
    assert same(weights(before), stored(tmp_path / "checkpoint"))
    assert not [entry for entry in tmp_path.rglob(".*") if entry.name != ".lock"]
    assert trainer().fit("nano", tasks(), output=tmp_path, resume=True).state.step == 6


# The log


@pytest.mark.parametrize("line", [b"", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"step": "x"}', b'{"step": 1', b"7", b"null"])
def test_a_line_of_the_log_that_is_no_event_is_left_out_and_told(tmp_path: Path, line: bytes, caplog: Any) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b'{"event": "saved", "step": 1}\n' + line + b'\n{"event": "saved", "step": 2}\n')
    assert [event["step"] for _, event in logged_events(log)] == [1, 2]
    assert "1 lines are no events" in caplog.text


def test_a_log_that_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.jsonl")
    with pytest.raises(CheckpointError, match=r"log\.jsonl` is a pipe, not a file"):
        [*logged_events(tmp_path / "log.jsonl")]


# Never started over


def test_what_is_there_is_not_started_over(tmp_path: Path) -> None:
    trainer(steps=2).fit("nano", tasks()).save(tmp_path / "one" / "checkpoint")
    for resume in (False, True):
        with pytest.raises(ValueError, match="holds `checkpoint` and no run to resume"):
            trainer().fit("nano", tasks(), output=tmp_path / "one", resume=resume)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"no run to resume .* but `notes.txt`: name the run's own folder, or leave out"):
        trainer().fit("nano", tasks(), output=tmp_path / "two", resume=True)
    assert trainer(steps=1).fit("nano", tasks(), output=tmp_path / "two").reason == "done"
    trainer(steps=1).fit("nano", tasks(), output=tmp_path / "three")
    for name in ("checkpoints", "checkpoint", "last"):
        os.rename(tmp_path / "three" / name, tmp_path / name)
    with pytest.raises(ValueError, match=r"its log tells of a checkpoint of step 1, and .* holds none; put it back"):
        trainer().fit("nano", tasks(), output=tmp_path / "three", resume=True)


def test_what_a_run_left_before_its_first_checkpoint_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"event": "started", "step": 0}\n')
    (tmp_path / "checkpoints" / ".step-000001.new-x").mkdir(parents=True)
    (tmp_path / ".checkpoint.new-abc").mkdir()
    (tmp_path / ".last.new-abc").mkdir()
    assert trainer(steps=1).fit("nano", tasks(), output=tmp_path, resume=True).reason == "done"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", "checkpoint", "checkpoints", "last", "log.jsonl"]


FILES = ["state.json", "state.safetensors", "model.safetensors", "plan.json", "run.json", "tokenizer.json"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00", b"[" * 100_000, b"[1]", "half", "missing"])
def test_a_damaged_step_names_its_file_and_the_newest_sound_one(run: Path, file: str, content: bytes | str) -> None:
    damaged = step_folder(run, 4) / file
    whole = damaged.read_bytes()
    if content == "missing":
        damaged.unlink()
    else:
        damaged.write_bytes(content if isinstance(content, bytes) else whole[: len(whole) // 2])
    try:
        with pytest.raises(CheckpointError, match=r"step 4 is damaged") as found:
            trainer().fit("nano", tasks(), output=run, resume=True)
    finally:
        damaged.write_bytes(whole)
    assert file in str(found.value)
    assert "step 3 is the newest sound one: go on from there with `--resume --from-step 3`" in str(found.value)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    trainer(stop_after=4, save_every=1, keep=3).fit("nano", tasks(), output=folder)
    return folder


def test_a_run_goes_back_to_a_step_that_is_named(tmp_path: Path) -> None:
    straight = trainer().fit("nano", tasks(), output=tmp_path / "straight")
    trainer(stop_after=4, save_every=1, keep=3).fit("nano", tasks(), output=tmp_path / "parts")
    with pytest.raises(ValueError, match="has no checkpoint of step 1; there are those of 2, 3, 4"):
        trainer().fit("nano", tasks(), output=tmp_path / "parts", resume=1)
    again = trainer().fit("nano", tasks(), output=tmp_path / "parts", resume=3)
    assert same(weights(straight.last), weights(again.last))
    assert saved_steps(tmp_path / "parts")[-1] == 6
    assert (tmp_path / "parts" / "checkpoints" / "aside-step-000004").is_dir()


# More steps


def test_more_steps_lengthen_a_run(tmp_path: Path) -> None:
    """Where the rate has not begun to fall, a lengthened run is the longer run; behind its end, it is its own repeatable one."""
    longer = trainer(steps=12, warmup_steps=0).fit("nano", tasks())
    trainer(steps=6, warmup_steps=0, stop_after=3).fit("nano", tasks(), output=tmp_path / "one")
    lengthened = trainer(steps=12, warmup_steps=0).fit("nano", tasks(), output=tmp_path / "one", resume=True)
    assert lengthened.state.total_steps == 12
    assert same(weights(longer.last), weights(lengthened.last))

    ended = []
    for name, stops in (("two", (None,)), ("three", (8, None))):
        trainer(steps=6).fit("nano", tasks(), output=tmp_path / name)
        for stop in stops:
            ended.append(trainer(steps=12, stop_after=stop).fit("nano", tasks(), output=tmp_path / name, resume=True))
    assert ended[0].state.step == 12
    assert same(weights(ended[0].last), weights(ended[-1].last))


def test_the_length_of_a_run_need_not_be_said_again(tmp_path: Path) -> None:
    trainer(steps=6, stop_after=3).fit("nano", tasks(), output=tmp_path)
    resumed = trainer(steps=None).fit("nano", tasks(), output=tmp_path, resume=True)
    assert (resumed.reason, resumed.state.step) == ("done", 6)


def test_a_log_that_is_no_file_is_refused_and_odd_lines_of_one_are_passed_over(tmp_path: Path) -> None:
    trainer(stop_after=2).fit("nano", tasks(), output=tmp_path)
    log = tmp_path / "log.jsonl"
    with log.open("ab") as file:
        file.write(b"\xff\xfe\n" + b"[" * 100_000 + b'\nnull\n{"step": "x"}\n{"step": []}\n{"event": "st')
    trainer(stop_after=4).fit("nano", tasks(), output=tmp_path, resume=True)
    assert all(isinstance(json.loads(line)["step"], int) for line in log.read_text().splitlines())
    log.unlink()
    log.symlink_to("/dev/zero")
    with pytest.raises(ValueError, match=r"log\.jsonl` is a .*, not a file|log\.jsonl` is a link"):
        trainer().fit("nano", tasks(), output=tmp_path, resume=True)
