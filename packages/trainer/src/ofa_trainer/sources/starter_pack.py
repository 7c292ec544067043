"""The starter pack as the source ``starter``."""

from __future__ import annotations

from pathlib import Path

from ofa_trainer.source import Source
from ofa_trainer.sources.specs import StarterOptions


def open_starter(options: StarterOptions, base: Path) -> Source:
    """Rows of one task and split of the pack."""
    from ofa_trainer.starter import starter_source

    return starter_source(options.task, options.split, options.seed)
