"""Reading the starter pack's files, once a process.

Records hold the encoded bytes; pictures are decoded when they are first used and kept, which costs 4 kB a drawing and
28 kB a background.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from PIL import Image

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

_FILES = ("drawings", "backgrounds", "descriptions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One drawing of a concept, 32 × 32 px with alpha.

    Attributes:
        row: 0-based row of ``drawings.parquet``.
        concept: key of the concept, the same in every set.
        name: one or two lower-case English words.
        category: one of seven words, such as ``food``.
        set: the set of drawings it is from, such as ``noto-v1``.
        style: whose hand it is by, such as ``noto``: two versions of a set are one style.
        sprite: whether composed scenes use it.
    """

    row: int
    concept: str
    name: str
    category: str
    set: str
    style: str
    split: str
    sprite: bool
    webp: bytes

    @property
    def image(self) -> Image.Image:
        """The picture, RGBA. It is shared: copy it before drawing on it."""
        return _decode(self.webp, "RGBA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """A square crop of a photograph, 96 × 96 px; ``photograph`` names the file, ``attribution`` its author and licence."""

    row: int
    photograph: str
    attribution: str
    split: str
    webp: bytes

    @property
    def image(self) -> Image.Image:
        """The picture, RGB. It is shared: copy it before drawing on it."""
        return _decode(self.webp, "RGB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a Debian package says of itself: 18 to 80 words, and one line of 3 to 12 words."""

    row: int
    source: str
    package: str
    section: str
    summary: str
    description: str
    split: str


@cache
def drawings() -> tuple[Drawing, ...]:
    """All drawings, in the file's order, which is that of a hash."""
    rows = _read("drawings")
    return tuple(
        Drawing(
            row=number,
            concept=_text(row, "concept"),
            name=_text(row, "name"),
            category=_text(row, "category"),
            set=_text(row, "set"),
            style=_text(row, "style"),
            split=_text(row, "split"),
            sprite=bool(row["sprite"]),
            webp=_bytes(row, "image"),
        )
        for number, row in enumerate(rows)
    )


@cache
def sprites() -> tuple[tuple[Drawing, ...], ...]:
    """The trained drawings of each concept that scenes use, concepts in the order of their names."""
    by_concept: dict[str, list[Drawing]] = {}
    for drawing in drawings():
        if drawing.sprite:
            by_concept.setdefault(drawing.concept, []).append(drawing)
    return tuple(tuple(by_concept[concept]) for concept in sorted(by_concept))


@cache
def backgrounds(split: Split) -> tuple[Background, ...]:
    """The photographs' crops of one split."""
    rows = _read("backgrounds")
    return tuple(
        Background(
            row=number,
            photograph=_text(row, "photograph"),
            attribution=_text(row, "attribution"),
            split=split,
            webp=_bytes(row, "image"),
        )
        for number, row in enumerate(rows)
        if row["split"] == split
    )


@cache
def descriptions() -> tuple[Description, ...]:
    """All descriptions, in the file's order, which is that of a hash."""
    columns = ("source", "package", "section", "summary", "description", "split")
    return tuple(
        Description(row=number, **{column: _text(row, column) for column in columns})
        for number, row in enumerate(_read("descriptions"))
    )


@cache
def pack_digest() -> str:
    """SHA-256 over the pack's files."""
    digest = hashlib.sha256()
    for name in _FILES:
        digest.update(_file_bytes(name))
    return digest.hexdigest()


def _file_bytes(name: str) -> bytes:
    return files("ofa_trainer.starter").joinpath("data", f"{name}.parquet").read_bytes()


def _read(name: str) -> list[dict[str, object]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ImportError("the starter pack needs pyarrow: pip install 'ofa-trainer[starter]'") from error
    rows: list[dict[str, object]] = parquet.read_table(io.BytesIO(_file_bytes(name))).to_pylist()
    return rows


def _text(row: dict[str, object], column: str) -> str:
    value = row[column]
    assert isinstance(value, str), column
    return value


def _bytes(row: dict[str, object], column: str) -> bytes:
    value = row[column]
    assert isinstance(value, bytes), column
    return value


@cache
def _decode(webp: bytes, mode: Literal["RGB", "RGBA"]) -> Image.Image:
    return Image.open(io.BytesIO(webp)).convert(mode)
