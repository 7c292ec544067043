"""The built-in modalities and processors: what the entry points of this package hand out. Pydantic only."""

from __future__ import annotations

from ofa_modalities.box.spec import BOX, BOX_PROCESSOR, BoxOptions
from ofa_modalities.category.spec import CATEGORY, CATEGORY_PROCESSOR, CategoryOptions
from ofa_modalities.image.spec import IMAGE, IMAGE_PROCESSOR, ImageOptions
from ofa_modalities.text.spec import TEXT, TEXT_PROCESSOR, TextOptions

__all__ = [
    "BOX",
    "BOX_PROCESSOR",
    "CATEGORY",
    "CATEGORY_PROCESSOR",
    "IMAGE",
    "IMAGE_PROCESSOR",
    "TEXT",
    "TEXT_PROCESSOR",
    "BoxOptions",
    "CategoryOptions",
    "ImageOptions",
    "TextOptions",
]
