"""The terminal: a progress line that is rewritten, and a line for what is worth keeping."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ofa_trainer.reporting.events import (
    Event,
    Fitting,
    RowSkipped,
    RunEnded,
    RunStarted,
    Saved,
    StepDone,
    Summary,
    Validated,
    ValueCut,
    ValueEmpty,
)

MAX_BAD_ROWS_SHOWN = 10


class ProgressReporter:
    """Shows a run with rich; where the output is no terminal, plain lines now and then."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, emoji=False)
        self._progress: Progress | None = None
        self._bar: TaskID | None = None
        self._asset: str | None = None
        self._bad: set[tuple[str, str]] = set()
        self._last_line_s = 0.0

    def report(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Fitting():
                self._fitting(event)
            case RunStarted():
                self._started(event)
            case StepDone():
                self._step(event)
            case RowSkipped():
                self._skipped(event)
            case ValueEmpty():
                text = f"{event.address}:{event.column.partition('/')[2]}: {event.message}"
                self.console.print(text, style="yellow", markup=False, highlight=False, emoji=False, soft_wrap=True)
            case ValueCut() if event.step:  # those before the first step are logged as warnings
                text = f"{event.address}: {event.message}"
                self.console.print(text, style="yellow", markup=False, highlight=False, emoji=False, soft_wrap=True)
            case Validated():
                self._validated(event)
            case Saved():
                self.console.print(f"saved {event.path}", style="dim", markup=False, highlight=False)
            case Summary():
                self._summary(event)
            case RunEnded():
                self._ended(event)

    def close(self) -> None:
        """Give the terminal back."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _fitting(self, event: Fitting) -> None:
        """A bar for each asset on a terminal; elsewhere a line when it starts and when it is done."""
        if not self.console.is_terminal:
            if event.done in (0, event.total):
                self.console.print(f"fitting {event.asset}: {event.done}/{event.total}", markup=False, highlight=False)
            return
        if self._progress is None:
            self._progress = self._bars()
        if self._asset != event.asset:
            self._asset, self._bar = event.asset, self._progress.add_task(f"fitting {event.asset}", total=event.total)
        assert self._bar is not None
        self._progress.update(self._bar, completed=event.done, total=event.total)

    def _bars(self) -> Progress:
        columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        progress = Progress(*columns, console=self.console)
        progress.start()
        return progress

    def _started(self, event: RunStarted) -> None:
        self.close()
        tasks = ", ".join(f"{name} ({rows:,} rows, {event.shares[name]:.0%})" for name, rows in event.tasks.items())
        self.console.print(
            f"{event.parameters / 1e6:.2f} M parameters, {event.vocabulary:,} token ids, "
            f"{event.device}, {event.precision}\n{tasks}",
            markup=False,
            highlight=False,
        )
        if self.console.is_terminal:
            self._progress = self._bars()
            self._bar = self._progress.add_task("", total=event.steps, completed=event.step)

    def _skipped(self, event: RowSkipped) -> None:
        """A row that comes again in a later epoch is shown once. An address may hold `:label:`, which is no emoji."""
        place = (event.task, event.address)
        if place in self._bad:
            return
        self._bad.add(place)
        if len(self._bad) > MAX_BAD_ROWS_SHOWN:
            return
        where = f"{event.address}:{event.column}" if event.column else event.address
        text = f"skipped {where}: {event.message}"
        self.console.print(text, style="yellow", markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _step(self, event: StepDone) -> None:
        losses = " ".join(f"{name} {loss:.2f}" for name, loss in event.losses.items())
        left = f", {event.left_s:.0f} s left" if event.left_s is not None else ""
        text = f"{losses}  {event.tokens_per_s:,.0f} tokens/s, {event.rows_per_s:.0f} rows/s, {event.waited:.0%} waiting{left}"
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, completed=event.step, total=event.steps, description=text)
        elif event.elapsed_s - self._last_line_s >= 10 or event.step == event.steps:
            self._last_line_s = event.elapsed_s
            self.console.print(f"step {event.step}/{event.steps or '?'}  {text}", markup=False, highlight=False)

    def _validated(self, event: Validated) -> None:
        best = f", best so far by {event.best_by}" if event.best else ""
        title = f"validation at step {event.step}{best}"
        self.console.print(title, style="italic", markup=False, highlight=False, soft_wrap=True)
        table = (
            Table("task", "loss", "metric", "value", "a constant answer")
            if any(event.metrics.values())
            else Table("task", "loss")
        )
        for name, loss in event.losses.items():
            figures = list(event.metrics.get(name, {}).items())
            shown = [(key, f"{one.value:.3f} {one.interval()}", one.beside) for key, one in figures]
            for number, cells in enumerate(shown or [()]):
                first = (name, f"{loss:.3f}") if number == 0 else ("", "")
                table.add_row(*map(Text, (*first, *cells)))
        self.console.print(table)

    def _summary(self, event: Summary) -> None:
        if event.best_step is not None:
            best = f"best step: {event.best_step}, by {event.best_by}"
            self.console.print(best, markup=False, highlight=False, soft_wrap=True)
        for sentence in event.verdict:
            self.console.print(sentence, style="bold yellow", markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _ended(self, event: RunEnded) -> None:
        words = {
            "done": "done",
            "stopped": "stopped as asked",
            "time": "stopped: the minutes are over",
            "interrupted": "interrupted",
            "failed": "failed",
        }
        bad = f", bad rows: {len(self._bad)}, skipped {event.bad_rows} times" if event.bad_rows else ""
        self.console.print(f"{words[event.reason]} at step {event.step} after {event.seconds:.0f} s{bad}", markup=False)
