"""Reports: what a run tells, and who writes it down.

reporting/
  events.py       fitting, started, step, bad_row, validation, saved, ended
  json_lines.py   log.jsonl in the run's folder
  progress.py     the terminal (rich)
  dashboards.py   TensorBoard, Weights & Biases
"""

from ofa_trainer.reporting.events import (
    Event,
    Figure,
    Fitting,
    Reporter,
    Reporters,
    RowSkipped,
    RunEnded,
    RunStarted,
    Saved,
    StepDone,
    Summary,
    Validated,
    Warned,
)
from ofa_trainer.reporting.json_lines import JsonLinesReporter
from ofa_trainer.reporting.progress import ProgressReporter

__all__ = [
    "Event",
    "Figure",
    "Fitting",
    "JsonLinesReporter",
    "ProgressReporter",
    "Reporter",
    "Reporters",
    "RowSkipped",
    "RunEnded",
    "RunStarted",
    "Saved",
    "StepDone",
    "Summary",
    "Validated",
    "Warned",
]
