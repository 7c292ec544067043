"""``ofa infer``: ask a trained model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ofa_cli.console import print_json, print_warning, stderr, write
from ofa_cli.errors import UserError
from ofa_cli.options import AsJson, CheckpointArgument, Columns, Delimiter, Device, Encoding, Root

if TYPE_CHECKING:
    from ofa_models.plans import GenerationOptions
    from ofa_models.session import Output, Session

    from ofa_cli.answering import AnsweredRow


def infer(
    context: typer.Context,
    checkpoint: CheckpointArgument,
    instruction: Annotated[
        str, typer.Argument(metavar="INSTRUCTION", help="An instruction, or a trained task's name.", show_default=False)
    ],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="NAME=VALUE", help="A column's value; the same as --NAME VALUE.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Ask every row of it: CSV, TSV, JSONL, Parquet or a folder; - is stdin.")
    ] = None,
    data_columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    root: Root = None,
    candidates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The closed set: a candidate a line, or JSON by column.")
    ] = None,
    beams: Annotated[int | None, typer.Option(metavar="N", min=1, help="Beam search with so many beams.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Draw the answer instead of taking the likeliest.")] = False,
    temperature: Annotated[float | None, typer.Option(metavar="N", help="Of --sample.")] = None,
    top_k: Annotated[int | None, typer.Option(metavar="N", min=1, help="Of --sample: among so many.")] = None,
    top_p: Annotated[float | None, typer.Option(metavar="N", help="Of --sample: among those that hold this share.")] = None,
    max_length: Annotated[int | None, typer.Option(metavar="N", min=1, help="Longest answer in tokens.")] = None,
    length: Annotated[int | None, typer.Option(metavar="N", min=1, help="Frames of a motion.")] = None,
    guidance: Annotated[
        float | None, typer.Option(metavar="N", min=0, help="How strongly a motion follows its source; 1: as trained.")
    ] = None,
    num_return: Annotated[int | None, typer.Option("--return", metavar="N", min=1, help="Answers of a row (--json).")] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="K", min=1, help="The K likeliest of a closed set, with their probabilities.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of --sample.")] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Write the answer: a file by its suffix, or a folder; of --data a .csv or .jsonl too."),
    ] = None,
    hosts: Annotated[
        list[str] | None, typer.Option("--host", metavar="NAME", help="A host that URLs may be fetched from; no others are.")
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Ask a trained model. Every column that the instruction reads is an option of its own name.

    [bold]Example[/bold]  ofa infer runs/task '\\[IMAGE:img] what is this? -> \\[TEXT:label,closed_set]' --img photo.jpg

    [bold]Example[/bold]  ofa infer runs/ground ground --img a.png --cap 'red disc' --save answer.png

    [bold]Example[/bold]  ofa infer runs/task task --data test.csv --save predictions.csv

    [bold]Example[/bold]  ofa infer runs/sum sum --text -5 --unit "" --input data=x   (a column named as an option is)
    """
    from ofa_models.session import Session
    from ofa_trainer.checkpointing import find_checkpoint

    from ofa_cli.answering import answer_rows, is_predictions, printed
    from ofa_cli.asking import asked_columns, read_candidates, save_answer
    from ofa_cli.column_options import COLUMNS, options_of, read_columns, require_columns
    from ofa_cli.data_files import DataFile

    if top is not None and sample:
        raise UserError("--top shows the likeliest answers, --sample draws one: leave one of them out")
    if instruction.startswith("--"):
        raise UserError(f"`{instruction}` stands where the instruction belongs: ofa infer CHECKPOINT INSTRUCTION --NAME VALUE …")
    if num_return is not None and not as_json and save is None and (top or 0) < num_return:
        print_warning(f"--return {num_return}: one answer a row is printed; --json prints all of them, and --save keeps them")
    if data is not None and save is not None:
        is_predictions(save)
    given = DataFile(data=data, columns=data_columns, delimiter=delimiter, root=root, encoding=encoding)
    session = Session.from_pretrained(find_checkpoint(checkpoint), hosts=hosts or (), device=device or "cpu")
    closed = read_candidates(candidates) if candidates is not None else None
    plan = session.resolve(instruction, closed).plan
    columns = asked_columns(plan)
    if top is not None and beams is None and all(slot.closed_set is None for slot in plan.slots if slot.generator is not None):
        beams = top
    own_options = options_of(context.command, context)
    values = read_columns(context.meta[COLUMNS], inputs or [], columns, options=own_options, extra=context.args)
    options = _generation(
        session,
        strategy="sample" if sample else "beam" if beams is not None else None,
        num_beams=beams,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        max_length=max_length,
        length=length,
        guidance=guidance,
        num_return=max(filter(None, (num_return, top)), default=None),
        seed=seed,
    )
    if data is None:
        require_columns(values, columns, own_options)
        output = session(instruction, values, candidates=closed, generation=options)
        _print_answer(output, as_json=as_json, top=top)
        _tell_cut(Counter(slot.column for slot in output.slots if not slot.finished), 1)
        written = [] if save is None else save_answer(output, save)
    else:
        rows = answer_rows(session, instruction, given, values, closed, options)
        written = _answer_file(data, printed(rows, as_json=as_json, top=top, go_on=save is not None), save)
    for path in written:
        stderr().print(f"wrote {path}", style="dim", markup=False, soft_wrap=True)


def _answer_file(data: Path, rows: Iterator[AnsweredRow], save: Path | None) -> list[Path]:
    """Ask the rows, one by one as they are printed and saved; what was written. Raises UserError where there was no answer."""
    from ofa_cli.answering import save_rows
    from ofa_cli.data_files import name_of

    first = next(rows, None)
    if first is None:
        raise UserError(f"no row of {name_of(data)} could be answered; there is none below its header, or each was skipped above")
    total, cut = 0, Counter[str]()

    def counted() -> Iterator[AnsweredRow]:
        nonlocal total
        for one in chain([first], rows):
            total += 1
            cut.update(slot.column for slot in one.output.slots if not slot.finished)
            yield one

    written = save_rows(counted(), save)
    _tell_cut(cut, total)
    return written


def _tell_cut(cut: Mapping[str, int], total: int) -> None:
    """Say which columns were answered up to a limit and no further. cut: how many answers, by column."""
    for column, count in cut.items():
        which = "the answer" if total == 1 else f"{count:,} of {total:,} answers"
        print_warning(f"{which} of `{column}` met the longest length and was cut there; --max-length N allows another")


def _generation(session: Session, **given: object) -> GenerationOptions:
    """The checkpoint's own options with what the command line says laid over them."""
    from ofa_models.plans import GenerationOptions

    own = session.checkpoint.plan.generation.model_dump()
    return GenerationOptions.model_validate(own | {key: value for key, value in given.items() if value is not None})


def _print_answer(output: Output, *, as_json: bool, top: int | None = None) -> None:
    from ofa_cli.asking import answer_json, answer_text, top_lines

    if as_json:
        print_json(answer_json(output))
    elif top is not None:
        write("\n".join(top_lines(output, top)))
    else:
        write(answer_text(output))
