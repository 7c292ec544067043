"""A raw value → the text it holds."""

from __future__ import annotations

import math
import re
import string

import numpy as np

from ofa_modalities.processor import SampleError
from ofa_modalities.vocabulary import MASK_TEXT

_PUNCTUATION = re.compile(f"({re.escape(MASK_TEXT)})|[{re.escape(string.punctuation)}]+")
_BLANKS = re.compile(r"\s+")


def read_text(value: object, column: str) -> str:
    """The stripped text of a str or a number. Raises SampleError for anything else, for blanks and for NaN."""
    if not isinstance(value, str):
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or (isinstance(value, float) and math.isnan(value)):
            raise SampleError(column, "the text is missing")
        if not isinstance(value, str | int | float):
            raise SampleError(column, f"a text is a str or a number, not {type(value).__name__}")
        value = str(value)
    text = value.strip()
    if not text:
        raise SampleError(column, "the text is empty")
    return text


def normalise(text: str, *, uncased: bool, no_punctuation: bool) -> str:
    """Lower case and no ASCII punctuation, as asked; ``<mask>`` stays."""
    if uncased:
        text = text.lower()
    if no_punctuation:
        text = _PUNCTUATION.sub(lambda match: match.group(1) or "", text)
        text = _BLANKS.sub(" ", text).strip()
    return text
