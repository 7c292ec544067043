"""``ofa infer``: ask a trained model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ofa_cli.console import print_json, print_warning, stderr, write
from ofa_cli.errors import UserError
from ofa_cli.options import AsJson, CheckpointArgument

if TYPE_CHECKING:
    from ofa_models.plans import GenerationOptions
    from ofa_models.session import Output, Session

ROWS_AT_ONCE = 64


def infer(
    context: typer.Context,
    checkpoint: CheckpointArgument,
    instruction: Annotated[
        str, typer.Argument(metavar="INSTRUCTION", help="An instruction, or a trained task's name.", show_default=False)
    ],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="NAME=VALUE", help="A column's value; the same as --NAME VALUE.")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="Ask every row of a CSV, TSV, JSONL or Parquet file.")] = None,
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
        Path | None, typer.Option(metavar="PATH", help="Write the answer: a file by its suffix, or a folder.")
    ] = None,
    hosts: Annotated[
        list[str] | None, typer.Option("--host", metavar="NAME", help="A host that URLs may be fetched from; no others are.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a trained model. Every column that the instruction reads is an option of its own name.

    [bold]Example[/bold]  ofa infer runs/task '\\[IMAGE:img] what is this? -> \\[TEXT:label,closed_set]' --img photo.jpg

    [bold]Example[/bold]  ofa infer runs/ground ground --img a.png --cap 'red disc' --save answer.png

    [bold]Example[/bold]  ofa infer runs/sum sum --text -5 --unit "" --input data=x   (a column named as an option is)
    """
    from ofa_models.session import Session
    from ofa_trainer.checkpointing import find_checkpoint

    from ofa_cli.asking import asked_columns, read_candidates, save_answers
    from ofa_cli.column_options import COLUMNS, options_of, read_columns, require_columns

    if top is not None and sample:
        raise UserError("--top shows the likeliest answers, --sample draws one: leave one of them out")
    if instruction.startswith("--"):
        raise UserError(f"`{instruction}` stands where the instruction belongs: ofa infer CHECKPOINT INSTRUCTION --NAME VALUE …")
    if data is not None and save is not None and save.suffix:
        raise UserError(f"--save {save}: the answers of many rows go into a folder, or as one document into --json > {save}")
    session = Session.from_pretrained(find_checkpoint(checkpoint), hosts=hosts or ())
    closed = read_candidates(candidates) if candidates is not None else None
    columns = asked_columns(session.resolve(instruction, closed).plan)
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
        answers = {"answer": session(instruction, values, candidates=closed, generation=options)}
        _print_answer(answers["answer"], as_json=as_json, top=top)
    else:
        answers = _print_answers(_rows(session, instruction, data, values, closed, options), as_json=as_json, top=top)
        if not answers:
            raise UserError(f"no row of {data} could be answered")
    _tell_cut(answers.values())
    if save is not None:
        for path in save_answers(answers, save):
            stderr().print(f"wrote {path}", style="dim", markup=False, soft_wrap=True)


def _tell_cut(answers: Collection[Output]) -> None:
    """Say which columns were answered up to a limit and no further."""
    cut = Counter(slot.column for answer in answers for slot in answer.slots if not slot.finished)
    for column, count in cut.items():
        which = "the answer" if len(answers) == 1 else f"{count:,} of {len(answers):,} answers"
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


def _print_answers(rows: Iterable[tuple[int, str, Output | str]], *, as_json: bool, top: int | None = None) -> dict[str, Output]:
    """Print the answers of a file's rows as they come (JSON: at the end), warn of the others; the answers by row number."""
    from ofa_cli.asking import answer_json, answer_text, top_lines

    answers: dict[str, Output] = {}
    found = []
    for number, address, answer in rows:
        if isinstance(answer, str):
            print_warning(f"skipped {answer}")
            continue
        answers[f"{number:05}"] = answer
        if as_json:
            found.append({"row": number} | answer_json(answer, address))
        elif top is not None:
            write("\n".join(f"{address}\t{line}" for line in top_lines(answer, top)))
        else:
            write(f"{address}\t{answer_text(answer)}")
    if as_json:
        print_json(found)
    return answers


def _rows(
    session: Session,
    instruction: str,
    data: Path,
    values: dict[str, str],
    closed: list[str] | dict[str, list[str]] | None,
    options: GenerationOptions,
) -> Iterator[tuple[int, str, Output | str]]:
    """(row number, address, answer or what is wrong) of every row of a file in order, ``values`` laid over each."""
    from ofa_modalities.processor import SampleError
    from ofa_trainer.sources.opening import open_source
    from ofa_trainer.sources.views import row_number

    source = open_source(data, base=Path.cwd())
    root = getattr(source, "root", None)
    for start in range(0, len(source), ROWS_AT_ONCE):
        indices = range(start, min(start + ROWS_AT_ONCE, len(source)))
        found: dict[int, Output | SampleError] = {}
        rows = {}
        for index in indices:
            try:
                rows[index] = {**source.read(index, 0), **values}
            except SampleError as error:
                found[index] = error
        addresses = [source.address(index) for index in rows]
        answers = session.batch(
            instruction,
            list(rows.values()),
            candidates=closed,
            generation=options,
            on_error="collect",
            addresses=addresses,
            root=root,
        )
        found.update(zip(rows, answers, strict=True))
        for index in indices:
            answer = found[index]
            yield row_number(source, index), source.address(index), str(answer) if isinstance(answer, SampleError) else answer
