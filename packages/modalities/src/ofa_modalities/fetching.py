"""Fetching a URL whose host the run allows by name, and no other, within a limit of bytes and time."""

from __future__ import annotations

import time
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from ofa_modalities.processor import SampleError

TIMEOUT_S = 30.0
"""Of the whole fetch."""
_CHUNK_BYTES = 1 << 16


def fetch(url: str, column: str, *, hosts: frozenset[str], what: str, max_bytes: int) -> bytes:
    """The body of an http(s) URL.

    hosts: names that may be asked, without ports. what: the medium, for messages. max_bytes: largest body that is read.
    Raises SampleError for a host that is not listed (also where a listed one redirects to it), and for what cannot be fetched.
    """
    _check_host(url, column, hosts)
    deadline = time.monotonic() + TIMEOUT_S
    opener = build_opener(_Redirects(column, hosts), ProxyHandler({}))
    try:
        with opener.open(Request(url, headers={"User-Agent": "ofa"}), timeout=TIMEOUT_S) as answer:
            content = bytearray()
            while chunk := answer.read(_CHUNK_BYTES):
                content += chunk
                if len(content) > max_bytes:
                    raise SampleError(column, f"the {what} at `{url}` is larger than {max_bytes:,} bytes")
                if time.monotonic() > deadline:
                    raise SampleError(column, f"the {what} at `{url}` took longer than {TIMEOUT_S:.0f} s")
    except (URLError, HTTPException, OSError, ValueError) as error:
        if isinstance(error, SampleError):
            raise
        raise SampleError(column, f"cannot fetch `{url}`: {getattr(error, 'reason', error)}") from error
    if not content:
        raise SampleError(column, f"the {what} at `{url}` has zero bytes")
    return bytes(content)


def _check_host(url: str, column: str, hosts: frozenset[str]) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise SampleError(column, f"`{url[:80]}` is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or host.lower() not in {name.lower() for name in hosts}:
        allowed = ", ".join(f"`{name}`" for name in sorted(hosts)) or "none"
        raise SampleError(
            column,
            f"`{url[:80]}` is a URL of `{host}`, which is not fetched from; hosts that are: {allowed}."
            " Give a file, or allow the host by name (`hosts`).",
        )


class _Redirects(HTTPRedirectHandler):
    """Follows a redirection to a listed host only."""

    def __init__(self, column: str, hosts: frozenset[str]) -> None:
        self.column, self.hosts = column, hosts

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The next request. Raises SampleError for another host."""
        _check_host(newurl, self.column, self.hosts)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
