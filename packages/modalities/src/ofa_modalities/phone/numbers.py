"""Numbers in a text, spelled out as they are said, with the signs and units around them."""

from __future__ import annotations

import re
import unicodedata

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
_LONGEST = 15

CURRENCIES = {
    **{"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds"), "¢": ("cent", "cents"), "¥": ("yen", "yen")},
    **{"₹": ("rupee", "rupees"), "₽": ("ruble", "rubles"), "₺": ("lira", "liras"), "₩": ("won", "won")},
    **{"₪": ("shekel", "shekels"), "₱": ("peso", "pesos"), "฿": ("baht", "baht"), "₫": ("dong", "dong"), "₦": ("naira", "naira")},
    "₿": ("bitcoin", "bitcoins"),
}
"""One and many of a currency by its sign; other signs of currencies are called by their Unicode names."""

_UNITS = {
    **{"km": "kilometer", "cm": "centimeter", "mm": "millimeter", "μm": "micrometer", "nm": "nanometer", "kg": "kilogram"},
    **{"mg": "milligram", "μg": "microgram", "ml": "milliliter", "mL": "milliliter", "ms": "millisecond", "μs": "microsecond"},
    **{"kW": "kilowatt", "MW": "megawatt", "kWh": "kilowatt hour", "kB": "kilobyte", "KB": "kilobyte", "MB": "megabyte"},
    **{"GB": "gigabyte", "TB": "terabyte", "kcal": "kilocalorie", "lb": "pound", "oz": "ounce", "ft": "foot", "Ω": "ohm"},
}
"""Units behind a number by their signs (Greek letters, as NFKC has them), one of them."""
_SEVERAL = {"foot": "feet"}
_UNITS_OF_ONE_FORM = {
    **{"Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "dB": "decibels", "mph": "miles per hour"},
    **{"km/h": "kilometers per hour", "m/s": "meters per second", "°C": "degrees celsius", "°F": "degrees fahrenheit"},
    **{"°": "degrees", "%": "percent", "‰": "per mille"},
}
_SIGNS = "".join(map(re.escape, CURRENCIES))
_UNIT = "|".join(map(re.escape, sorted({*_UNITS, *_UNITS_OF_ONE_FORM}, key=len, reverse=True)))
_NUMBER = re.compile(
    rf"""
    (?P<minus>(?:(?<![\w.,])-|−\s?)(?=[{_SIGNS}]?\.?\d))?
    (?P<before>[{_SIGNS}](?=\.?\d))?
    (?:(?<![\d/⁄])(?P<top>\d{{1,3}})[/⁄](?P<bottom>\d{{1,3}})(?![\d/⁄])
      |(?P<whole>\d{{1,3}}(?:,\d{{3}})+(?!\d)|\d+)(?P<fraction>\.\d+)?
      |(?P<point>\.\d+))
    (?:(?P<ordinal>st|nd|rd|th)(?!\w)
      |\s?(?P<unit>{_UNIT})(?!\w)
      |(?(before)(?!)|\s?(?P<after>[{_SIGNS}])(?!\d)))?
    """,
    re.VERBOSE,
)
_POINTS = re.compile(r"(?<!\d)\d++(?:\.\d++){2,}")
"""A version, an address."""
_JOINED = (
    (re.compile(r"(?<=\d)\s?–\s?(?=[-−]?\d)"), " to "),
    (re.compile(r"(?<=\S)[ \t]+-[ \t]+(?=\d)|(?<=\d[eE])-(?=\d)"), " minus "),
    (re.compile(r"(?<=\d)-(?=\d)"), " dash "),
    (re.compile(r"(?<=\d)\s*[×*·⋅]\s*(?=\d)"), " times "),
)
"""Signs between numbers."""


def spell_numbers(text: str) -> str:
    """Every number in words, with its sign, currency, unit and what else is said of it.

    >>> spell_numbers("call 7 of 1,234 at 3.5% on the 21st for $2")
    'call seven of one thousand two hundred thirty four at three point five percent on the twenty first for two dollars'
    >>> spell_numbers("-5°C, 1/2 and .5 of 1.2.3 for 10–20€")
    'minus five degrees celsius, one half and point five of one point two point three for ten to twenty euros'
    """
    text = _POINTS.sub(lambda match: match.group().replace(".", " point "), text)
    for sign, word in _JOINED:
        text = sign.sub(word, text)
    return _NUMBER.sub(_spell, text)


def _spell(match: re.Match[str]) -> str:
    words = _value(match)
    is_one = words == "one"
    if match["ordinal"]:
        words = _ordinal(words)
    elif currency := match["before"] or match["after"]:
        words += f" {CURRENCIES[currency][not is_one]}"
    if unit := match["unit"]:
        name = _UNITS_OF_ONE_FORM.get(unit) or (_UNITS[unit] if is_one else _SEVERAL.get(_UNITS[unit], f"{_UNITS[unit]}s"))
        words += f" {name}"
    if match["minus"]:
        words = f"minus {words}"
    text, start, end = match.string, match.start(), match.end()
    left = " " if start and not text[start - 1].isspace() else ""
    right = " " if end < len(text) and text[end].isalnum() else ""
    return f"{left}{words}{right}"


def _value(match: re.Match[str]) -> str:
    if match["top"]:
        return _ratio(int(match["top"]), int(match["bottom"]))
    if match["point"]:
        return "point " + _digits(match["point"][1:])
    digits = match["whole"].replace(",", "")
    leads = len(digits) > 1 and int(digits[0]) == 0
    words = _digits(digits) if leads or len(digits) > _LONGEST else cardinal(int(digits))
    return words + (" point " + _digits(match["fraction"][1:]) if match["fraction"] else "")


def _digits(text: str) -> str:
    return " ".join(_ONES[unicodedata.digit(digit)] for digit in text)


def _ratio(top: int, bottom: int) -> str:
    """A fraction as it is said.

    >>> _ratio(1, 2), _ratio(3, 4), _ratio(2, 5), _ratio(24, 7)
    ('one half', 'three quarters', 'two fifths', 'twenty four over seven')
    """
    if not 1 < bottom <= 20 or top >= bottom:
        return f"{cardinal(top)} over {cardinal(bottom)}"
    if bottom == 2:
        return "one half"
    part = "quarter" if bottom == 4 else _ordinal(cardinal(bottom))
    return f"{cardinal(top)} {part}{'' if top == 1 else 's'}"


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
