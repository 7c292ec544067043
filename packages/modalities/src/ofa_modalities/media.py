"""Strings and containers that stand for a file's content, the same for every medium.

A string is a ``data:`` URI, else a URL of a host that the run allows by name, else a ``file:`` URL or an existing path, else
base64 whose first bytes are a known format, else an error. Nothing is fetched from any other host, redirected or not.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from urllib.request import url2pathname

from ofa_modalities.fetching import fetch
from ofa_modalities.processor import SampleError

MAX_FILE_BYTES = 256 * 10**6
"""More than a picture needs; what is larger is no picture, and is not read into memory."""

_URL_SAFE = str.maketrans("-_", "+/")


def read_media(
    value: object,
    column: str,
    *,
    root: Path | None,
    known: Callable[[bytes], bool],
    what: str,
    max_bytes: int = MAX_FILE_BYTES,
    hosts: frozenset[str] = frozenset(),
) -> bytes | None:
    """The bytes that ``value`` stands for; see :func:`media_source`. A file is read whole."""
    source = media_source(value, column, root=root, known=known, what=what, max_bytes=max_bytes, hosts=hosts)
    if not isinstance(source, Path):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise SampleError(column, f"cannot read `{source}`: {error}") from error


def media_source(
    value: object,
    column: str,
    *,
    root: Path | None,
    known: Callable[[bytes], bool],
    what: str,
    max_bytes: int = MAX_FILE_BYTES,
    max_fetched_bytes: int | None = None,
    hosts: frozenset[str] = frozenset(),
    folders: bool = False,
) -> Path | bytes | None:
    """What ``value`` stands for, to be opened: a file's path, which has been checked, or bytes.

    None where it is no str, path, bytes or Hugging Face ``{"bytes", "path"}``.
    root: paths are relative to it and must lie inside it; None: paths are the user's own.
    known: whether the first bytes are of a format of this medium. what: the medium, for messages.
    max_bytes: largest file that is taken. max_fetched_bytes: the same of a URL, where it differs. hosts: names that URLs may be
    fetched from. folders: a folder's path is taken too.
    Raises SampleError for a path outside ``root``, a file that cannot be read or is larger, a URL of another host, and a string
    that is none of these.
    """
    if isinstance(value, Mapping) and value.keys() <= {"bytes", "path"} and value:
        content = value.get("bytes")
        value = content if content is not None else value.get("path")
        if value is None:
            raise SampleError(column, f"the {what} has neither bytes nor a path")
        if isinstance(value, str) and not _is_url(value.strip()):
            value = Path(value)
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        if not content:
            raise SampleError(column, f"the {what} has zero bytes")
        return content
    if isinstance(value, os.PathLike):
        return _checked_path(Path(value), column, root, what, max_bytes, folders=folders)
    if isinstance(value, str):
        text = value.strip()
        if _is_url(text):
            if text[:5].lower() != "file:":
                most = max_bytes if max_fetched_bytes is None else max_fetched_bytes
                return fetch(text, column, hosts=hosts, what=what, max_bytes=most)
            return _checked_path(_path_of_url(text, column), column, root, what, max_bytes, folders=folders)
        return _open_string(text, column, root=root, known=known, what=what, max_bytes=max_bytes, folders=folders)
    return None


class MemoryFile(io.BytesIO):
    """Bytes as a file for decoders written in C: a seek to before its beginning is answered with an error code.

    An exception would be printed by the libraries that call this, with its traceback, and dropped.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The place that was sought; -1 where there is none, and it stays where it is."""
        try:
            return super().seek(offset, whence)
        except (OSError, OverflowError, ValueError):
            return -1


def read_object(value: object, column: str, what: str, max_bytes: int) -> object:
    """The bytes of an open file, from its beginning where it can go back; any other value as it is.

    A row is read once an epoch, and wherever a program that filled an ``io.BytesIO`` left it. what: the medium, for messages.
    Raises SampleError for a file that is open for text or closed, and for more than ``max_bytes``.
    """
    opened: Any = value
    if not callable(getattr(opened, "read", None)):
        return value
    try:
        if callable(getattr(opened, "seekable", None)) and opened.seekable():
            place = opened.tell()
            opened.seek(0)
            content = opened.read(max_bytes + 1)
            opened.seek(place)  # where its owner left it
        else:
            content = opened.read(max_bytes + 1)
    except (OSError, ValueError, TypeError) as error:
        raise SampleError(column, f"the open file of the {what} cannot be read: {error}") from error
    if not isinstance(content, bytes):
        raise SampleError(column, f"the file of the {what} is not open for bytes: open it with mode `rb`")
    if len(content) > max_bytes:
        raise SampleError(column, f"the open file of the {what} has more than {max_bytes:,} bytes, the most that is read")
    return content


def _is_url(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://", "file://"))


def _path_of_url(url: str, column: str) -> Path:
    """What a ``file:`` URL of this machine names; ``?`` and ``#`` are part of a name."""
    host, slash, path = url[len("file://") :].partition("/")
    if host.lower() not in ("", "localhost") or not slash:
        raise SampleError(column, f"{_short(url)} names no file of this machine; that is file:///absolute/path")
    return Path(url2pathname(slash + path))


def _open_string(
    text: str,
    column: str,
    *,
    root: Path | None,
    known: Callable[[bytes], bool],
    what: str,
    max_bytes: int,
    folders: bool,
) -> Path | bytes:
    if not text:
        raise SampleError(column, f"the {what} is an empty text")
    if text[:5].lower() == "data:":
        return _read_data_uri(text, column, what)
    if len(text) < 4096 and "\0" not in text:
        path = Path(text)
        try:
            found = (root / path if root is not None else path).exists()
        except OSError:
            found = False
        if found:
            return _checked_path(path, column, root, what, max_bytes, folders=folders)
    content = _from_base64(text)
    if content is not None and known(content):
        return content
    where = f" under `{root}` (`root` says another)" if root is not None else ""
    raise SampleError(column, f"{_short(text)} is no file{where}, and no {what} in base64 or as a data: URI")


def _checked_path(path: Path, column: str, root: Path | None, what: str, max_bytes: int, *, folders: bool) -> Path:
    try:
        if root is not None:
            inside = (root / path).resolve()
            if not inside.is_relative_to(root.resolve()):
                raise SampleError(column, f"`{path}` lies outside the data root `{root}`; another is given as `root` (--root)")
            path = inside
        if folders and path.is_dir():
            return path
        if not path.is_file():
            raise SampleError(column, f"`{path}` is no file")
        if (size := path.stat().st_size) > max_bytes:
            raise SampleError(column, f"the {what} `{path}` has {size:,} bytes; at most {max_bytes:,} are read")
    except (OSError, ValueError) as error:
        if isinstance(error, SampleError):
            raise
        raise SampleError(column, f"cannot read `{path}`: {error}") from error
    if not size:
        raise SampleError(column, f"the {what} `{path}` has zero bytes")
    return path


def _read_data_uri(text: str, column: str, what: str) -> bytes:
    header, comma, body = text.partition(",")
    content = _from_base64(body) if header.lower().endswith(";base64") else unquote_to_bytes(body)
    if not comma or not content:
        raise SampleError(column, f"{_short(text)} is not a data: URI with a {what} in it")
    return content


def _from_base64(text: str) -> bytes | None:
    """Bytes of either alphabet of base64, with or without padding and line breaks; None where it is something else."""
    clean = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(clean + "=" * (-len(clean) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:40] + "..." + text[-10:])
