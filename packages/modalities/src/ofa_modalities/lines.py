"""Lines of text files, and how their bytes become text. Every reader of text files of this project uses these.

A line ends at a line feed or at CR LF and nowhere else: U+2028, U+0085, a form feed or a lone CR are characters of a line.

>>> split_lines("a\\u2028b\\r\\nc\\n\\n")
['a\\u2028b', 'c', '']
"""

from __future__ import annotations

import codecs
from pathlib import Path

_BYTE_ORDER_MARKS = (  # that of UTF-32 begins like that of UTF-16, so it is looked for first
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends; what follows the last line feed is a line where it is not empty."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not lines[-1]:
        lines.pop()
    return lines


def encoding_of(head: bytes, encoding: str = "utf-8") -> str:
    """The encoding that the first bytes of a file announce by a byte order mark, else ``encoding``.

    >>> encoding_of("a".encode("utf-16")), encoding_of(b"a"), encoding_of(b"\\xef\\xbb\\xbfa")
    ('utf-16', 'utf-8', 'utf-8-sig')
    """
    return next((name for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), encoding)


def decode_text(content: bytes, encoding: str = "utf-8") -> str:
    """The text of a file's bytes, without a byte order mark. Raises UnicodeDecodeError, LookupError for an unknown encoding."""
    return content.decode(encoding_of(content[:4], encoding))


def read_text_file(path: str | Path) -> str:
    """The text of a file, its line ends as they are. Raises OSError, UnicodeDecodeError."""
    return decode_text(Path(path).read_bytes())
