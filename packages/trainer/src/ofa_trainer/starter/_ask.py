"""Questions about a composed scene, answered from its record.

Five kinds. A question that the scene does not settle (a thing in the very middle, two things on the left) is not asked:
another layout is drawn instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ofa_trainer.starter._pack import Split, sprites
from ofa_trainer.starter._scenes import MAX_OBJECTS, SCENE_PX, Scene, SceneObject, lay_out, paint

QuestionKind = Literal["count", "exists", "where", "left_of", "category_half"]
QUESTION_KINDS: tuple[QuestionKind, ...] = get_args(QuestionKind)

_SHARES = (0.26, 0.24, 0.22, 0.14, 0.14)
_NUMBERS = ("one", "two", "three", "four")
_MARGIN_PX = 4  # from the line that decides an answer to the middle of a thing
_MIDDLE_PX = SCENE_PX / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question in English, its answer of one or two words, and its kind."""

    text: str
    answer: str
    kind: QuestionKind


def ask(rng: np.random.Generator, split: Split) -> tuple[Scene, Question]:
    """A scene of ``split`` and a question that it settles."""
    kind = QUESTION_KINDS[int(rng.choice(len(QUESTION_KINDS), p=_SHARES))]
    fewest = 2 if kind == "left_of" else 1
    while True:
        layout = lay_out(rng, int(rng.integers(fewest, MAX_OBJECTS + 1)))
        asked = _ASK[kind](rng, [placement.thing for placement in layout])
        if asked is not None:
            return paint(rng, split, layout), Question(text=asked[0], answer=asked[1], kind=kind)


def _count(rng: np.random.Generator, things: list[SceneObject]) -> tuple[str, str] | None:
    return "how many things are there?", _NUMBERS[len(things) - 1]


def _exists(rng: np.random.Generator, things: list[SceneObject]) -> tuple[str, str] | None:
    """Yes and no are equally likely, and so is every thing under both."""
    present = [thing.name for thing in things]
    if rng.random() < 0.5:
        return _is_there(_pick(rng, present)), "yes"
    absent = [styles[0].name for styles in sprites() if styles[0].name not in present]
    return _is_there(_pick(rng, absent)), "no"


def _where(rng: np.random.Generator, things: list[SceneObject]) -> tuple[str, str] | None:
    thing = _thing(rng, things)
    x, y = thing.centre_px
    if min(abs(x - _MIDDLE_PX), abs(y - _MIDDLE_PX)) < _MARGIN_PX:
        return None
    answer = f"{'top' if y < _MIDDLE_PX else 'bottom'} {'left' if x < _MIDDLE_PX else 'right'}"
    return f"where {'are' if _is_plural(thing.name) else 'is'} the {thing.name}?", answer


def _left_of(rng: np.random.Generator, things: list[SceneObject]) -> tuple[str, str] | None:
    """Asked where exactly one thing is left of the named one, and clearly."""
    thing = _thing(rng, things)
    others = [other for other in things if other is not thing]
    shifts = [thing.centre_px[0] - other.centre_px[0] for other in others]
    left = [other.name for other, shift in zip(others, shifts, strict=True) if shift > 0]
    if len(left) != 1 or min(abs(shift) for shift in shifts) < _MARGIN_PX:
        return None
    return f"what is left of the {thing.name}?", left[0]


def _category_half(rng: np.random.Generator, things: list[SceneObject]) -> tuple[str, str] | None:
    """Asked where all things in that half are of one category, and none is near the middle line."""
    half = _pick(rng, ["left", "right"])
    offsets = [thing.centre_px[0] - _MIDDLE_PX for thing in things]
    if min(abs(offset) for offset in offsets) < _MARGIN_PX:
        return None
    pairs = zip(things, offsets, strict=True)
    categories = {thing.category for thing, offset in pairs if (offset < 0) == (half == "left")}
    if len(categories) != 1:
        return None
    return f"which category is in the {half} half?", categories.pop()


def _is_there(name: str) -> str:
    if _is_plural(name):
        return f"are there {name}?"
    return f"is there {'an' if name[0] in 'aeiou' else 'a'} {name}?"


def _is_plural(name: str) -> bool:
    return name.endswith("s") and not name.endswith("us")


def _thing(rng: np.random.Generator, things: list[SceneObject]) -> SceneObject:
    return things[int(rng.integers(len(things)))]


def _pick(rng: np.random.Generator, words: list[str]) -> str:
    return words[int(rng.integers(len(words)))]


_ASK: dict[QuestionKind, Callable[[np.random.Generator, list[SceneObject]], tuple[str, str] | None]] = {
    "count": _count,
    "exists": _exists,
    "where": _where,
    "left_of": _left_of,
    "category_half": _category_half,
}
