"""What a Session answers.

# a column's value: str, [left, top, right, bottom] in pixels, a PIL picture, …; inside a repeat a list of them
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

import numpy as np
from ofa_modalities.struct.output import Sql, Table
from ofa_modalities.text.numbers import plain_list

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from ofa_modalities.audio.output import Audio
    from ofa_modalities.motion.output import Motion
    from ofa_modalities.video.output import Video
    from PIL import Image

_Struct = TypeVar("_Struct", Sql, Table)

_TEXTS = frozenset({"TEXT", "PHONE", "STRUCT"})
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080")


class Candidate(NamedTuple):
    """One possible answer of a slot. log_probability: normalised over what the slot allows at each step."""

    value: object
    log_probability: float

    @property
    def probability(self) -> float:
        """``exp(log_probability)``."""
        return math.exp(self.log_probability)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSlot:
    """One answered column.

    value: as decoded; a list inside a repeat. candidates: the answers found, best first, the first being ``value``;
    nested as ``value`` is inside a repeat. closed: it was answered from a closed set. picture: column of the picture that a
    box belongs to. finished: every answer ended by itself, none at a limit of its length or of its items.
    """

    column: str
    modality: str
    depth: int
    value: object
    candidates: Sequence[Any]
    closed: bool = False
    picture: str | None = None
    finished: bool = True


class Output(Mapping[str, object]):
    """The answer to one row: a mapping by column that never changes, with ``.text`` and the like where one slot fits.

    >>> slot = OutputSlot(column="cap", modality="TEXT", depth=0, value="a cat", candidates=(Candidate("a cat", -0.1),))
    >>> output = Output((slot,), log_probability=-0.1)
    >>> output["cap"], output.text, round(output.probability, 3)
    ('a cat', 'a cat', 0.905)
    """

    __slots__ = ("_inputs", "_more", "_read", "_slots", "log_probability")

    def __init__(
        self,
        slots: Sequence[OutputSlot],
        *,
        log_probability: float,
        inputs: Mapping[str, object] | None = None,
        read_picture: Callable[[object, str], Image.Image] | None = None,
        more: Callable[[str, int], Sequence[Candidate]] | None = None,
    ) -> None:
        """inputs: raw values of the columns that boxes belong to. log_probability: of the whole answer.

        more: finds so many best candidates of a column's closed set, for :meth:`top`.
        """
        object.__setattr__(self, "_slots", {slot.column: slot for slot in slots})
        object.__setattr__(self, "_inputs", dict(inputs or {}))
        object.__setattr__(self, "_read", read_picture or _read_picture)
        object.__setattr__(self, "_more", more)
        object.__setattr__(self, "log_probability", log_probability)

    _slots: dict[str, OutputSlot]
    _inputs: dict[str, object]
    _read: Callable[[object, str], Image.Image]
    _more: Callable[[str, int], Sequence[Candidate]] | None
    log_probability: float
    """Of the whole answer: all its slots and all choices of its repeats."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an Output does not change: `{name}` cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an Output does not change: `{name}` cannot be deleted")

    # The mapping

    def __getitem__(self, column: str) -> object:
        if column not in self._slots:
            raise KeyError(f"the answer has no column `{column}`; it has {self._columns()}")
        return self._slots[column].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __repr__(self) -> str:
        values = ", ".join(f"{column}={_short(slot.value)}" for column, slot in self._slots.items())
        return f"Output({values}, probability={math.exp(self.log_probability):.3g})"

    @property
    def slots(self) -> tuple[OutputSlot, ...]:
        """Everything about each answered column, in reading order."""
        return tuple(self._slots.values())

    # Where exactly one slot fits

    @property
    def value(self) -> object:
        """The only column's value."""
        return self._only("value", lambda slot: True).value

    @property
    def text(self) -> str:
        """The only text (TEXT, PHONE, STRUCT)."""
        return str(self._single("text", lambda slot: slot.modality in _TEXTS).value)

    @property
    def label(self) -> str:
        """The only answer from a closed set."""
        return str(self._single("label", lambda slot: slot.closed).value)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The only box: left, top, right, bottom in pixels of the original picture."""
        left, top, right, bottom = _floats(self._single("box", lambda slot: slot.modality == "BOX").value)
        return left, top, right, bottom

    @property
    def boxes(self) -> list[tuple[float, float, float, float]]:
        """All boxes of the only column of boxes, repeated or not."""
        return _boxes(self._only("boxes", lambda slot: slot.modality == "BOX").value)

    @property
    def image(self) -> Image.Image:
        """The only picture."""
        value: Any = self._single("image", lambda slot: slot.modality == "IMAGE").value
        picture: Image.Image = value
        return picture

    @property
    def video(self) -> Video:
        """The only clip."""
        value: Any = self._single("video", lambda slot: slot.modality == "VIDEO").value
        clip: Video = value
        return clip

    @property
    def motion(self) -> Motion:
        """The only motion."""
        value: Any = self._single("motion", lambda slot: slot.modality == "MOTION").value
        motion: Motion = value
        return motion

    @property
    def table(self) -> Table:
        """The only table."""
        return self._struct("table", Table)

    @property
    def sql(self) -> Sql:
        """The only query; ``output.sql.run("shop.db")`` answers it."""
        return self._struct("sql", Sql)

    def _struct(self, name: str, kind: type[_Struct]) -> _Struct:
        value = self._single(name, lambda slot: isinstance(slot.value, kind)).value
        assert isinstance(value, kind)
        return value

    @property
    def audio(self) -> Audio:
        """The only sound."""
        value: Any = self._single("audio", lambda slot: slot.modality == "AUDIO").value
        audio: Audio = value
        return audio

    @property
    def waveform(self) -> NDArray[np.float32]:
        """The samples of the only sound, ``[n]`` in -1 .. 1, at ``.audio.sample_rate_hz``."""
        return self.audio.waveform

    @property
    def mel(self) -> NDArray[np.float32]:
        """The log-mel frames of the only sound, ``[T, M]``."""
        return self.audio.mel

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The answers found, best first: of the only closed set, else of the only column. ``num_return`` says how many."""
        return tuple(self._scored("candidates").candidates)

    @property
    def probability(self) -> float:
        """Of the answer of the only closed set, else of the only column."""
        return self.candidates[0].probability

    def top(self, k: int = 5) -> tuple[Candidate, ...]:
        """The ``k`` best answers of the only closed set (else of the only column), the most probable first.

        A smaller set gives all it has. The model is asked again where the answer holds fewer than that. Raises ValueError where
        an open answer has fewer, saying what to ask for.
        """
        if k < 1:
            raise ValueError(f"top({k}): ask for at least one")
        slot = self._scored("top")
        found: Sequence[Candidate] = slot.candidates
        if len(found) < k and slot.closed and self._more is not None:
            found = self._more(slot.column, k)
        elif len(found) < k:
            raise ValueError(
                f"top({k}): {len(found)} answers of `{slot.column}` were found; ask for more with"
                f' GenerationOptions(strategy="beam", num_beams={k}, num_return={k})'
            )
        # Beams rank answers of different lengths by more than their probability; what is shown is what is sorted.
        return tuple(sorted(found[:k], key=lambda candidate: -candidate.log_probability))

    def _scored(self, name: str) -> OutputSlot:
        closed = any(slot.closed for slot in self._slots.values())
        return self._single(name, lambda slot: slot.closed or not closed)

    def _single(self, name: str, fits: Callable[[OutputSlot], bool]) -> OutputSlot:
        slot = self._only(name, fits)
        if slot.depth:
            raise AttributeError(f"`.{name}` is one answer, and column `{slot.column}` is repeated: use output[{slot.column!r}]")
        return slot

    def _only(self, name: str, fits: Callable[[OutputSlot], bool]) -> OutputSlot:
        found = [slot for slot in self._slots.values() if fits(slot)]
        if len(found) != 1:
            which = "none fits" if not found else f"{len(found)} fit"
            raise AttributeError(f"`.{name}` needs exactly one column that fits, and {which}; the answer has {self._columns()}")
        return found[0]

    def _columns(self) -> str:
        return " ".join(f"[{slot.modality}:{slot.column}]" for slot in self._slots.values()) or "no columns"

    # Pictures with boxes

    def draw(self, picture: str | None = None, *, item: int | None = None) -> Image.Image:
        """The input picture with the answered boxes on it, in its original size.

        picture: its column; needed where boxes belong to several. item: which one, where that column is repeated.
        Raises ValueError where there is no box, or no such picture.
        """
        columns = dict.fromkeys(slot.picture for slot in self._slots.values() if slot.picture is not None)
        if not columns:
            raise ValueError(f"there is no box to draw; the answer has {self._columns()}")
        if picture is None:
            if len(columns) > 1:
                raise ValueError(f"boxes belong to several pictures; choose one of {', '.join(map(repr, columns))}")
            picture = next(iter(columns))
        if picture not in self._inputs or picture not in columns:
            raise ValueError(f"no box belongs to a picture `{picture}`; boxes belong to {', '.join(map(repr, columns))}")
        raw: Any = self._inputs[picture]
        if isinstance(raw, list | tuple):
            if item is None:
                raise ValueError(f"column `{picture}` holds {len(raw)} pictures; say which with `item=`")
            raw = raw[item]
        boxes: list[tuple[float, float, float, float]] = []
        for slot in self._slots.values():
            if slot.picture == picture:
                value: Any = slot.value
                boxes += _boxes(value if item is None else value[item])
        return _draw(self._read(raw, picture), boxes)

    @property
    def image_with_boxes(self) -> Image.Image:
        """:meth:`draw`, where boxes belong to one picture."""
        return self.draw()

    # Out of Python

    def to_json(self, *, indent: int | None = None) -> str:
        """``answer`` by column, ``log_probability``, and ``candidates`` by column; pictures as ``data:`` URIs."""
        data = {
            "answer": {column: _plain(slot.value) for column, slot in self._slots.items()},
            "log_probability": self.log_probability,
            "candidates": {column: _plain(slot.candidates) for column, slot in self._slots.items()},
            "finished": all(slot.finished for slot in self._slots.values()),
        }
        return json.dumps(data, ensure_ascii=False, indent=indent)

    def save(self, path: str | Path) -> Path:
        """Write the answer as the suffix says: ``.json`` everything, ``.txt`` the only text, label or value, a picture's
        suffix the only picture or, without one, the input picture with its boxes; else the only value that can save itself.

        Raises ValueError for a suffix that no value fits.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".json":
            path.write_text(self.to_json(indent=2) + "\n", encoding="utf-8")
        elif suffix == ".txt":
            path.write_text(f"{self._text()}\n", encoding="utf-8")
        elif suffix in _PICTURES and any(slot.picture for slot in self._slots.values()):
            self.draw().save(path)
        else:
            saving: list[Any] = [slot.value for slot in self._slots.values() if hasattr(slot.value, "save")]
            if len(saving) != 1:
                raise ValueError(f"cannot save as `{suffix or path.name}`: the answer has {self._columns()}; .json takes any")
            saving[0].save(path)
        return path

    def _text(self) -> str:
        try:
            return self.text
        except AttributeError:
            try:
                value = self.value
            except AttributeError as error:
                raise ValueError(f"cannot save as .txt: {error}; .json takes any") from error
        return value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _floats(value: object) -> tuple[float, ...]:
    numbers: Any = value
    return tuple(float(number) for number in numbers)


def _boxes(value: object) -> list[tuple[float, float, float, float]]:
    """All boxes in a value that is one, or a list of them however deep."""
    parts: Any = value
    if len(parts) == 4 and all(isinstance(part, int | float | np.number) for part in parts):
        left, top, right, bottom = _floats(parts)
        return [(left, top, right, bottom)]
    return [box for part in parts for box in _boxes(part)]


def _read_picture(value: object, column: str) -> Image.Image:
    from ofa_modalities.image.reading import read_image

    return read_image(value, column)[0]


def _draw(picture: Image.Image, boxes: Sequence[tuple[float, float, float, float]]) -> Image.Image:
    from PIL import ImageDraw

    picture = picture.convert("RGB").copy()
    line = max(2, round(min(picture.size) / 100))
    pen = ImageDraw.Draw(picture)
    for number, (left, top, right, bottom) in enumerate(boxes):
        pen.rectangle(
            (left, top, max(left, right - 1), max(top, bottom - 1)), outline=_COLOURS[number % len(_COLOURS)], width=line
        )
    return picture


def _short(value: object) -> str:
    text = repr([round(part, 1) if isinstance(part, float) else part for part in value] if isinstance(value, list) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def _plain(value: object) -> Any:
    """Something that JSON can say."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Candidate():
            return {"value": _plain(value.value), "log_probability": value.log_probability}
        case np.ndarray() | np.generic():
            return plain_list(value)
        case Mapping():
            return {str(key): _plain(part) for key, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
    if hasattr(value, "to_plain"):
        return _plain(value.to_plain())
    if hasattr(value, "save") and hasattr(value, "convert"):
        content = io.BytesIO()
        value.save(content, format="PNG")
        return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii")
    return repr(value)
