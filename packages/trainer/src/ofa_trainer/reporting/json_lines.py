"""The log file: one event a line, ``log.jsonl`` in the run's folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ofa_instruction.documents import DocumentError, parse_json
from ofa_modalities.lines import split_lines
from ofa_models.files import read_bytes

from ofa_trainer.reporting.events import Event

logger = logging.getLogger(__name__)

MOST_LOG_BYTES = 512 << 20


class JsonLinesReporter:
    """Appends events to a file; a resumed run first drops what lies beyond the step it resumes from."""

    def __init__(self, path: Path, *, resume_step: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = "" if resume_step is None or not os.path.lexists(path) else _until(path, resume_step)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(kept, encoding="utf-8")
        os.replace(partial, path)
        self._file = path.open("a", encoding="utf-8")

    def report(self, event: Event) -> None:
        """Write one line."""
        self._file.write(event.model_dump_json() + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def logged_events(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of a log, each with what it holds; what is no event (a line that a kill cut off) is passed over, and told.

    Raises CheckpointError where the log is no file, or larger than a log is.
    """
    odd = 0
    for line in split_lines(read_bytes(path.parent, path.name, most=MOST_LOG_BYTES).decode("utf-8", errors="replace")):
        try:
            event = parse_json(line)
        except DocumentError:
            event = None
        if isinstance(event, dict) and type(event.get("step", 0)) is int:
            yield line, event
        else:
            odd += 1
    if odd:
        logger.warning("%s: %d lines are no events and are left out", path, odd)


def _until(path: Path, step: int) -> str:
    events = logged_events(path)
    return "".join(f"{line}\n" for line, event in events if event.get("step", 0) <= step and event.get("event") != "ended")
