"""The log file: one event a line, ``log.jsonl`` in the run's folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ofa_modalities.lines import read_text_file, split_lines

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


def _until(path: Path, step: int) -> str:
    kept = []
    for line in split_lines(read_text_file(path)):
        try:
            event = json.loads(line)
        except ValueError:
            continue  # cut off by a kill
        if event.get("step", 0) <= step and event.get("event") != "ended":
            kept.append(line + "\n")
    return "".join(kept)
