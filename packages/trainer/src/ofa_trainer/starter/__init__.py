"""The starter pack: small real data for fifteen tasks, in the package, ready to train on.

    1. _pack.py     reads the committed Parquet files, once a process, into typed records
    2. _scenes.py   composes a picture of sprites on a photograph, and says where each one is
    3. _ask.py      asks a question about such a picture, and answers it from its record
    4. _sentences.py  takes single sentences out of the descriptions
    5. _sources.py  six sources of rows, one a task (_rows.py: what all sources do alike)

    _extension_pack.py  reads the files of the other modalities
    _motion.py          performs a clip at a speed, once or twice, straight or in a curve, and says so (_quaternions.py turns it)
    _tables.py          asks a few rows of a table, in English and in SQL, and answers through sqlite
    _extension.py       nine more sources

Example:
    >>> source = starter_source("caption", "test")
    >>> row = source.read(0, epoch=0)
    >>> sorted(row)
    ['cap', 'img']
"""

from __future__ import annotations

from ofa_trainer.starter._extension import EXTENSION_TASKS, ExtensionSource, ExtensionTask
from ofa_trainer.starter._scenes import Scene, SceneObject, compose_scene
from ofa_trainer.starter._sources import STARTER_TASKS, StarterSource, StarterTask, starter_source

__all__ = [
    "EXTENSION_TASKS",
    "STARTER_TASKS",
    "ExtensionSource",
    "ExtensionTask",
    "Scene",
    "SceneObject",
    "StarterSource",
    "StarterTask",
    "compose_scene",
    "starter_source",
]
