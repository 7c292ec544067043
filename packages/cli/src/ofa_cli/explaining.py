"""What a model will see of a row: segments, tokens, labels, lengths; pictures and clips rebuilt from their patches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofa_modalities.processor import DecodeContext
from ofa_modalities.segment import EncodedSegment, Example
from ofa_trainer.cutting import cut_message
from ofa_trainer.mixture import Draw
from ofa_trainer.preparing import Prepared
from ofa_trainer.row_transforms.applying import row_changes
from ofa_trainer.sources.choosing import spread_indices
from ofa_trainer.sources.views import row_number
from ofa_trainer.workers import BadRow, RowReader

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from rich.console import Console

NO_LABEL = "·"
_SEEN = frozenset({"AUDIO", "IMAGE", "VIDEO"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSegment:
    """One segment. tokens, labels: as a person would read them; a label of ``·`` has no loss."""

    side: str
    kind: str
    column: str
    num_tokens: int
    shape: tuple[int, ...]
    units: str
    tokens: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    picture: Image | None = None

    def as_json(self) -> dict[str, Any]:
        """For a program; the picture is left to --out."""
        return {
            "side": self.side,
            "kind": self.kind,
            "column": self.column or None,
            "num_tokens": self.num_tokens,
            "shape": list(self.shape),
            "units": self.units,
            "tokens": list(self.tokens),
            "labels": [None if label == NO_LABEL else label for label in self.labels],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRow:
    """One row. row: its number in the data, from 1. cut: what is longer than its limit. error: why it cannot be encoded."""

    task: str
    address: str
    row: int
    num_source_tokens: int = 0
    num_target_tokens: int = 0
    segments: tuple[SeenSegment, ...] = ()
    cut: tuple[str, ...] = ()
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "task": self.task,
            "address": self.address,
            "row": self.row,
            "num_source_tokens": self.num_source_tokens,
            "num_target_tokens": self.num_target_tokens,
            "segments": [segment.as_json() for segment in self.segments],
            "cut": list(self.cut),
            "error": self.error or None,
        }


def explain_rows(prepared: Prepared, count: int, *, seed: int = 0) -> Iterator[SeenRow]:
    """``count`` training rows of each task, spread over all, as the first epoch will encode them."""
    sources = tuple(task.source("train") for task in prepared.tasks)
    assert all(source is not None for source in sources)
    reader = RowReader(
        encoder=prepared.encoder,
        names=tuple(task.name for task in prepared.tasks),
        sources=sources,  # type: ignore[arg-type]
        transforms=tuple(
            row_changes(task, plan, prepared.encoder.hosts) for task, plan in zip(prepared.tasks, prepared.plans, strict=True)
        ),
        split="train",
        seed=seed,
    )
    for number, (task, source) in enumerate(zip(prepared.tasks, sources, strict=True)):
        assert source is not None
        for index in spread_indices(len(source), count, seed):
            result = reader(Draw(task=number, epoch=0, index=index))
            row = row_number(source, index)
            if isinstance(result, BadRow):
                yield SeenRow(task=task.name, address=source.address(index), row=row, error=str(result))
            else:
                yield _row(prepared, task.name, result, row)


def _row(prepared: Prepared, task: str, example: Example, row: int) -> SeenRow:
    sides = (("source", example.source), ("target", example.target))
    return SeenRow(
        task=task,
        address=example.address,
        row=row,
        num_source_tokens=example.num_source_tokens,
        num_target_tokens=example.num_target_tokens,
        segments=tuple(_segment(prepared, side, segment) for side, segments in sides for segment in segments),
        cut=tuple(cut_message(cut, prepared.encoder.slots) for cut in example.cuts),
    )


def _segment(prepared: Prepared, side: str, segment: EncodedSegment) -> SeenSegment:
    spell = partial(_spelled, prepared, segment)
    slot = prepared.encoder.slots[segment.slot].slot if segment.slot >= 0 else None
    ids = segment.units.dtype.kind == "i"
    tokens = spell(segment.units) if ids else ()
    return SeenSegment(
        side=side,
        kind=slot.modality if slot is not None else "words",
        column=slot.column if slot is not None else "",
        num_tokens=segment.num_tokens,
        shape=tuple(segment.layout),
        units="ids" if ids else f"{segment.units.shape[-1]} floats",
        tokens=tokens,
        labels=_labels(segment, spell),
        picture=_picture(prepared, segment) if slot is not None and slot.modality in _SEEN else None,
    )


def _picture(prepared: Prepared, segment: EncodedSegment) -> Image | None:
    """The picture that is read or that is to be answered; of a clip its frames side by side, of sound its bands over time. None
    for anything else."""
    from PIL import Image as library

    processor = prepared.encoder.processor(segment.slot)
    value: Any = None
    if segment.labels is not None:
        value = processor.decode(segment.labels, DecodeContext())
    elif segment.frames is not None:
        value = processor.decode(segment.frames, DecodeContext())
    elif segment.units.dtype.kind != "i":
        value = processor.show(segment.units, segment.shape)
    if hasattr(value, "sheet"):
        value = value.sheet()
    return value if isinstance(value, library.Image) else None


def _spelled(prepared: Prepared, segment: EncodedSegment, ids: NDArray[Any]) -> tuple[str, ...]:
    """Each id as a person reads it: characters, names of control tokens, and of a category its label."""
    words = prepared.vocabulary.spell(ids.tolist())
    if segment.slot >= 0 and prepared.encoder.slots[segment.slot].slot.modality == "CATEGORY":
        blocks = prepared.vocabulary.block_of(ids)
        decode = prepared.encoder.processor(segment.slot).decode
        words = [
            f"<{decode(ids[place : place + 1], DecodeContext())}>" if block not in ("control", "text") else word
            for place, (block, word) in enumerate(zip(blocks, words, strict=True))
        ]
    return tuple(words)


def _labels(segment: EncodedSegment, spell: Callable[[NDArray[Any]], tuple[str, ...]]) -> tuple[str, ...]:
    if segment.labels is not None and segment.weights is not None:
        pairs = zip(spell(segment.labels), segment.weights, strict=True)
        return tuple(label if weight > 0 else NO_LABEL for label, weight in pairs)
    if segment.frames is not None:
        return tuple(f"frame {number}" for number in range(len(segment.frames)))
    return ()


def save_pictures(rows: Sequence[SeenRow], folder: Path) -> list[Path]:
    """Write the rebuilt pictures as PNG, each named by its task and row, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for row in rows:
        for place, segment in enumerate(row.segments):
            if segment.picture is not None:
                path = folder / f"{row.task}-{row.row:05}-{segment.column}-{place}.png"
                segment.picture.save(path)
                paths.append(path)
    return paths


def print_rows(rows: Sequence[SeenRow], console: Console) -> None:
    """For a person: a line a segment, tokens and labels below it."""
    from rich.padding import Padding
    from rich.text import Text

    for row in rows:
        head = Text.assemble((row.task, "bold cyan"), "  ", (row.address, "bold"))
        if row.error:
            console.print(Text.assemble(head, ("  bad row: ", "bold red"), row.error), soft_wrap=True)
            continue
        total = row.num_source_tokens + row.num_target_tokens
        head.append(f"  {total} tokens = {row.num_source_tokens} source + {row.num_target_tokens} target", "dim")
        console.print(head)
        for segment in row.segments:
            name = Text.assemble((f"{segment.side:<7}", "dim"), (f"{segment.kind:<8} ", "cyan"), f"{segment.column:<9} ")
            shape = " × ".join(map(str, segment.shape))
            suffix = f" ({shape}, each {segment.units})" if segment.units != "ids" else ""
            name.append(f"{segment.num_tokens} token{'s' if segment.num_tokens != 1 else ''}{suffix}", "dim")
            console.print(Padding(name, (0, 0, 0, 2), expand=False))
            for title, words in (("read", segment.tokens), ("learn", segment.labels)):
                if words:
                    line = Text.assemble((f"{title:<6}", "dim"), " ".join(words))
                    console.print(Padding(line, (0, 0, 0, 9), expand=False))
        for message in row.cut:
            console.print(Padding(Text(message, "yellow"), (0, 0, 0, 2), expand=False))
        console.print()
