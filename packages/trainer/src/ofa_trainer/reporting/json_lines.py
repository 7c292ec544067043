"""The log file: one event a line, ``log.jsonl`` in the run's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ofa_modalities.lines import split_lines

from ofa_trainer.reporting.events import Event


class JsonLinesReporter:
    """Appends events to a file; a resumed run first drops what lies beyond the step it resumes from."""

    def __init__(self, path: Path, *, resume_step: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = "" if resume_step is None or not path.exists() else _until(path, resume_step)
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
    """The lines of a log, each with what it holds; what is no event (a line that a kill cut off) is passed over."""
    for line in split_lines(path.read_bytes().decode("utf-8", errors="replace")):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("step", 0), int):
            yield line, event


def _until(path: Path, step: int) -> str:
    events = logged_events(path)
    return "".join(f"{line}\n" for line, event in events if event.get("step", 0) <= step and event.get("event") != "ended")
