"""Where words begin and end, in any script: the one place that says it. No numpy here.

Words are those of Unicode's text segmentation (UAX 29, https://unicode.org/reports/tr29), as the library regex finds them: vowel
signs and accents belong to their letter, an emoji with its modifiers is one word, ``3.5`` and ``don't`` are one each. Scripts
that are written without blanks (Chinese, Japanese, Thai, Lao, Khmer, Burmese, …) have no such words without a dictionary: there
every character with its marks is a word, and so is a run of Katakana and a syllable of Tibetan.

>>> segments("don't say 3.5%"), segments("猫が好き")
(["don't", 'say', '3.5', '%'], ['猫', 'が', '好', 'き'])
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import regex

HAS_NO_BLANKS = regex.compile(r"[\p{Line_Break=SA}\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Tibetan}]")
"""A character of a script that is written without blanks between words."""

_UAX_29 = r"\b(?=\S)(?:.(?!\b))*+."
_NUMBER = r"\p{N}+(?:[.,:/\-–'·٫٬]\p{N}+)*+"
_SIGNED_NUMBER = (
    rf"(?<![\p{{L}}\p{{M}}\p{{N}}])(?:[+\-−±]?(?:\p{{Sc}}\s?)?|\p{{Sc}}[+\-−]){_NUMBER}(?:\s?[%‰\p{{Sc}}](?!\s?\p{{N}}))?"
)
_SIGNED_LETTERS = r"\b(?:(?:\p{L}\p{M}*)++(?:\+{1,2}|\#)|\p{L}{1,2}[\-−])(?=\s|\p{P}|$)(?![\-−])"

_SEGMENT = regex.compile(rf"(?ws){_UAX_29}")
_WORD = regex.compile(rf"(?ws)(?:{_SIGNED_NUMBER}|{_SIGNED_LETTERS})(?![\p{{L}}\p{{M}}\p{{N}}])|{_UAX_29}")
_SAYS = regex.compile(r"[\p{L}\p{M}\p{N}\p{Sm}\p{Sc}\p{So}%‰]")
_PLAIN = regex.compile(r"[\p{L}\p{M}\p{N}\u200c\u200d]*[\p{L}\p{N}][\p{L}\p{M}\p{N}\u200c\u200d]*+")
_ONE_SIGN = str.maketrans({"’": "'", "−": "-"})
"""Signs that are typed in two ways."""
_ASCII = re.compile(r"[a-zA-Z0-9]+")
_EMOJI = regex.compile(r"\p{Emoji_Presentation}|[\u2600-\u27bf\U0001f000-\U0001faff]")
_CHUNK = re.compile(r"\S+")
_CLOSES = regex.compile(r"(?V1)[\p{P}--[\p{Ps}\p{Pi}]]+")


def segments(text: str) -> list[str]:
    """What UAX 29 cuts a text into, blanks left out: words, signs and marks of punctuation."""
    found: list[str] = _SEGMENT.findall(text)
    return found


def words(text: str) -> list[str]:
    """The words of a text, without punctuation, as they are spelled.

    Signs are words (``+ = € 😀``). One that belongs to a number or a name is part of it: ``-5 $3.50 5% 10:30 C++ A-``.

    >>> words("It's -5 °C, C++ or $3.50?"), words("1/2, 2/1")
    (["It's", '-5', '°', 'C', 'C++', 'or', '$3.50'], ['1/2', '2/1'])
    """
    found = (word for word in _WORD.findall(text.translate(_ONE_SIGN)) if _SAYS.search(word))
    return ["".join(word.split()) for word in found]


def plain_words(text: str) -> list[str]:
    """Runs of letters, marks and digits inside of :func:`segments`, and emoji: ``[a-z0-9]+`` of any script.

    >>> plain_words("don't say 3.5% to été 😀")
    ['don', 't', 'say', '3', '5', 'to', 'été', '😀']
    """
    if text.isascii():
        return _ASCII.findall(text)
    found: list[str] = []
    for segment in segments(text):
        found += [segment] if _EMOJI.search(segment) else _PLAIN.findall(segment)
    return found


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and stop of the words of a text with their punctuation: what stands between blanks.

    Scripts without blanks are cut as UAX 29 says; a mark of punctuation belongs to what stands before it.

    >>> text = "I say: 猫が、iPhone."
    >>> [text[start:stop] for start, stop in spans(text)]
    ['I', 'say:', '猫', 'が、', 'iPhone.']
    """
    for chunk in _CHUNK.finditer(text):
        if not HAS_NO_BLANKS.search(chunk[0]):
            yield chunk.span()
            continue
        start, is_cut = chunk.start(), False
        for segment in _SEGMENT.finditer(text, chunk.start(), chunk.end()):
            cuts = HAS_NO_BLANKS.search(segment[0]) is not None
            if segment.start() > start and (cuts or is_cut) and not _CLOSES.fullmatch(segment[0]):
                yield start, segment.start()
                start = segment.start()
            is_cut = cuts or (is_cut and _CLOSES.fullmatch(segment[0]) is not None)
        yield start, chunk.end()


def spaced(text: str) -> list[str]:
    """The texts of :func:`spans`: ``text.split()`` for scripts with blanks."""
    return [text[start:stop] for start, stop in spans(text)]
