"""Small clips, written anew for each test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

FIXTURES = Path(__file__).parents[1] / "fixtures" / "video"


def numbered_frame(number: int, size: tuple[int, int] = (32, 32)) -> NDArray[np.uint8]:
    """A grey picture whose brightness tells its number, up to 60 of them apart."""
    return np.full((size[1], size[0], 3), 8 + 4 * number, np.uint8)


def write_film(
    path: Path,
    times_ms: Sequence[int],
    *,
    codec: str = "libx264",
    container: str | None = None,
    size: tuple[int, int] = (32, 32),
    keys_every: int = 8,
    b_frames: int = 2,
    rotation: int | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A film of numbered frames that are presented at these milliseconds."""
    import av

    with av.open(str(path), "w", format=container, container_options=options or {}) as file:
        stream: Any = file.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = keys_every
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            stream.codec_context.max_b_frames = b_frames
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for number, time in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number % 60, size), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    """``film(times_ms, name="clip.mp4", codec=…, …)``: see :func:`write_film`."""

    def make(times_ms: Sequence[int], name: str = "clip.mp4", **options: Any) -> Path:
        return write_film(tmp_path / name, times_ms, **options)

    return make


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """:func:`write_film`."""
    return write_film


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of real films."""
    return FIXTURES
