"""A raw value → phones: text through a dictionary, or ARPAbet as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ofa_modalities.phone import espeak, rules
from ofa_modalities.phone.dictionary import look_up
from ofa_modalities.phone.numbers import spell_numbers
from ofa_modalities.phone.signs import UnspokenError, after_numbers, before_numbers
from ofa_modalities.phone.spec import PhoneOptions
from ofa_modalities.phone.symbols import BOUNDARY, INDEX, PUNCTUATION, without_stress
from ofa_modalities.processor import SampleError
from ofa_modalities.text.reading import read_text

_TOKEN = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*'?|[,.?!]")
_CLOCK = re.compile(r"(?<=\d):(?=\d)")

MAX_CHARACTERS = 100_000
_CHARACTERS_OF_A_SYMBOL = 8
_UNSURE = 200
"""Symbols at the end of a text that was cut, which what follows could change."""
LONGEST_WORD = 64
"""Letters and apostrophes of the longest word that is pronounced; the dictionary's longest has 28."""


def read_phones(value: object, column: str, options: PhoneOptions, *, enough: int | None = None) -> list[str]:
    """Symbols of ARPAbet, ``|`` between words, punctuation behind the word before it, as the options ask for.

    value: a text, or phones as a text or a list of str. enough: how many symbols are wanted; None: all. A long text is read
    only as far as these go: more may come, and those are right. Raises SampleError for anything else, for a character that is
    not pronounced, where nothing is left to say, and for all symbols of more than ``MAX_CHARACTERS``.
    """
    if isinstance(value, list | tuple) and value and all(isinstance(part, str) for part in value):
        value = " ".join(value)
    text = read_text(value, column)
    if enough is None:
        if len(text) > MAX_CHARACTERS:
            raise SampleError(column, f"the text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are pronounced")
        return _read(text, column, options)
    size = _CHARACTERS_OF_A_SYMBOL * enough + 1000
    while size < len(text):
        found = _read(text[: text.rfind(" ", 0, size) if " " in text[:size] else size], column, options)
        if len(found) >= enough + _UNSURE:
            return found
        size *= 4
    return _read(text, column, options)


def _read(text: str, column: str, options: PhoneOptions) -> list[str]:
    parts = text.replace(BOUNDARY, f" {BOUNDARY} ").split()
    if options.reads == "phones" or (options.reads == "auto" and _is_arpabet(parts)):
        phones = _as_given(parts, column)
    else:
        phones = list(_phones_of_text(text, column, options))
    return _kept(phones, column, options)


def _is_arpabet(parts: list[str]) -> bool:
    return all(part in INDEX for part in parts) and any(part[-1] in "012" for part in parts)


def _as_given(parts: list[str], column: str) -> list[str]:
    for part in parts:
        if part not in INDEX:
            raise SampleError(column, f"{part[:20]!r} is no phone of ARPAbet; with `reads=text` words are pronounced")
    return parts


def _phones_of_text(text: str, column: str, options: PhoneOptions) -> Iterator[str]:
    try:
        text = after_numbers(spell_numbers(_CLOCK.sub(" ", before_numbers(text))))
    except UnspokenError as error:
        place = text.find(error.sign)
        where = f" at character {place + 1}" if place >= 0 else ""
        raise SampleError(
            column, f"{error}{where} is not pronounced: Latin letters, numbers and their signs are; phones are taken as ARPAbet"
        ) from error
    follows = False
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in PUNCTUATION:
            yield token
            continue
        if follows:
            yield BOUNDARY
        follows = True
        yield from pronounce(token, column, options)


def pronounce(word: str, column: str, options: PhoneOptions) -> tuple[str, ...]:
    """Phones of one word of letters and apostrophes: the dictionary's first pronunciation, else the fallback's.

    Capitals that no word is made of are spelled (PBX). Raises SampleError for a word longer than ``LONGEST_WORD``, and where
    espeak-ng is asked for and fails.
    """
    if len(word) > LONGEST_WORD:
        raise SampleError(column, f"`{word[:20]}…` has {len(word):,} letters; a word of at most {LONGEST_WORD} is pronounced")
    lower = word.lower()
    phones = look_up(lower)
    if phones is not None:
        return phones
    if len(word) == 1 or (word.isupper() and len(word) <= 5):
        return rules.spell_letters(lower)
    if options.fallback == "espeak" or (options.fallback == "auto" and espeak.espeak_path() is not None):
        try:
            return espeak.pronounce(lower)
        except ValueError as error:
            if options.fallback == "espeak":
                raise SampleError(column, str(error)) from error
    return rules.pronounce(lower)


def _kept(phones: list[str], column: str, options: PhoneOptions) -> list[str]:
    """Without what the options leave out, boundaries only between words. A word's boundary stands behind its punctuation."""
    kept: list[str] = []
    for phone in phones:
        if phone == BOUNDARY:
            if options.boundaries and kept and kept[-1] != BOUNDARY:
                kept.append(phone)
        elif phone in PUNCTUATION:
            if options.punctuation and kept:
                kept.append(phone)
        else:
            kept.append(phone if options.stress else without_stress(phone))
    while kept and kept[-1] == BOUNDARY:
        kept.pop()
    if not any(phone in INDEX and phone not in (BOUNDARY, *PUNCTUATION) for phone in kept):
        raise SampleError(column, "nothing is left of the text to pronounce")
    return kept
