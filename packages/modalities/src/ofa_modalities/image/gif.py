"""The blocks of a GIF, walked without decoding anything: whether it holds a picture at all, and how long each is shown.

PIL looks for the next block byte by byte, which takes minutes in a large file of something else.
"""

from __future__ import annotations

from collections.abc import Iterator

_EXTENSION, _CONTROL, _PICTURE, _END = 0x21, 0xF9, 0x2C, 0x3B


def gif_delays(content: bytes) -> Iterator[int]:
    """Hundredths of a second of each frame: the delay of the last control block before its picture.

    Raises ValueError where no picture is found, and where the file ends within a block.
    """
    try:
        yield from _delays(content)
    except IndexError as error:
        raise ValueError("the file is truncated") from error


def _delays(content: bytes) -> Iterator[int]:
    place = 13 + _colours(content[10])
    delay, found = 0, False
    while place < len(content) and content[place] != _END:
        if content[place] == _EXTENSION:
            if content[place + 1] == _CONTROL:
                delay = int.from_bytes(content[place + 4 : place + 6], "little")
            place += 2
        elif content[place] == _PICTURE:
            yield delay
            delay, found = 0, True
            place += 11 + _colours(content[place + 9])
        elif found:
            return
        else:
            raise ValueError(f"byte {place} of the GIF begins no block, and no picture came before it")
        while place < len(content) and content[place]:
            place += 1 + content[place]
        place += 1
    if place > len(content):
        raise ValueError("the file is truncated")
    if not found:
        raise ValueError("the GIF holds no picture")


def _colours(flags: int) -> int:
    """Bytes of the colour table that the flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
