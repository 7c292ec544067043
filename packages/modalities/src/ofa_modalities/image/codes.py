"""IMAGE answered: a picture ⇄ a grid of codes of a book.

# S side of a picture in pixels, G = S / downsample side of its grid of codes, K codes
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan
from PIL import Image

from ofa_modalities.image.reading import read_image
from ofa_modalities.image.spec import CodeBookOptions, ImageCodeOptions
from ofa_modalities.processor import (
    BaseProcessor,
    DecodeContext,
    EncodeContext,
    FitContext,
    Item,
    Resources,
    SampleError,
    TokenRule,
)

Square = NDArray[np.uint8]
"""uint8 ``[S, S, 3]``."""

_FRAMES_OF_A_CLIP = 4
"""That a code book is fitted to."""

_KNOWN_PICTURES = 20_000
"""Pictures whose codes a processor remembers, since a run sees each many times; then it begins anew."""


class CodeProcessor(BaseProcessor):
    """What pictures and clips share as codes: the block, the asset, and the book itself."""

    def __init__(self, slot: SlotPlan, options: CodeBookOptions, resources: Resources) -> None:
        """Raises ValueError without the fitted asset, and where it is not that of the options."""
        super().__init__(slot, options, resources)
        from ofa_modalities.image.code_books import load_code_book

        if resources.asset is None:
            raise ValueError(f"column `{slot.column}`: the code book `{options.key}` has not been fitted")
        self.block = options.key
        self.side = options.side
        self._start = resources.vocabulary.block(options.key).start
        self._size = options.size
        self._book = load_code_book(resources.asset, options)
        self._known: dict[bytes, NDArray[np.int32]] = {}

    @classmethod
    def blocks(cls, slot: SlotPlan, options: CodeBookOptions, candidates: Sequence[str] | None) -> Mapping[str, int]:
        """The codes of the book."""
        return {options.key: options.codes}

    @classmethod
    def asset(cls, slot: SlotPlan, options: CodeBookOptions) -> str:
        """The book, shared by all slots that agree on it."""
        return options.key

    @classmethod
    def fit(
        cls, slot: SlotPlan, options: CodeBookOptions, values: Iterable[tuple[object, Path | None]], context: FitContext
    ) -> Mapping[str, NDArray[Any]]:
        """The arrays of the book: of ``model``, else of a small one fitted to pictures, and frames of clips, among the values.

        Raises ValueError where none can be read, and for a directory that holds no such model.
        """
        from ofa_modalities.image.code_books import make_code_book

        return make_code_book(options, lambda: training_squares(values, options, context), context)

    def ids(self, squares: NDArray[np.uint8]) -> NDArray[np.int64]:
        """uint8 ``[N, S, S, 3]`` → vocabulary ids ``[N · G · G]``, row-major. Pictures seen before are looked up."""
        keys = [hashlib.blake2b(np.ascontiguousarray(one).data, digest_size=16).digest() for one in squares]
        missing = [number for number, key in enumerate(keys) if key not in self._known]
        if missing:
            if len(self._known) + len(missing) > _KNOWN_PICTURES:
                self._known = {key: self._known[key] for key in keys if key in self._known}
            for number, codes in zip(missing, self._book.encode(squares[missing]), strict=True):
                self._known[keys[number]] = codes.astype(np.int32)
        return np.stack([self._known[key] for key in keys]).reshape(-1).astype(np.int64) + self._start

    def squares(self, ids: NDArray[Any], count: int) -> NDArray[np.uint8]:
        """Vocabulary ids of ``count`` pictures → uint8 ``[N, S, S, 3]``. Raises ValueError for another number of ids."""
        codes = np.asarray(ids, np.int64) - self._start
        if codes.shape != (count * self.side**2,):
            raise ValueError(f"{count * self.side**2} codes are needed, not {len(codes)}")
        return self._book.decode(codes.reshape(count, self.side, self.side))


class ImageCodeProcessor(CodeProcessor):
    """Encodes a picture as ``[G · G]`` ids, shape ``(G, G)``; the answer is a PIL picture of S × S pixels."""

    def __init__(self, slot: SlotPlan, options: ImageCodeOptions, resources: Resources) -> None:
        super().__init__(slot, options, resources)
        self.options = options

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Ids of the nearest codes. Raises SampleError for what is no picture; see :func:`read_image`."""
        pixels, size_px = self._square(value, context)
        return Item(units=self.ids(pixels[None]), shape=(self.side, self.side), size_px=size_px)

    def reference(self, value: object, context: EncodeContext) -> Image.Image:
        """The picture in the size of an answer, before it becomes codes."""
        return Image.fromarray(self._square(value, context)[0])

    def _square(self, value: object, context: EncodeContext) -> tuple[Square, tuple[int, int]]:
        options = self.options
        image, size_px = read_image(
            value,
            self.slot.column,
            root=context.root,
            max_pixels=options.max_pixels,
            draft=None if options.crop else 2 * options.size,
            hosts=context.hosts,
        )
        return square(image, options), size_px

    def decode(self, units: NDArray[Any], context: DecodeContext) -> Image.Image:
        """The picture of ``[G · G]`` ids."""
        return Image.fromarray(self.squares(units, 1)[0])

    def token_rule(self) -> TokenRule:
        """Exactly a grid of codes."""
        return TokenRule(blocks=(self.block,), length=self.side**2, shape=(self.side, self.side))


def square(image: Image.Image, options: CodeBookOptions) -> Square:
    """The picture as the book sees it: squeezed into a square, or the middle square of it."""
    box = None
    if options.crop:
        short = min(image.size)
        left, top = (image.width - short) / 2, (image.height - short) / 2
        box = (left, top, left + short, top + short)
    size = (options.size, options.size)
    if image.size == size:
        return np.asarray(image, np.uint8)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0), np.uint8)


def training_squares(
    values: Iterable[tuple[object, Path | None]], options: CodeBookOptions, context: FitContext
) -> NDArray[np.uint8]:
    """uint8 ``[N, S, S, 3]``: at most ``fit_pictures`` of the readable pictures and clips among the values, drawn evenly.

    A clip gives a few of its frames. Raises ValueError where nothing can be read.
    """
    rng = np.random.default_rng(context.seed)
    kept: list[NDArray[np.uint8]] = []
    seen = 0
    for value, root in values:
        place = seen if len(kept) < options.fit_pictures else int(rng.integers(seen + 1))
        if place < options.fit_pictures:
            try:
                squares = _squares(value, options, root, context.hosts)
            except SampleError:
                continue
            kept[place : place + 1] = [squares]
        seen += 1
    if not kept:
        raise ValueError(f"the code book `{options.key}` needs pictures to be fitted to, and none of the run's can be read")
    return np.concatenate(kept)


def _squares(value: object, options: CodeBookOptions, root: Path | None, hosts: frozenset[str]) -> NDArray[np.uint8]:
    """uint8 ``[n, S, S, 3]``: the picture, or frames of the clip. Raises SampleError for what is neither."""
    from ofa_modalities.video.codes import clip_squares

    try:
        return square(read_image(value, root=root, hosts=hosts)[0], options)[None]
    except SampleError:
        return clip_squares(value, options, count=_FRAMES_OF_A_CLIP, root=root, hosts=hosts)
