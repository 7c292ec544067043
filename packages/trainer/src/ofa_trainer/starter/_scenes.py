"""Composed scenes: a photograph with one to four sprites pasted on it, and the record of what is where.

A scene is a pure function of the random generator it is given. Boxes come from the pasted alpha, so they are exact; a sprite
may be covered by later ones, but by no more than a tenth of the smaller box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from PIL import Image

from ofa_trainer.starter._pack import Drawing, Split, backgrounds, sprites

SCENE_PX = 64
MAX_OBJECTS = 4

_SPRITE_PX = (16, 30)  # longer side, smallest and largest
_MAX_COVERED = 0.1  # of the smaller of two boxes
_MAX_TRIES = 16  # places tried for a sprite before the layout is given up
_OPAQUE = 32  # alpha of 0..255 from which a pixel belongs to the object

Box: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """One sprite of a scene.

    Attributes:
        name: its English name; names are distinct within a scene.
        category: its category.
        style: the emoji set of the drawing.
        box_xyxy_px: left, top, right, bottom of its visible pixels; right and bottom are exclusive.
    """

    name: str
    category: str
    style: str
    box_xyxy_px: Box

    @property
    def centre_px(self) -> tuple[float, float]:
        """x and y of the box's middle."""
        left, top, right, bottom = self.box_xyxy_px
        return (left + right) / 2, (top + bottom) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture of 64 × 64 px (RGB) and its objects, in the order in which they were pasted."""

    image: Image.Image
    objects: tuple[SceneObject, ...]
    photograph: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A sprite at its size, and the left top corner at which it is pasted."""

    thing: SceneObject
    sprite: Image.Image
    at_px: tuple[int, int]


Layout: TypeAlias = tuple[Placement, ...]


def compose_scene(rng: np.random.Generator, split: Split, num_objects: int | None = None) -> Scene:
    """Compose a scene on a photograph of ``split``.

    Args:
        rng: the only source of chance.
        split: which photographs; the sprites are the same drawings in all splits.
        num_objects: 1 to 4; drawn evenly when None.

    Example:
        >>> scene = compose_scene(np.random.default_rng(0), "train", num_objects=2)
        >>> scene.image.size, len(scene.objects)
        ((64, 64), 2)
    """
    count = int(rng.integers(1, MAX_OBJECTS + 1)) if num_objects is None else num_objects
    return paint(rng, split, lay_out(rng, count))


def lay_out(rng: np.random.Generator, num_objects: int) -> Layout:
    """Choose distinct things, their drawings, sizes and places, without painting them (which costs most of the time)."""
    while True:
        layout = _try_layout(rng, num_objects)
        if layout is not None:
            return layout


def paint(rng: np.random.Generator, split: Split, layout: Layout) -> Scene:
    """Paste the layout's sprites, in order, on a random crop of a random photograph of ``split``."""
    image, photograph = _ground(rng, split)
    for placement in layout:
        image.paste(placement.sprite, placement.at_px, placement.sprite)
    return Scene(image=image, objects=tuple(placement.thing for placement in layout), photograph=photograph)


def _try_layout(rng: np.random.Generator, count: int) -> Layout | None:
    """None when no free place was found for one of the things."""
    concepts = sprites()
    layout: list[Placement] = []
    for choice in rng.choice(len(concepts), count, replace=False):
        styles = concepts[int(choice)]
        drawing = styles[int(rng.integers(len(styles)))]
        sprite, inner = _scaled(drawing, int(rng.integers(_SPRITE_PX[0], _SPRITE_PX[1] + 1)))
        for x, y in rng.random((_MAX_TRIES, 2)).tolist():
            left = int(x * (SCENE_PX - sprite.width + 1))
            top = int(y * (SCENE_PX - sprite.height + 1))
            box = (left + inner[0], top + inner[1], left + inner[2], top + inner[3])
            if all(_covered(box, other.thing.box_xyxy_px) <= _MAX_COVERED for other in layout):
                break
        else:
            return None
        thing = SceneObject(name=drawing.name, category=drawing.category, style=drawing.style, box_xyxy_px=box)
        layout.append(Placement(thing=thing, sprite=sprite, at_px=(left, top)))
    return tuple(layout)


def _ground(rng: np.random.Generator, split: Split) -> tuple[Image.Image, str]:
    """A random crop of a random photograph, mirrored half the time, lighter or darker."""
    grounds = backgrounds(split)
    background = grounds[int(rng.integers(len(grounds)))]
    photograph = background.image
    side = int(rng.integers(SCENE_PX, photograph.width + 1))
    left, top = (int(value) for value in rng.integers(0, photograph.width - side + 1, 2))
    crop = photograph.resize((SCENE_PX, SCENE_PX), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    if rng.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    black = Image.new("RGB", crop.size)
    return Image.blend(black, crop, rng.uniform(0.7, 1.2)), background.photograph


@cache
def _scaled(drawing: Drawing, longer_px: int) -> tuple[Image.Image, Box]:
    """The sprite without its margins, its longer side ``longer_px``, and the box of its visible pixels."""
    sprite = drawing.image.crop(_visible(drawing.image))
    scale = longer_px / max(sprite.size)
    size = (max(1, round(sprite.width * scale)), max(1, round(sprite.height * scale)))
    sprite = sprite.resize(size, Image.Resampling.BILINEAR)
    return sprite, _visible(sprite)


def _visible(sprite: Image.Image) -> Box:
    """Box of the pixels that are not nearly transparent."""
    box = sprite.getchannel("A").point(lambda value: 255 if value >= _OPAQUE else 0).getbbox()
    assert box is not None, "an empty sprite"
    return box


def _covered(box: Box, other: Box) -> float:
    """Share of the smaller box that the two have in common."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (box, other)]
    return max(0, width) * max(0, height) / min(areas)
