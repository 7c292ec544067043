"""URLs: fetched from hosts that are allowed by name, and from no other, within limits."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ofa_modalities import SampleError, read_image
from ofa_modalities.media import media_source, read_media
from PIL import Image

LOCAL = frozenset({"127.0.0.1"})


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/away.png":
            self.send_response(302)
            self.send_header("Location", "http://example.org/cat.png")
            self.end_headers()
            return
        if self.path == "/missing.png":
            self.send_error(404)
            return
        content = io.BytesIO()
        Image.new("RGB", (8, 4), "red").save(content, "PNG")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"" if self.path == "/empty.png" else content.getvalue())

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_picture_of_an_allowed_host_is_fetched(site: str) -> None:
    image, size = read_image(f"{site}/cat.png", "img", hosts=LOCAL)
    assert size == (8, 4)
    assert image.getpixel((0, 0)) == (255, 0, 0)


def test_the_url_of_a_mapping_is_fetched_like_a_bare_one(site: str) -> None:
    for url in (f"{site}/cat.png", f" {site.upper()}/cat.png\n"):
        assert read_image({"bytes": None, "path": url}, "img", hosts=LOCAL)[1] == (8, 4)
    with pytest.raises(SampleError, match=r"127\.0\.0\.1.*not fetched from"):
        read_image({"path": f"{site}/cat.png"}, "img")
    with pytest.raises(SampleError, match=r"example\.org.*not fetched from"):
        read_image({"path": f"{site}/away.png"}, "img", hosts=LOCAL)


@pytest.mark.parametrize("hosts", [frozenset(), frozenset({"example.org"}), frozenset({"127.0.0.1.example.org"})])
def test_no_other_host_is_asked(site: str, hosts: frozenset[str]) -> None:
    with pytest.raises(SampleError, match=r"column `img`: .*127\.0\.0\.1.*not fetched from.*`hosts`"):
        read_image(f"{site}/cat.png", "img", hosts=hosts)


def test_a_redirection_to_another_host_is_refused(site: str) -> None:
    with pytest.raises(SampleError, match=r"example\.org.*not fetched from"):
        read_image(f"{site}/away.png", "img", hosts=LOCAL)


@pytest.mark.parametrize(("path", "message"), [("/missing.png", "cannot fetch"), ("/empty.png", "zero bytes")])
def test_what_cannot_be_fetched_is_a_sample_error(site: str, path: str, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        read_image(site + path, "img", hosts=LOCAL)


def test_a_body_is_read_up_to_the_limit(site: str) -> None:
    with pytest.raises(SampleError, match="larger than 10 bytes"):
        read_media(f"{site}/cat.png", "img", root=None, known=bool, what="picture", max_bytes=10, hosts=LOCAL)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://[::1/x", "file://127.0.0.1/etc/hostname", "file://etc"])
def test_other_schemes_are_never_opened(url: str) -> None:
    with pytest.raises(SampleError):
        media_source(url, "img", root=None, known=lambda head: False, what="picture", hosts=LOCAL)


def test_a_file_url_is_a_path_within_the_root(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for path in (root / "a cat #1.png", tmp_path / "dog.png"):
        Image.new("RGB", (8, 4), "red").save(path)
    inside, outside = (root / "a cat #1.png").as_uri(), (tmp_path / "dog.png").as_uri()
    assert "a%20cat%20%231.png" in inside
    for url in (inside, inside.replace("file://", "FILE://localhost"), f" {inside}\n", inside.replace("%23", "#")):
        for value in (url, {"path": url}):
            assert read_image(value, "img", root=root)[1] == (8, 4)
            assert read_image(value, "img")[1] == (8, 4)
    assert read_image(outside, "img")[1] == (8, 4)
    for url in (outside, f"{root.as_uri()}/../dog.png", f"{root.as_uri()}/%2e%2e/dog.png", "file:///etc/hostname"):
        for value in (url, {"path": url}):
            with pytest.raises(SampleError, match="outside the data root"):
                read_image(value, "img", root=root)
    for url, message in ((f"{root.as_uri()}/none.png", "is no file"), (f"{root.as_uri()}/a%00b", "null byte|is no file")):
        for place in (root, None):
            with pytest.raises(SampleError, match=message):
                read_image(url, "img", root=place)
