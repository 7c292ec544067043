"""What stands between words of Latin letters: said by its name, silent, or refused with its place. Nothing is left out.

Silent are the signs that nobody reads aloud: quotes, brackets, hyphens between letters, marks over letters (é is read as e), and
what has no shape.
"""

from __future__ import annotations

import re
import unicodedata

from ofa_modalities.phone.numbers import CURRENCIES

_LETTERS = {
    **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d"},
    **{"Đ": "D", "ð": "th", "Ð": "TH", "þ": "th", "Þ": "TH", "ħ": "h", "Ħ": "H", "ı": "i", "ŋ": "ng", "Ŋ": "NG", "ŧ": "t"},
    **{"Ŧ": "T", "ə": "a", "ɐ": "a", "ĸ": "k", "ƒ": "f"},
}
"""Latin letters that are not a letter of a to z with a mark on it."""
_LATIN = re.compile(r"LATIN (SMALL|CAPITAL) LETTER ([A-Z])(?: WITH .*)?")
_GREEK = re.compile(r"GREEK (?:SMALL|CAPITAL) LETTER ([A-Z]+)(?: WITH .*)?")
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWER = re.compile(r"[⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_VULGAR = re.compile(r"(\d)?([¼½¾⅐-⅞↉])")
_BEFORE_NFKC = str.maketrans(
    {"℃": "°C", "℉": "°F", "º": "°", "˚": "°", "™": " trademark ", "№": " number ", "℠": " service mark ", "″": " double prime "}
)
"""What NFKC would make letters of."""
_GREEK_WORD = re.compile("[\u0370-\u03ff]{2}")
_PAUSE = re.compile(r"(?<!\S)-(?!\S)|[‒–—―]|--+")
_MINUS = re.compile(r"(?<!\S)[-−](?=[^\W\d_])|−")
_NAMES = {
    **{"&": "and", "@": "at", "+": "plus", "=": "equals", "%": "percent", "‰": "per mille", "#": "number", "*": "asterisk"},
    **{"/": "slash", "⁄": "slash", "∕": "slash", "\\": "backslash", "_": "underscore", "~": "tilde", "^": "caret"},
    **{
        "<": "less than",
        ">": "greater than",
        "≤": "at most",
        "≥": "at least",
        "≠": "is not",
        "≈": "about",
        "±": "plus or minus",
        "×": "times",
    },
    **{"÷": "divided by", "√": "square root of", "∞": "infinity", "∑": "sum of", "°": "degrees", "′": "prime", "§": "section"},
    **{"¶": "paragraph", "†": "dagger", "‡": "double dagger", "©": "copyright", "®": "registered", "→": "to", "←": "from"},
}
_PUNCTUATION = {"’": "'", "‘": "'", "ʼ": "'", "＇": "'", ";": ",", ":": ",", "…": ".", "‥": ".", "。": ".", "，": ",", "、": ","}
_SILENT = frozenset('"“”„‟«»‹›`()[]{}⟨⟩-‐‑|•·‣◦■●▪¡¿')
_AS_IT_IS = re.compile(r"[A-Za-z,.?!'\s]")


class UnspokenError(ValueError):
    """A character that has no sound here."""

    def __init__(self, sign: str) -> None:
        super().__init__(f"{sign!r} ({unicodedata.name(sign, 'without a name').lower()})")
        self.sign = sign


def before_numbers(text: str) -> str:
    """A text with what numbers are spelled with by hand: powers, fractions of one character, signs between digits."""
    text = _POWER.sub(_power, text)
    text = _VULGAR.sub(_vulgar, text)
    return unicodedata.normalize("NFKC", text.translate(_BEFORE_NFKC))


def _power(match: re.Match[str]) -> str:
    number = match.group().translate(_POWERS)
    if not match.start() or match.string[match.start() - 1].isspace():
        return number
    return {"2": " squared ", "3": " cubed "}.get(number, f" to the {number} ")


def _vulgar(match: re.Match[str]) -> str:
    number = unicodedata.normalize("NFKC", match[2])
    return f"{match[1]} and {number}" if match[1] else number


def after_numbers(text: str) -> str:
    """A text without numbers as words of the letters a to z, apostrophes, blanks and ``, . ? !``.

    Raises UnspokenError for a character that has no sound here.

    >>> after_numbers("Straße & “Łódź” — π > x€").split()
    ['Strasse', 'and', 'Lodz', ',', 'pi', 'greater', 'than', 'x', 'euro']
    """
    if found := _GREEK_WORD.search(text):
        raise UnspokenError(found.group()[0])
    text = _MINUS.sub(" minus ", _PAUSE.sub(" , ", text))
    return "".join(map(_spoken, text))


def _spoken(sign: str) -> str:
    if _AS_IT_IS.fullmatch(sign):
        return sign
    if sign in _LETTERS:
        return _LETTERS[sign]
    if sign in _PUNCTUATION:
        return _PUNCTUATION[sign]
    if sign in _SILENT:
        return " "
    if sign in CURRENCIES:
        return f" {CURRENCIES[sign][0]} "
    if sign in _NAMES:
        return f" {_NAMES[sign]} "
    return _by_its_name(sign)


def _by_its_name(sign: str) -> str:
    kind, name = unicodedata.category(sign), unicodedata.name(sign, "")
    if kind in ("Mn", "Me", "Cf"):  # marks over a letter, and what has no shape
        return ""
    if found := _LATIN.fullmatch(name):
        return found[2] if found[1] == "CAPITAL" else found[2].lower()
    base = unicodedata.normalize("NFKD", sign)
    if base != sign and base[0].isascii():
        return "".join(map(_spoken, base))
    if found := _GREEK.fullmatch(name):
        return f" {found[1].lower()} "
    if kind == "Sc":
        return f" {name.removesuffix(' SIGN').lower()} "
    raise UnspokenError(sign)
