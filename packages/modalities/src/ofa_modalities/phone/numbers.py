"""Numbers in a text, spelled out as they are said."""

from __future__ import annotations

import re

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ("thousand", "million", "billion", "trillion")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_NUMBER = re.compile(r"(\$?)(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st|nd|rd|th)?(%?)(?!\w)|\d")
_LONGEST = 15


def spell_numbers(text: str) -> str:
    """Every number in words.

    >>> spell_numbers("call 7 of 1,234 at 3.5% on the 21st for $2")
    'call seven of one thousand two hundred thirty four at three point five percent on the twenty first for two dollars'
    """
    return _NUMBER.sub(_spell, text)


def _spell(match: re.Match[str]) -> str:
    currency, whole, fraction, ordinal, percent = match.groups()
    if whole is None:
        return f" {_ONES[int(match.group())]} "
    digits = whole.replace(",", "")
    leads = len(digits) > 1 and digits[0] == "0"
    words = " ".join(_ONES[int(digit)] for digit in digits) if leads or len(digits) > _LONGEST else cardinal(int(digits))
    if fraction:
        words += " point " + " ".join(_ONES[int(digit)] for digit in fraction[1:])
    elif ordinal:
        words = _ordinal(words)
    if currency:
        words += " dollar" if words == "one" else " dollars"
    return words + (" percent" if percent else "")


def cardinal(number: int) -> str:
    """A whole number below 10^15 in words.

    >>> cardinal(0), cardinal(40), cardinal(2_000_013)
    ('zero', 'forty', 'two million thirteen')
    """
    if number < 20:
        return _ONES[number]
    if number < 100:
        return " ".join([_TENS[number // 10 - 2], *([_ONES[number % 10]] if number % 10 else [])])
    if number < 1000:
        return " ".join([_ONES[number // 100], "hundred", *([cardinal(number % 100)] if number % 100 else [])])
    power = (len(str(number)) - 1) // 3
    high, low = divmod(number, 1000**power)
    return " ".join([cardinal(high), _SCALES[power - 1], *([cardinal(low)] if low else [])])


def _ordinal(words: str) -> str:
    *before, last = words.split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return " ".join([*before, last])
