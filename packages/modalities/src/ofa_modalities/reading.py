"""The one place where whatever a decoder raises becomes a SampleError, and where a raw value is shown in a message.

Decoders of damaged files raise what they like (KeyError, struct.error, NotImplementedError, MemoryError, a number of too many
digits …), and a run must go on without the row. Every reader of every modality does its work inside of :class:`Reading`.
"""

from __future__ import annotations

import re
from reprlib import Repr
from types import TracebackType

from ofa_modalities.processor import SampleError

_LONGEST_REASON = 200
_SPEAKING = (OSError, ValueError, SyntaxError, RuntimeError)
"""What these say is a sentence; of other exceptions the name says more than the text (``KeyError: 8``)."""
_OBJECT = re.compile(r"\s*<[\w.]+ object at 0x[0-9a-fA-F]+>")
"""Addresses of objects, as PIL tells them."""
_REPR = Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


class Reading:
    """What is raised inside becomes a SampleError of the column: ``not a readable picture: …``.

    Stay as they are: a SampleError; an ImportError, which names a library that must be installed and is no fault of the row; an
    AssertionError or NameError out of OFASys' own code, which is a bug of it; and what ends a program (KeyboardInterrupt).

    >>> with Reading("img", "picture"):
    ...     {}[8]
    Traceback (most recent call last):
        ...
    ofa_modalities.processor.SampleError: column `img`: not a readable picture: KeyError: 8
    """

    __slots__ = ("column", "what")

    def __init__(self, column: str, what: str) -> None:
        """what: the medium, as it stands behind *not a readable*."""
        self.column = column
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if not isinstance(error, Exception) or isinstance(error, SampleError | ImportError) or _is_bug(error):
            return
        if isinstance(error, MemoryError):
            raise SampleError(self.column, f"the {self.what} does not fit into memory") from error
        raise SampleError(self.column, f"not a readable {self.what}: {reason(error)}") from error


def _is_bug(error: Exception) -> bool:
    if not isinstance(error, AssertionError | NameError):
        return False
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and str(traceback.tb_frame.f_globals.get("__name__", "")).startswith("ofa_")


def reason(error: BaseException) -> str:
    """What an exception says, on one line of at most 200 characters.

    >>> reason(ValueError("two\\nlines")), reason(KeyError(8)), reason(RecursionError("maximum recursion depth exceeded"))
    ('two lines', 'KeyError: 8', 'it is too deeply nested')
    """
    if isinstance(error, RecursionError):
        return "it is too deeply nested"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = " ".join(_OBJECT.sub("", said).split())
    if not isinstance(error, _SPEAKING) or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"


def shown(value: object, most: int = 60) -> str:
    """A raw value as a message shows it: at most about ``most`` characters, however much the value holds.

    >>> shown("a" * 10**6, 8), shown(2.5), shown(10**6000)
    ("'aaaaaaaa…'", '2.5', 'a whole number of 19932 bits')
    """
    if isinstance(value, str | bytes | bytearray):
        text = repr(value[:most])
        return text if len(value) <= most else f"{text[:-1]}…{text[-1]}"
    if isinstance(value, int) and value.bit_length() > 8 * most:
        return f"a whole number of {value.bit_length()} bits"
    try:
        text = " ".join(_REPR.repr(value).split())
    except Exception:  # noqa: BLE001  a value's own `__repr__` may raise anything, and this is on the way to an error
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else text[:most] + "…"
