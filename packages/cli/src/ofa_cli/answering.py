"""Rows of a file asked one after the other: answered, printed as they come, written under their own numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ofa_cli.asking import answer_json, answer_line, asked_columns, save_answer, top_lines
from ofa_cli.console import ReaderGone, print_json, print_warning, write
from ofa_cli.data_files import DataFile
from ofa_cli.errors import UserError

if TYPE_CHECKING:
    from ofa_models.plans import GenerationOptions
    from ofa_models.session import Output, Session
    from ofa_trainer.predictions import Prediction

ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRow:
    """number: of the row in the data, counted from 1. row: its raw values."""

    number: int
    address: str
    row: Mapping[str, object]
    output: Output

    def prediction(self) -> Prediction:
        """The row for a file of predictions; what the data says of the answered columns stands there as the truth."""
        from ofa_trainer.predictions import Prediction

        return Prediction(
            row=self.number,
            inputs={column: value for column, value in self.row.items() if column not in self.output},
            answers=dict(self.output),
            truths={column: self.row[column] for column in self.output if column in self.row},
            probability=math.exp(self.output.log_probability),
        )


def answer_rows(
    session: Session,
    instruction: str,
    data: DataFile,
    values: Mapping[str, str],
    closed: list[str] | dict[str, list[str]] | None,
    options: GenerationOptions,
) -> Iterator[AnsweredRow]:
    """The rows of a file that can be answered, in order, ``values`` laid over each; of the others a warning."""
    from ofa_modalities.processor import SampleError
    from ofa_trainer.plans import SourcePlan
    from ofa_trainer.sources.as_trained import open_as_trained
    from ofa_trainer.sources.views import row_number

    resolved = session.resolve(instruction, closed)
    needed = [column for column in asked_columns(resolved.plan) if column not in values]
    source = open_as_trained(
        SourcePlan.model_validate(data.source()),
        session.checkpoint.plan,
        resolved.task,
        instruction=resolved.plan.text,
        needed=needed,
        known=list(dict.fromkeys(slot.column for slot in resolved.plan.slots)),
        columns=data.names(),
        delimiter=data.delimiter,
        base=Path.cwd(),
    )
    root = getattr(source, "root", None)
    for start in range(0, len(source), ROWS_AT_ONCE):
        indices = range(start, min(start + ROWS_AT_ONCE, len(source)))
        rows: dict[int, Mapping[str, object]] = {}
        found: dict[int, Output | SampleError] = {}
        for index in indices:
            try:
                rows[index] = {**source.read(index, 0), **values}
            except SampleError as error:
                found[index] = error
        addresses = [source.address(index) for index in rows]
        given = list(rows.values())
        answers = session.batch(
            instruction, given, candidates=closed, generation=options, on_error="collect", addresses=addresses, root=root
        )
        found |= dict(zip(rows, answers, strict=True))
        for index in indices:
            answer = found[index]
            if isinstance(answer, SampleError):
                print_warning(f"skipped {answer}")
            else:
                yield AnsweredRow(number=row_number(source, index), address=source.address(index), row=rows[index], output=answer)


def printed(rows: Iterable[AnsweredRow], *, as_json: bool, top: int | None, go_on: bool) -> Iterator[AnsweredRow]:
    """The rows again, each printed on a line of its own (JSON: all at the end).

    go_on: where the reader of the lines has gone, the rows are still wanted.
    """
    documents = []
    gone = False
    for one in rows:
        if as_json:
            documents.append({"row": one.number} | answer_json(one.output, one.address))
        elif not gone:
            lines = [answer_line(one.output)] if top is None else top_lines(one.output, top)
            try:
                write("\n".join(f"{one.address}\t{line}" for line in lines))
            except ReaderGone:
                if not go_on:
                    raise
                gone = True
        yield one
    if as_json:
        print_json(documents)


def is_predictions(save: Path) -> bool:
    """Whether the answers of many rows go into one file; else they go into a folder. Raises UserError for another file."""
    from ofa_trainer.predictions import SUFFIXES

    if save.suffix and save.suffix.lower() not in SUFFIXES:
        raise UserError(f"--save {save}: the answers of many rows go into a folder, or a line a row into {' or '.join(SUFFIXES)}")
    return bool(save.suffix)


def save_rows(rows: Iterable[AnsweredRow], save: Path | None) -> list[Path]:
    """Write answers as they come: a line a row into one file, or files by row number into a folder; None: nowhere."""
    from ofa_trainer.predictions import save_predictions

    if save is not None and is_predictions(save):
        return [save_predictions((one.prediction() for one in rows), save)]
    for one in rows:
        if save is not None:
            save_answer(one.output, save, f"{one.number:05}")
    return [] if save is None else [save]
