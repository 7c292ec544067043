"""Code books by their options: fitted here, or taken from a VQ model that transformers wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.image.codebook import CodeBook, FittedCodeBook
from ofa_modalities.image.codebook_fit import fit_code_book
from ofa_modalities.image.codebook_library import LibraryCodeBook, library_arrays
from ofa_modalities.image.spec import CodeBookOptions
from ofa_modalities.processor import FitContext


def make_code_book(
    options: CodeBookOptions, squares: Callable[[], NDArray[np.uint8]], context: FitContext
) -> Mapping[str, NDArray[Any]]:
    """The arrays of a book. squares: gives the pictures to fit to; not asked for where the book comes from a directory."""
    if options.model is not None:
        return library_arrays(options.model, options)
    return fit_code_book(
        squares(),
        downsample=options.downsample,
        codes=options.codes,
        width=options.width,
        steps=options.fit_steps,
        seed=context.seed,
        progress=context.progress,
    )


def load_code_book(arrays: Mapping[str, NDArray[Any]], options: CodeBookOptions) -> CodeBook:
    """The book of arrays that :func:`make_code_book` gave. Raises ValueError where they are not those of the options."""
    if options.model is not None:
        return LibraryCodeBook(arrays)
    return FittedCodeBook(arrays, downsample=options.downsample, codes=options.codes, width=options.width)
