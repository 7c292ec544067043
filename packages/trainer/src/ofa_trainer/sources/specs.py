"""Specs of the built-in sources: pydantic only.

A source's implementation is a function ``(options, base) -> Source``; ``base`` is the folder that relative paths start from.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ofa_instruction.specs import Options, SourceSpec
from pydantic import BeforeValidator, Field


class FileOptions(Options):
    """What every source that reads a file has."""

    path: str
    root: str | None = None
    """Folder that media paths in the rows are relative to and must stay in; None: the file's own folder."""


def _tab(value: Any) -> Any:
    """A tab, which a command line or YAML cannot always say."""
    return "\t" if value in ("\\t", "tab") else value


Delimiter = Annotated[str, Field(min_length=1, max_length=1), BeforeValidator(_tab)]
"""One character; also ``tab`` and ``\\t``, written out."""


class CsvOptions(FileOptions):
    """Options of ``csv``."""

    delimiter: Delimiter | None = None
    """None: recognised among comma, semicolon, tab and bar."""
    usual: Delimiter | None = None
    """Which one where several fit, or none does; None: a tab in files that end in ``.tsv``, else a comma."""
    encoding: str | None = None
    """A byte order mark says another by itself; None: UTF-8, else ``usual_encoding``."""
    usual_encoding: str | None = None
    """Of a file that is no UTF-8 text."""


class JsonlOptions(FileOptions):
    """Options of ``jsonl``."""


class ParquetOptions(FileOptions):
    """Options of ``parquet``."""

    columns: tuple[str, ...] | None = None
    """Read only these; None: all."""


class FolderOptions(FileOptions):
    """Options of ``folder``."""

    modality: Literal["IMAGE", "AUDIO", "VIDEO", "MOTION"] | None = None
    """Which files are rows; None: as the instruction says, else the only kind there is."""
    column: str | None = None
    """Name of their column; None: as the instruction says, else ``img``, ``audio``, ``video`` or ``motion``."""
    label: str = "label"
    """Name of the column of their classes; the instruction's only other column where it has one."""


class StarterOptions(Options):
    """Options of ``starter``."""

    task: (
        Literal["classify", "caption", "vqa", "ground", "summary", "infill"]
        | Literal["speech", "speak", "phones", "motion_caption", "move", "clip", "table_qa", "sql", "draw"]
    )
    split: Literal["train", "valid", "test"] = "train"
    seed: int = Field(default=0, ge=0)
    """Of composed scenes and shifted drawings, in training."""


CSV = SourceSpec(
    name="csv",
    summary="A CSV or TSV file with a header.",
    aliases=("tsv",),
    options=CsvOptions,
    suffixes=(".csv", ".tsv"),
    implementation="ofa_trainer.sources.csv_file:open_csv",
)
JSONL = SourceSpec(
    name="jsonl",
    summary="A file of JSON objects, one a line.",
    options=JsonlOptions,
    suffixes=(".jsonl", ".ndjson"),
    implementation="ofa_trainer.sources.jsonl_file:open_jsonl",
)
PARQUET = SourceSpec(
    name="parquet",
    summary="A Parquet file, or a folder of them; read by row groups.",
    options=ParquetOptions,
    suffixes=(".parquet",),
    implementation="ofa_trainer.sources.parquet_file:open_parquet",
)
FOLDER = SourceSpec(
    name="folder",
    summary="A folder with a folder of pictures, sounds, clips or motions for each class.",
    options=FolderOptions,
    implementation="ofa_trainer.sources.folder:open_folder",
)
STARTER = SourceSpec(
    name="starter",
    summary="The starter pack: small real data for fifteen tasks, part of this package.",
    options=StarterOptions,
    implementation="ofa_trainer.sources.starter_pack:open_starter",
)

SOURCES = (CSV, JSONL, PARQUET, FOLDER, STARTER)
