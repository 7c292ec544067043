"""The starter pack: small real data for six tasks, in the package, ready to train on.

    1. _pack.py     reads the committed Parquet files, once a process, into typed records
    2. _scenes.py   composes a picture of sprites on a photograph, and says where each one is
    3. _ask.py      asks a question about such a picture, and answers it from its record
    4. _sentences.py  takes single sentences out of the descriptions
    5. _sources.py  six sources of rows, one a task

Example:
    >>> source = starter_source("caption", "test")
    >>> row = source.read(0, epoch=0)
    >>> sorted(row)
    ['cap', 'img']
"""

from __future__ import annotations

from ofa_trainer.starter._scenes import Scene, SceneObject, compose_scene
from ofa_trainer.starter._sources import STARTER_TASKS, StarterSource, StarterTask, starter_source

__all__ = ["STARTER_TASKS", "Scene", "SceneObject", "StarterSource", "StarterTask", "compose_scene", "starter_source"]
