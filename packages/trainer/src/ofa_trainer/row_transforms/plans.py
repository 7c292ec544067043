"""What row transforms there are. No numpy here.

>>> Crop(min_side=0.8)
Crop(min_side=0.8)
>>> Mirror(swap={"left": "right"}).probability
0.5
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from ofa_instruction.plans import Plan
from ofa_modalities.text.equality import folded
from pydantic import BeforeValidator, Field, model_validator

SIDES_HINT = (
    "a mirrored picture exchanges left and right: say `sides: none` where no text of the task tells sides, or give the words to"
    " exchange, `swap: {left: right}`"
)


class Crop(Plan):
    """Show a part of a picture, drawn anew for every row; its boxes are cut at the edges and move along."""

    kind: Literal["crop"] = "crop"
    image: str | None = None
    """Column of the picture; none: the only one."""
    min_side: float = Field(default=0.6, gt=0, le=1)
    """Least share of the width, and of the height, that is shown."""
    keep: Literal["centre", "share"] = "centre"
    """``centre``: the middle of every box is shown; ``share``: ``min_share`` of its area as well."""
    min_share: float = Field(default=0.5, gt=0, le=1)
    probability: float = Field(default=1.0, ge=0, le=1)
    """Share of the training rows that are cropped."""


class Mirror(Plan):
    """Exchange left and right: of all pictures, clips and motions of a row, of boxes, and of the words that tell sides."""

    kind: Literal["mirror"] = "mirror"
    sides: Literal["none"] | None = None
    """``none``: no text of the task tells left from right."""
    swap: dict[str, str] = Field(default_factory=dict)
    """Words to exchange, both ways, their case kept: ``{left: right}``."""
    texts: tuple[str, ...] | None = None
    """Columns in which they are exchanged; none: all TEXT and CATEGORY columns."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """Share of the training rows that are mirrored."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sides is None and not self.swap:
            raise ValueError(SIDES_HINT)
        if self.sides is not None and (self.swap or self.texts):
            raise ValueError("`sides: none` says that no text tells sides, so there is nothing to `swap`: leave one of them out")
        words = [folded(word) for pair in self.swap.items() for word in pair]
        for word in words:
            if not word.strip() or words.count(word) > 1:
                raise ValueError(f"`swap` exchanges pairs of different words, each in one pair; `{word}` is not")
        return self


def _by_name(value: Any) -> Any:
    """``crop`` and ``{crop: {min_side: 0.8}}``, as a run file says them, with the name as a tag."""
    if isinstance(value, str):
        value = {value: {}}
    if isinstance(value, Crop | Mirror) or (isinstance(value, Mapping) and "kind" in value):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"a transform is a name or {{name: options}}, not {value!r}")
    if len(value) != 1:
        raise ValueError(f"one transform with its options, not {len(value)}: {', '.join(map(str, value))}")
    ((name, options),) = value.items()
    if name not in _NAMES:
        near = difflib.get_close_matches(str(name), _NAMES, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {' '.join(_NAMES)}"
        raise ValueError(f"there is no transform `{name}`; {hint}")
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(f"the options of `{name}` are a mapping, not {options!r}")
    return {"kind": name, **(options or {})}


_NAMES = ("crop", "mirror")

RowTransformPlan = Annotated[Annotated[Crop | Mirror, Field(discriminator="kind")], BeforeValidator(_by_name)]
