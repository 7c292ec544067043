"""A run: steps from a state on, with everything that happens between them.

draw rows ─▶ step ─▶ log ─▶ validate? ─▶ save? ─▶ stop?
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Literal, TypeVar

import torch
from ofa_modalities.batch import PackedBatch
from ofa_models.precision import resolve_precision
from torch import Tensor, nn

from ofa_trainer import emptiness
from ofa_trainer.best import Measure
from ofa_trainer.checkpointing import (
    CHECKPOINT,
    LAST,
    RunState,
    publish,
    random_state,
    restore_random_state,
    rewrite_state,
    rotate,
    step_folder,
    write_state,
)
from ofa_trainer.cutting import column_of, count_cuts, cut_message, look_for_cuts, summary
from ofa_trainer.loop import Interrupted, StepRunner
from ofa_trainer.pacing import Clock, Pace
from ofa_trainer.plans import TrainerOptions
from ofa_trainer.preparing import Prepared
from ofa_trainer.reporting.events import (
    Figure,
    Reporter,
    RowSkipped,
    RunEnded,
    RunStarted,
    Saved,
    Summary,
    Validated,
    ValueCut,
    ValueEmpty,
    Warned,
    left_out,
)
from ofa_trainer.reporting.window import Window
from ofa_trainer.schedule import Schedule
from ofa_trainer.stream import RowStream, StepRows
from ofa_trainer.verdict import ValidationPoint, sentences, with_point

logger = logging.getLogger(__name__)

EndReason = Literal["done", "stopped", "time", "interrupted"]
ResultT = TypeVar("ResultT")
DEFAULT_STEPS = 500


class Run:
    """One run of a model on prepared tasks.

    save_model: writes a checkpoint into a folder, with what its second argument adds. judge: answers validation rows for so many
        seconds (None: all of them) and returns figures by task.
    """

    def __init__(
        self,
        prepared: Prepared,
        model: nn.Module,
        runner: StepRunner,
        stream: RowStream,
        validation: list[PackedBatch],
        options: TrainerOptions,
        reporter: Reporter,
        *,
        output: Path | None,
        save_model: Callable[[Path, Callable[[Path], None]], None],
        judge: Callable[[float | None], dict[str, dict[str, Figure]]],
        measure: Measure,
        preparing_s: float = 0.0,
    ) -> None:
        self.prepared, self.model, self.runner, self.stream = prepared, model, runner, stream
        self.validation, self.options, self.reporter, self.output = validation, options, reporter, output
        self.save_model, self.judge, self.measure, self.preparing_s = save_model, judge, measure, preparing_s
        steps = options.steps or (None if options.minutes is not None else DEFAULT_STEPS)
        self.state = RunState(step=0, total_steps=steps, stream=stream.start(), elapsed_s=0.0)
        self._pace_from(self.state)
        self.verdict: list[str] = []
        """Plain sentences on what the run has come to."""
        self.saved: RunState | None = None
        """As the newest checkpoint has it."""
        self.published: int | None = None
        """Step that ``checkpoint`` in the output folder is of."""
        self.best_weights: dict[str, Tensor] | None = None
        """Of the best step, where no folder keeps them; on the CPU."""
        self._window = Window()
        self._train_losses: list[float] = []
        """Of the steps since the last validation."""
        self._figures: dict[str, dict[str, Figure]] = {}
        """Of the last validation."""

    def _pace_from(self, state: RunState) -> None:
        self.clock = Clock(state.elapsed_s, state.validating_s)
        self.pace = Pace(self.options, self.clock, validates=bool(self.validation))

    # State

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Everything but the model that must be saved: (tensors, numbers)."""
        tensors, numbers = self.runner.optimizers.state()
        found = {f"optimizer/{name}": tensor for name, tensor in tensors.items()}
        for number, module in enumerate(self.runner.loss.modules):
            found |= {f"criterion/{number}/{name}": tensor for name, tensor in module.state_dict().items()}
        return found | random_state(self.runner.device), numbers

    def restore(self, state: RunState, tensors: dict[str, Tensor]) -> None:
        """Go on from a saved state; the model's weights are loaded already."""
        self.state = state
        if self.options.steps is not None:
            self.state = state.model_copy(update={"total_steps": self.options.steps})
        if state.best_by != self.measure.name:
            self._forget_best(f"{self.measure.name} counts now, and not {state.best_by}")
        elif self.output is not None and not step_folder(self.output, state.best_step or 0).is_dir():
            self._forget_best("its checkpoint is gone")
        optimizer = {name.removeprefix("optimizer/"): value for name, value in tensors.items() if name.startswith("optimizer/")}
        self.runner.optimizers.load_state(optimizer, dict(state.numbers))
        for number, module in enumerate(self.runner.loss.modules):
            prefix = f"criterion/{number}/"
            module.load_state_dict({name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)})
        restore_random_state(tensors, self.runner.device)
        self.saved = state

    def _forget_best(self, why: str) -> None:
        if self.state.best_step is not None:
            logger.warning("the best step so far, %d, is compared with no later one: %s", self.state.best_step, why)
        nothing: dict[str, Any] = {"best_step": None, "best_loss": None, "best_score": None, "best_by": None, "best_figures": {}}
        self.state = self.state.model_copy(update=nothing)

    # The run

    def train(self) -> EndReason:
        """Run to the end. Raises Interrupted, NonFiniteLoss, TooManyBadRows; the last whole checkpoint stays."""
        self._pace_from(self.state)
        self._report_start()
        self._report_expected_cuts()
        reason: EndReason | Literal["failed"] = "failed"
        try:
            with _stop_signal() as asked:
                reason = self._steps(asked)
                self._finish(reason)
        finally:
            bad = self.state.stream.bad
            seconds, cuts, empty = self.clock.elapsed_s, self.state.cuts, self.state.empty
            self.reporter.report(
                RunEnded(step=self.state.step, reason=reason, seconds=seconds, bad_rows=bad, cuts=cuts, empty=empty)
            )
            drawn = dict(zip(self.prepared.mixture.names, self.state.stream.counts, strict=True))
            for line in (
                *summary({column: count for column, count in cuts.items() if count}, drawn),
                *emptiness.summary(empty, drawn),
            ):
                logger.warning("%s", line)
        if reason == "interrupted":
            raise Interrupted(self.state.step, None if self.output is None else str(step_folder(self.output, self.state.step)))
        return reason

    def _steps(self, asked: threading.Event) -> EndReason:
        reason = self._end(asked)
        if reason is not None:
            return reason
        schedule, pace = Schedule.of(self.options, self.state.total_steps), self.pace
        pace.start(self.state.step, self.state.total_steps)
        with contextlib.closing(self.stream.steps(self.state.stream)) as steps:
            while True:
                waiting = time.perf_counter()
                rows = next(steps)
                waited = time.perf_counter() - waiting
                step = self.state.step
                self._report_bad(rows)
                self._report_cuts(rows)
                self._report_empty(rows)
                factor = schedule.factor(step, pace.progress(step, self.state.total_steps))
                result = self.runner.step(rows, step + 1, factor)
                self._advance(rows)
                self._window.add(result, waited)
                self._train_losses.append(self._weighed(result.losses))
                reason = self._end(asked)
                self._report_step(factor, last=reason is not None)
                reason = reason or self._end(asked)  # a report may ask for it
                if reason is not None:
                    return reason
                self._between_steps()

    def _advance(self, rows: StepRows) -> None:
        changes: dict[str, Any] = {"step": self.state.step + 1, "stream": rows.state, "elapsed_s": self.clock.elapsed_s}
        self.state = self.state.model_copy(update=changes)

    def _end(self, asked: threading.Event) -> EndReason | None:
        state, options = self.state, self.options
        if state.total_steps is not None and state.step >= state.total_steps:
            return "done"
        if asked.is_set():
            return "interrupted"
        if options.stop_after is not None and state.step >= options.stop_after:
            return "stopped"
        if self.pace.is_over(state.step):
            return "done" if options.steps is None else "time"
        return None

    def _between_steps(self) -> None:
        step, options = self.state.step, self.options
        validates = self.pace.is_due(step, self.state.total_steps)
        if step % options.save_every == 0 if options.save_every else validates and options.validate_every is not None:
            self.save()
        if validates:
            self.validate()

    def _finish(self, reason: EndReason) -> None:
        if self.saved is None or self.saved.step != self.state.step:
            self.save()
        if reason in ("done", "time"):
            self.validate(last=True)
        self._publish()
        if self.output is not None:
            rotate(self.output, self.options.keep, self.state.best_step)
        if reason == "time":
            logger.warning("the minutes are over at step %d of %s", self.state.step, self.state.total_steps)
        if self.pace.left_out:
            logger.warning("%d validations were left out, the minutes had no time for them", self.pace.left_out)
        self._sum_up()

    def _sum_up(self) -> None:
        state = self.state
        self.verdict = sentences(
            state.points, best_step=state.best_step, best_by=state.best_by, figures=state.best_figures or self._figures
        )
        self.reporter.report(
            Summary(
                step=state.step,
                best_step=state.best_step,
                best_by=state.best_by,
                metrics=state.best_figures,
                verdict=tuple(self.verdict),
            )
        )

    # Between steps

    def validate(self, *, last: bool = False) -> None:
        """Loss and figures of the validation rows. What fails is told and left out: the run is worth more."""
        if not self.validation:
            return
        started = time.perf_counter()
        allowance_s = self.pace.allowance_s(last=last)
        with torch.random.fork_rng(devices=[self.runner.device] if self.runner.device.type == "cuda" else []):
            losses = self._attempt("the validation loss", lambda: self.runner.validate(self.validation))
            figures = self._attempt("judging the validation rows", lambda: self.judge(allowance_s)) or {}
        seconds = time.perf_counter() - started
        self.pace.validated(self.state.step, seconds)
        if not losses:
            return
        loss = self._weighed(losses)
        self._figures = figures
        self._note(loss, figures)
        best = self._compare(loss, figures)
        event = Validated(
            step=self.state.step,
            loss=loss,
            losses=losses,
            metrics=figures,
            best=best,
            best_by=self.measure.name,
            seconds=seconds,
        )
        self.reporter.report(event)
        if best:
            self._keep_best()

    def _weighed(self, losses: Mapping[str, float]) -> float:
        """One loss of those by task."""
        shares = {task.plan.name: task.loss_share for task in self.prepared.train_plan.tasks}
        return sum(shares[name] * value for name, value in losses.items()) / sum(shares[name] for name in losses)

    def _note(self, loss: float, figures: dict[str, dict[str, Figure]]) -> None:
        """Remember a validation for what is said at the end."""
        losses, self._train_losses = self._train_losses, []
        train_loss = sum(losses) / len(losses) if losses else None
        point = ValidationPoint(step=self.state.step, train_loss=train_loss, loss=loss, score=self.measure.score(loss, figures))
        update: dict[str, Any] = {"validating_s": self.clock.validating_s}
        if math.isfinite(loss) and (train_loss is not None or not self.state.points):
            update["points"] = with_point(self.state.points, point)
        self.state = self.state.model_copy(update=update)

    def _attempt(self, what: str, action: Callable[[], ResultT]) -> ResultT | None:
        """The action's result; None where it fails, which is told."""
        try:
            return action()
        except Exception as error:  # noqa: BLE001  (metrics are anybody's, and nothing of a validation may end the run)
            message = left_out(what, error)
            logger.warning("step %d: %s", self.state.step, message)
            self.reporter.report(Warned(step=self.state.step, message=message))
            return None

    def _compare(self, loss: float, figures: dict[str, dict[str, Figure]]) -> bool:
        """Whether this step is the best so far; it is noted then."""
        state, score = self.state, self.measure.score(loss, figures)
        if score is None:
            return False
        rows, best_rows = self.measure.rows(figures), self.measure.rows(state.best_figures)
        if rows < best_rows:
            return False  # time allowed for fewer rows, whose figure says less
        known = (-math.inf, 0.0) if state.best_score is None else (state.best_score, -_finite(state.best_loss))
        if rows == best_rows and (score, -_finite(loss)) <= known:
            return False
        self.state = state.model_copy(
            update={
                "best_step": state.step,
                "best_loss": loss if math.isfinite(loss) else None,
                "best_score": score,
                "best_by": self.measure.name,
                "best_figures": figures,
            }
        )
        return True

    def _keep_best(self) -> None:
        """Keep the weights of this step, which is the best so far."""
        if self.output is None:
            self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}
        elif self.saved is None or self.saved.step != self.state.step:
            self.save()
        self._publish()

    def save(self) -> None:
        """Write a checkpoint of this step."""
        if self.output is None:
            return
        started = time.perf_counter()
        tensors, numbers = self.tensors()
        state = self.state.model_copy(update={"numbers": numbers, "elapsed_s": self.clock.elapsed_s})

        def extra(folder: Path) -> None:
            (folder / "run.json").write_text(self.prepared.train_plan.model_dump_json(indent=1), encoding="utf-8")
            write_state(folder, state, tensors)

        folder = step_folder(self.output, state.step)
        self.save_model(folder, extra)
        self.saved = state
        publish(folder, self.output / LAST)
        self._publish()
        rotate(self.output, self.options.keep, state.best_step)
        self.reporter.report(Saved(step=state.step, path=str(folder), seconds=time.perf_counter() - started))

    def _publish(self) -> None:
        """Bring what a validation found out to the newest checkpoint, and ``checkpoint`` to the best step."""
        if self.output is None or self.saved is None:
            return
        found = self.state.model_copy(update={"numbers": self.saved.numbers, "elapsed_s": self.clock.elapsed_s})
        if found.step == self.saved.step and (found.points, found.best_step) != (self.saved.points, self.saved.best_step):
            rewrite_state(step_folder(self.output, found.step), found)
            self.saved = found
        step = self.saved.step if self.saved.best_step is None else self.saved.best_step
        if step != self.published and step_folder(self.output, step).is_dir():
            publish(step_folder(self.output, step), self.output / CHECKPOINT)
            self.published = step

    # Reports

    def _report_start(self) -> None:
        prepared = self.prepared
        self.reporter.report(
            RunStarted(
                step=self.state.step,
                steps=self.state.total_steps,
                tasks=dict(zip(prepared.mixture.names, prepared.mixture.rows, strict=True)),
                shares=dict(zip(prepared.mixture.names, prepared.mixture.shares, strict=True)),
                parameters=sum(parameter.numel() for parameter in self.model.parameters()),
                vocabulary=prepared.vocabulary.size,
                device=str(self.runner.device),
                precision=resolve_precision(prepared.model_plan.precision, self.runner.device),
                seconds_preparing=self.preparing_s,
            )
        )

    def _report_bad(self, rows: StepRows) -> None:
        for row in rows.bad:
            logger.info("skipped %s", row)
            self.reporter.report(
                RowSkipped(step=self.state.step + 1, task=row.task, address=row.address, column=row.column, message=row.message)
            )

    def _report_expected_cuts(self) -> None:
        """Tell before the first step which columns are cut."""
        cuts = dict(self.state.cuts)
        for found in look_for_cuts(self.prepared):
            if found.column not in cuts:
                cuts[found.column] = 0
                logger.warning("%s", found)
                self.reporter.report(ValueCut(step=0, column=found.column, address="", message=str(found)))
        self.state = self.state.model_copy(update={"cuts": cuts})

    def _report_cuts(self, rows: StepRows) -> None:
        """Tell of the first value of each column that is longer than its limit, and count the rows that hold such."""
        slots, cuts = self.prepared.encoder.slots, dict(self.state.cuts)
        for example in rows.examples:
            for cut in example.cuts:
                column = column_of(cut, slots)
                if column not in cuts:
                    cuts[column] = 0
                    message = cut_message(cut, slots)
                    event = ValueCut(step=self.state.step + 1, column=column, address=example.address, message=message)
                    self.reporter.report(event)
        for column, count in count_cuts(rows.examples, slots).items():
            cuts[column] += count
        self.state = self.state.model_copy(update={"cuts": cuts})

    def _report_empty(self, rows: StepRows) -> None:
        """Tell of the first empty cell of each column, and count the rows that have one."""
        cells = list(emptiness.empty_cells(rows, self.prepared.mixture.names))
        told = set(self.state.empty)
        for cell in cells:
            if cell.column not in told:
                told.add(cell.column)
                event = ValueEmpty(step=self.state.step + 1, column=cell.column, address=cell.address, message=cell.message)
                self.reporter.report(event)
        if cells:
            self.state = self.state.model_copy(update={"empty": emptiness.add_counts(self.state.empty, cells)})

    def _report_step(self, factor: float, *, last: bool) -> None:
        state = self.state
        if self._window.is_empty or (state.step % self.options.log_every and not last):
            return
        steps, left_s = state.total_steps, None
        if steps is None:
            done = self.pace.progress(state.step, None)
            steps = state.step if last else round(state.step / done) if done > 0 else None
            left_s = max(0.0, self.pace.budget_s - self.clock.elapsed_s)
        self.reporter.report(self._window.event(state, factor, self.clock.elapsed_s, steps=steps, left_s=left_s))
        self._window = Window()


def _finite(loss: float | None) -> float:
    return loss if loss is not None and math.isfinite(loss) else math.inf


@contextlib.contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a request to terminate sets; a second one stops at once. Main thread only."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def reproducible(seed: int, device: torch.device, *, deterministic: bool) -> Iterator[None]:
    """Seeds inside, the surrounding program's random state and settings outside."""
    devices = [device] if device.type == "cuda" else []
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        if deterministic:
            torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
