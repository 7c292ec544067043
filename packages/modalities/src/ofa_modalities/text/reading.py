"""A raw value → the text it holds."""

from __future__ import annotations

import re
import string

from ofa_modalities.processor import SampleError
from ofa_modalities.text.numbers import is_missing, spell_number
from ofa_modalities.vocabulary import MASK_TEXT

_PUNCTUATION = re.compile(f"({re.escape(MASK_TEXT)})|[{re.escape(string.punctuation)}]+")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANKS = re.compile(r"\s+")


def read_text(value: object, column: str) -> str:
    """The stripped text of a str, a number, a date or a time, spelled as :mod:`ofa_modalities.text.numbers` says.

    Raises SampleError for anything else, for blanks, for what is missing (None, NaN) and for a lone surrogate.
    """
    text = (value if isinstance(value, str) else _spelled(value, column)).strip()
    if not text:
        raise SampleError(column, "the text is empty")
    if found := _SURROGATE.search(text):
        raise SampleError(
            column, f"character {found.start() + 1} is a lone surrogate (U+{ord(found[0]):X}), which is no character"
        )
    return text


def _spelled(value: object, column: str) -> str:
    if is_missing(value):
        raise SampleError(column, "the text is missing")
    try:
        text = spell_number(value)
    except ValueError as error:
        raise SampleError(column, f"the number cannot be spelled: {error}") from error
    if text is None:
        raise SampleError(column, f"a text is a str or a number, not {type(value).__name__}")
    return text


def normalise(text: str, *, uncased: bool, no_punctuation: bool) -> str:
    """Lower case and no ASCII punctuation, as asked; ``<mask>`` stays."""
    if uncased:
        text = text.lower()
    if no_punctuation:
        if MASK_TEXT in text:
            text = _PUNCTUATION.sub(lambda match: match.group(1) or "", text)
        else:
            text = text.translate(_WITHOUT_PUNCTUATION)
        text = _BLANKS.sub(" ", text).strip()
    return text
