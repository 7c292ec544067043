"""The main job: one generalist learns tasks of the starter pack in minutes, and shows what it learnt.

demo/
  recipe.py      six tasks, and every choice about them, named
  everything.py  fifteen tasks over all nine modalities
  plan.py        which of the two, with its budget and its model
  run.py         data, model, training, answers to held-out rows
  judging.py     figures of the answers, beside their baselines
  baselines.py   what a model must beat: answers that look at the training set alone
  results.py     what a run found, as plans (``results.json``)
  cards.py       held-out rows with what was answered, one card a row
  showing.py     sound, clips, motions and tables as files and HTML
  report.py      the terminal's table and the ``demo/`` folder
  page.html      the page's frame
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ofa_trainer.demo.report import TABLE_HEADER, table_rows
    from ofa_trainer.demo.results import DemoResult
    from ofa_trainer.demo.run import run_demo

_HOMES = {"TABLE_HEADER": "report", "table_rows": "report", "DemoResult": "results", "run_demo": "run"}

__all__ = ["TABLE_HEADER", "DemoResult", "run_demo", "table_rows"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
