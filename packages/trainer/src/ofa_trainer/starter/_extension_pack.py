"""Reading the extension's files, once a process: speech, motion, clips, tables and words."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ofa_trainer.starter._pack import _bytes, _file_bytes, _read, _text

Float32: TypeAlias = NDArray[np.float32]
Cell: TypeAlias = str | int | float

FOLDER = "extension"
FILES = ("speech", "motion", "video", "tables", "phones")

_ROTATION_SCALE = 32767
_POSITION_SCALE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """Speech of up to 4 s, one channel of 8 kHz.

    Attributes:
        row: 0-based row of ``speech.parquet``.
        ogg: the file, Ogg Opus.
        text: what is said, lower-case words.
        kind: ``prompt`` (a person, any sentence) or ``phrase`` (a synthetic voice, one to three of 42 words).
        voice: who speaks.
        seconds: how long it lasts.
    """

    row: int
    ogg: bytes
    text: str
    kind: str
    voice: str
    seconds: float
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionClip:
    """A named human motion, y up, the person facing x, in metres.

    Attributes:
        rotations: relative to the parent, unit quaternions (w, x, y, z), float32 ``[T, J, 4]``.
        root_position: float32 ``[T, 3]``.
        fps: frames a second.
    """

    row: int
    name: str
    rotations: Float32
    root_position: Float32
    fps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """Joints by name, parents (-1: none) and offsets from them in metres, float32 ``[J, 3]``."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Eight frames of 32 × 32 px as an animated WebP, what happens in them, and a sentence that says it.

    ``kind`` is ``thing`` or ``person``; ``view`` names what is held out together.
    """

    row: int
    webp: bytes
    label: str
    cap: str
    kind: str
    view: str
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRecord:
    """A table of one-word columns; the first column tells its rows apart, ``groups`` are columns of few values."""

    row: int
    name: str
    columns: tuple[str, ...]
    groups: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    source: str
    licence: str
    credit: str
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word and its phones in ARPAbet, vowels with their stress."""

    row: int
    word: str
    phones: str
    split: str


@cache
def utterances() -> tuple[Utterance, ...]:
    """All utterances, in the file's order, which is that of a hash."""
    columns = ("text", "kind", "voice", "split")
    return tuple(
        Utterance(
            row=number, ogg=_bytes(row, "audio"), seconds=_number(row, "seconds"), **{name: _text(row, name) for name in columns}
        )
        for number, row in enumerate(_read(f"{FOLDER}/speech"))
    )


@cache
def motion_clips() -> tuple[MotionClip, ...]:
    """The motions by name."""
    found = []
    for number, row in enumerate(_read(f"{FOLDER}/motion")):
        rotations = np.frombuffer(_bytes(row, "rotations"), "<i2").astype(np.float32) / np.float32(_ROTATION_SCALE)
        positions = np.frombuffer(_bytes(row, "root_position"), "<i2").astype(np.float32) / np.float32(_POSITION_SCALE)
        found.append(
            MotionClip(
                row=number,
                name=_text(row, "clip"),
                rotations=rotations.reshape(-1, len(skeleton().names), 4),
                root_position=positions.reshape(-1, 3),
                fps=_number(row, "fps"),
            )
        )
    return tuple(found)


@cache
def skeleton() -> Skeleton:
    """The skeleton of all motions."""
    import pyarrow.parquet as parquet

    told = json.loads(parquet.read_schema(io.BytesIO(_file_bytes(f"{FOLDER}/motion"))).metadata[b"skeleton"])
    return Skeleton(names=tuple(told["names"]), parents=tuple(told["parents"]), offsets=np.asarray(told["offsets"], np.float32))


@cache
def clips() -> tuple[Clip, ...]:
    """All clips, in the file's order, which is that of a hash."""
    columns = ("label", "cap", "kind", "view", "split")
    return tuple(
        Clip(row=number, webp=_bytes(row, "video"), **{name: _text(row, name) for name in columns})
        for number, row in enumerate(_read(f"{FOLDER}/video"))
    )


@cache
def tables() -> tuple[TableRecord, ...]:
    """All tables by name."""
    found = []
    for number, row in enumerate(_read(f"{FOLDER}/tables")):
        texts = {name: _text(row, name) for name in ("name", "source", "licence", "credit", "split")}
        columns, groups = row["columns"], row["groups"]
        assert isinstance(columns, list)
        assert isinstance(groups, list)
        rows = tuple(tuple(cells) for cells in json.loads(_text(row, "rows")))
        found.append(TableRecord(row=number, columns=tuple(columns), groups=tuple(groups), rows=rows, **texts))
    return tuple(found)


@cache
def words() -> tuple[Word, ...]:
    """All words, in the file's order, which is that of a hash."""
    columns = ("word", "phones", "split")
    return tuple(
        Word(row=number, **{name: _text(row, name) for name in columns}) for number, row in enumerate(_read(f"{FOLDER}/phones"))
    )


@cache
def extension_digest(name: str) -> str:
    """SHA-256 of one of the extension's files, or of another file of the pack."""
    return hashlib.sha256(_file_bytes(f"{FOLDER}/{name}" if name in FILES else name)).hexdigest()


def _number(row: dict[str, object], column: str) -> float:
    value = row[column]
    assert isinstance(value, float), column
    return value
