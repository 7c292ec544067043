"""Training: tasks, data sources, the mixture, criteria, metrics, the loop.

1  Task(name, instruction, train=rows)            task.py, presets.py, sources/
2  prepare: compile, vocabulary, closed sets      preparing.py
3  which row comes next                           mixture.py, stream.py, workers.py, row_transforms/
4  one step                                       step.py, criteria/, optimizers.py, schedule.py
5  the run                                        loop.py, trainer.py, checkpointing.py, reporting/
6  how good it is                                 evaluation.py, metrics/
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ofa_trainer.plans import EvaluatePlan, RunFile, SourcePlan, TaskFilePlan, TrainerOptions

if TYPE_CHECKING:
    from ofa_trainer.checkpointing import find_checkpoint
    from ofa_trainer.criterion import Criterion, CriterionContext, LossInputs, LossTerms
    from ofa_trainer.evaluation import Evaluation, MetricResult, evaluate
    from ofa_trainer.loop import Interrupted, NonFiniteLoss
    from ofa_trainer.presets import preset, preset_names
    from ofa_trainer.reporting import Event, JsonLinesReporter, ProgressReporter, Reporter
    from ofa_trainer.row_transforms.plans import Crop, Mirror
    from ofa_trainer.run_file import RunFileError, load_run, tasks_of_run
    from ofa_trainer.source import Source
    from ofa_trainer.sources.common import DataError
    from ofa_trainer.sources.opening import open_source
    from ofa_trainer.stream import TooManyBadRows
    from ofa_trainer.task import Task
    from ofa_trainer.train_plan import TrainPlan
    from ofa_trainer.trainer import Trained, Trainer

_HOMES = {
    "Criterion": "criterion",
    "CriterionContext": "criterion",
    "Crop": "row_transforms.plans",
    "DataError": "sources.common",
    "Evaluation": "evaluation",
    "Event": "reporting",
    "Interrupted": "loop",
    "JsonLinesReporter": "reporting",
    "LossInputs": "criterion",
    "LossTerms": "criterion",
    "MetricResult": "evaluation",
    "Mirror": "row_transforms.plans",
    "NonFiniteLoss": "loop",
    "ProgressReporter": "reporting",
    "Reporter": "reporting",
    "RunFileError": "run_file",
    "Source": "source",
    "Task": "task",
    "TooManyBadRows": "stream",
    "TrainPlan": "train_plan",
    "Trained": "trainer",
    "Trainer": "trainer",
    "evaluate": "evaluation",
    "find_checkpoint": "checkpointing",
    "load_run": "run_file",
    "open_source": "sources.opening",
    "preset": "presets",
    "preset_names": "presets",
    "tasks_of_run": "run_file",
}

__all__ = [
    "Criterion",
    "CriterionContext",
    "Crop",
    "DataError",
    "EvaluatePlan",
    "Evaluation",
    "Event",
    "Interrupted",
    "JsonLinesReporter",
    "LossInputs",
    "LossTerms",
    "MetricResult",
    "Mirror",
    "NonFiniteLoss",
    "ProgressReporter",
    "Reporter",
    "RunFile",
    "RunFileError",
    "Source",
    "SourcePlan",
    "Task",
    "TaskFilePlan",
    "TooManyBadRows",
    "TrainPlan",
    "Trained",
    "Trainer",
    "TrainerOptions",
    "evaluate",
    "find_checkpoint",
    "load_run",
    "open_source",
    "preset",
    "preset_names",
    "tasks_of_run",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
