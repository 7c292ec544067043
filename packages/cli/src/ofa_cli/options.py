"""Options that several commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

RunOrInstruction: TypeAlias = Annotated[
    str, typer.Argument(metavar="RUN.YAML|INSTRUCTION", help="A run file, or an instruction with --data.", show_default=False)
]
RunFileArgument: TypeAlias = Annotated[Path, typer.Argument(metavar="RUN.YAML", help="The run file.", show_default=False)]
Data: TypeAlias = Annotated[
    Path | None,
    typer.Option("--data", metavar="PATH", help="Rows: CSV, TSV, JSONL, Parquet, or a folder of class folders; - is stdin."),
]
Columns: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="NAME=HEADER", help="A column of --data that is called otherwise: 'label=1st choice'."),
]
Delimiter: TypeAlias = Annotated[
    str | None, typer.Option(metavar="SIGN", help="What stands between the cells of a CSV --data; recognised by itself.")
]
Encoding: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of a CSV --data that is not UTF-8: cp1252, latin-1, utf-16, …")
]
Root: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where media paths in --data start, and stay; the file's folder by itself.")
]
Settings: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Lay a.b=c over the run file; may be repeated.")
]
Device: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="Where the model runs: cpu, cuda, cuda:1; auto: a GPU where there is one.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")]
CheckpointArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint folder, or the output folder of a run.", show_default=False)
]
