"""TensorBoard and Weights & Biases, where asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ofa_trainer.reporting.events import Event, StepDone, Validated


class TensorBoardReporter:
    """Scalars for TensorBoard. Raises ImportError, naming the extra, where it is not installed."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("TensorBoard is not installed: pip install 'ofa-trainer[tensorboard]'") from error
        self._writer: Any = SummaryWriter(str(folder))

    def report(self, event: Event) -> None:
        """Write the event's figures."""
        for name, value in scalars(event):
            self._writer.add_scalar(name, value, event.step)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


class WandbReporter:
    """Scalars for Weights & Biases. Raises ImportError, naming the extra, where it is not installed."""

    def __init__(self, project: str, folder: Path | None) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ImportError("Weights & Biases is not installed: pip install 'ofa-trainer[wandb]'") from error
        self._run: Any = wandb.init(project=project, dir=None if folder is None else str(folder))

    def report(self, event: Event) -> None:
        """Log the event's figures."""
        found = dict(scalars(event))
        if found:
            self._run.log(found, step=event.step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def scalars(event: Event) -> Iterator[tuple[str, float]]:
    """Named figures of an event."""
    match event:
        case StepDone():
            yield "train/loss", event.loss
            yield from ((f"train/loss/{name}", value) for name, value in event.losses.items())
            for name in ("lr", "gradient_norm", "tokens_per_s", "rows_per_s", "waited", "bad_rows"):
                yield f"train/{name}", float(getattr(event, name))
        case Validated():
            yield "valid/loss", event.loss
            yield from ((f"valid/loss/{name}", value) for name, value in event.losses.items())
            for task, figures in event.metrics.items():
                yield from ((f"valid/{task}/{name}", figure.value) for name, figure in figures.items())
        case _:
            return
