"""A clip as an answer: frames that can be looked at, written to a file, and read again.

# F frames, H height, W width
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ofa_modalities.video.clip import Frames

_PICTURES = {".gif": "GIF", ".webp": "WEBP"}
_STEPS = {"GIF": (10, 2), "WEBP": (1, 1)}
"""In which milliseconds a file says how long a frame is shown, and the fewest of them: browsers slow a GIF of shorter ones."""
_FILMS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Video:
    """Frames uint8 ``[F, H, W, 3]``, RGB, ``fps`` of them a second.

    >>> Video(frames=np.zeros((8, 32, 48, 3), np.uint8), fps=4)
    Video(8 frames of 48 × 32 px, 4 a second)
    """

    frames: Frames
    fps: float

    def __post_init__(self) -> None:
        shape = np.shape(self.frames)
        if len(shape) != 4 or shape[-1] != 3 or 0 in shape or self.frames.dtype != np.uint8 or not self.fps > 0:
            raise ValueError(
                f"a video is uint8 [F, H, W, 3] at a rate above 0, not {self.frames.dtype} {list(shape)}, {self.fps}"
            )

    def __repr__(self) -> str:
        count, height, width, _ = self.frames.shape
        return f"Video({count} frame{'s' if count != 1 else ''} of {width} × {height} px, {self.fps:g} a second)"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.frames) / self.fps

    def images(self) -> list[Image.Image]:
        """The frames as pictures."""
        return [Image.fromarray(frame) for frame in self.frames]

    def sheet(self, columns: int | None = None) -> Image.Image:
        """All frames side by side on one picture, ``columns`` in a row (None: all)."""
        count, height, width, _ = self.frames.shape
        columns = min(columns or count, count)
        rows = -(-count // columns)
        sheet = Image.new("RGB", (columns * width, rows * height), (255, 255, 255))
        for number, image in enumerate(self.images()):
            sheet.paste(image, (number % columns * width, number // columns * height))
        return sheet

    def save(self, path: str | Path) -> Path:
        """Write the clip as its suffix says: ``.mp4 .mov .mkv`` (H.264), ``.webm`` (VP9), ``.gif``, ``.webp``, or ``.png``, all
        frames on one picture. An odd side of a film grows by one pixel, which its codecs need. A ``.gif`` shows 50 frames a
        second at most.

        Raises ValueError for another suffix.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix in _PICTURES:
            path.write_bytes(self._animated(_PICTURES[suffix]))
        elif suffix in _FILMS:
            self._film(path, _FILMS[suffix])
        elif suffix == ".png":
            self.sheet().save(path)
        else:
            known = " ".join([*_FILMS, *_PICTURES, ".png"])
            raise ValueError(f"cannot save a video as `{suffix or path.name}`; known suffixes: {known}")
        return path

    def to_plain(self) -> str:
        """An animated WebP as a ``data:`` URI."""
        return "data:image/webp;base64," + base64.b64encode(self._animated("WEBP")).decode("ascii")

    def _animated(self, kind: str) -> bytes:
        """As long as the clip in all: steps that do not divide a frame are spread, and frames too short to be shown left out."""
        step_ms, least = _STEPS[kind]
        steps = max(least, math.floor(1000 * self.duration_s / step_ms + 0.5))
        count = min(len(self.frames), steps // least)
        first, *others = (Image.fromarray(self.frames[number * len(self.frames) // count]) for number in range(count))
        starts = [math.floor(number * steps / count + 0.5) for number in range(count + 1)]
        shown_ms = [step_ms * (end - start) for start, end in pairwise(starts)]
        options: dict[str, Any] = {"lossless": True, "minimize_size": False} if kind == "WEBP" else {"disposal": 2}
        content = io.BytesIO()
        first.save(content, kind, save_all=True, append_images=others, duration=shown_ms, loop=0, **options)
        return content.getvalue()

    def _film(self, path: Path, codec: str) -> None:
        try:
            import av
        except ImportError as error:
            raise ImportError("films are written with PyAV: pip install 'ofa-modalities[video]'") from error
        frames = np.pad(self.frames, [(0, 0), (0, self.frames.shape[1] % 2), (0, self.frames.shape[2] % 2), (0, 0)], "edge")
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(codec, rate=Fraction(self.fps).limit_denominator(1001))
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.thread_count = 1
            stream.options = {"crf": "18"}
            for array in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
            container.mux(stream.encode(None))
