"""How a person reads the tokens of a text: characters where the tokenizer keeps bytes.

A byte-level tokenizer spells `` señal`` as ``ĠseÃ±al``, and one with byte fallback an odd letter as ``<0xC3> <0xB1>``. Here a
blank at the front is ``▁``, and a character that several tokens share is told by each of them with its part.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence

_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_LONGEST_RUN = 12
"""Tokens that are put together at most until they hold whole characters."""


def readable_pieces(contents: Sequence[bytes]) -> list[str]:
    """Tokens that stand in a row, each as text. contents: see :func:`token_bytes`.

    >>> readable_pieces([token_bytes(token, byte_level=True) for token in ("ĠseÃ±al", "ĠÃ", "±")])
    ['▁señal', '<▁ñ:1/2>', '<▁ñ:2/2>']
    """
    return [piece for group in _whole_characters(contents) for piece in _spelled(group)]


def token_bytes(token: str, *, byte_level: bool) -> bytes:
    """The UTF-8 that a token stands for. byte_level: its letters are bytes, as in a byte-level BPE."""
    if byte_level and all(letter in _byte_letters() for letter in token):
        return bytes(_byte_letters()[letter] for letter in token)
    fallback = _FALLBACK.fullmatch(token)
    return bytes.fromhex(fallback[1]) if fallback else token.encode("utf-8", "replace")


def ends_whole(content: bytes) -> bool:
    """Whether the end of some UTF-8 is a whole character; its beginning may be half of one.

    >>> ends_whole("é".encode()), ends_whole("é".encode()[:1]), ends_whole(b"")
    (True, False, True)
    """
    return not content.decode("utf-8", "replace").endswith("\ufffd") or content.endswith("\ufffd".encode())


def _whole_characters(contents: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Runs of tokens that hold whole characters together, as short as can be; a token that never does is alone."""
    start = 0
    while start < len(contents):
        stops = range(start + 1, min(start + _LONGEST_RUN, len(contents)) + 1)
        stop = next((stop for stop in stops if _text(b"".join(contents[start:stop])) is not None), start + 1)
        yield contents[start:stop]
        start = stop


def _spelled(group: Sequence[bytes]) -> list[str]:
    text = _text(b"".join(group))
    if text is None:
        return [f"<{content.hex(' ')}>" for content in group]
    shown = "".join(_shown(character) for character in text)
    if text.startswith(" "):
        shown = "▁" + shown[1:]
    return [shown] if len(group) == 1 else [f"<{shown}:{number}/{len(group)}>" for number in range(1, len(group) + 1)]


def _shown(character: str) -> str:
    """A line break or a control character as its escape, so that it does not tear the line that it is shown on."""
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def _text(content: bytes) -> str | None:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


@functools.cache
def _byte_letters() -> dict[str, int]:
    """The byte that each letter of a byte-level token stands for: printable bytes stand for themselves, the others, in order,
    for the letters from U+0100 on (Radford et al. 2019)."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    same = {letter: ord(letter) for letter in letters if ord(letter) < 256}
    others = sorted(set(range(256)) - set(same.values()))
    return same | dict(zip((letter for letter in letters if letter not in same), others, strict=True))
