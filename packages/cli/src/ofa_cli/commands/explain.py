"""``ofa explain``: what the model will see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ofa_cli.console import print_json, print_warning, stderr, stdout
from ofa_cli.options import AsJson, Columns, Data, Delimiter, Encoding, Root, RunOrInstruction, Settings


def explain(
    what: RunOrInstruction,
    data: Data = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    root: Root = None,
    count: Annotated[int, typer.Option("--rows", "-n", metavar="N", min=1, help="Rows of each task.")] = 3,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write pictures, rebuilt from their patches, as PNG.")] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Show what the model will see of some rows, spread over all: segments, tokens, labels and lengths.

    The tokenizer and the closed sets are made as training would make them.

    [bold]Example[/bold]  ofa explain run.yaml -n 3 --out seen
    """
    from ofa_instruction import default_catalog
    from ofa_trainer.cutting import look_for_cuts
    from ofa_trainer.preparing import prepare

    from ofa_cli.data_files import DataFile
    from ofa_cli.explaining import explain_rows, print_rows, save_pictures
    from ofa_cli.request import read_request

    given = DataFile(data=data, columns=columns, delimiter=delimiter, root=root, encoding=encoding)
    request = read_request(what, data=given, settings=settings or [])
    prepared = prepare(
        request.tasks(),
        request.run.model.plan(),
        request.run.trainer,
        default_catalog(),
        max_items=request.run.generation.max_items,
    )
    rows = list(explain_rows(prepared, count, seed=request.run.trainer.seed))
    if as_json:
        print_json([row.as_json() for row in rows])
    else:
        print_rows(rows, stdout())
    for cut in look_for_cuts(prepared):
        print_warning(str(cut))
    if out is not None:
        for path in save_pictures(rows, out):
            stderr().print(f"wrote {path}", style="dim", soft_wrap=True, markup=False)
