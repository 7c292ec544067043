"""A clip as an answer: written to files that other tools read."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from ofa_modalities.video.animated import frame_durations
from ofa_modalities.video.output import Video
from PIL import Image

SMOOTH = np.linspace(20, 230, 6 * 15 * 21 * 3).reshape(6, 15, 21, 3).astype(np.uint8)
CLIP = Video(frames=SMOOTH, fps=5)


@pytest.mark.parametrize(
    ("name", "codec"), [("x.mp4", "h264"), ("x.mov", "h264"), ("x.mkv", "h264"), ("x.webm", "vp9"), ("X.MP4", "h264")]
)
def test_films_are_read_by_other_tools(tmp_path: Path, name: str, codec: str) -> None:
    av = pytest.importorskip("av")
    path = CLIP.save(tmp_path / name)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name.startswith(codec)
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(stream)]
        assert float(stream.average_rate) == pytest.approx(5, rel=0.01)
    assert np.shape(frames) == (6, 16, 22, 3)  # odd sides grow by a pixel
    assert np.abs(np.stack(frames)[:, :15, :21].astype(int) - SMOOTH).mean() < 8


@pytest.mark.parametrize("name", ["x.gif", "x.webp"])
def test_animated_pictures(tmp_path: Path, name: str) -> None:
    with Image.open(CLIP.save(tmp_path / name)) as image:
        assert image.n_frames == 6
        assert image.size == (21, 15)
        image.seek(3)
        image.load()
        assert image.info["duration"] == 200
        assert np.abs(np.asarray(image.convert("RGB"), int) - SMOOTH[3]).max() <= (0 if name == "x.webp" else 48)


@pytest.mark.parametrize(("fps", "count"), [(8, 60), (30, 60), (60, 60), (12.5, 5), (240, 100), (1000, 3), (0.3, 2), (24, 1)])
@pytest.mark.parametrize("name", ["x.gif", "x.webp"])
def test_an_animated_picture_lasts_as_long_as_the_clip(tmp_path: Path, name: str, fps: float, count: int) -> None:
    frames = np.arange(8, 8 + count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    video = Video(frames=frames, fps=fps)
    shown = frame_durations(video.save(tmp_path / name).read_bytes()) or [video.duration_s]  # a still WebP says nothing
    step = 0.01 if name == "x.gif" else 0.001
    assert sum(shown) == pytest.approx(max(video.duration_s, 2 * step), abs=step / 2 + 1e-9)
    assert max(shown) - min(shown) < step + 1e-9
    assert len(shown) == (count if name == "x.webp" or fps <= 50 else max(1, round(50 * count / fps)))
    assert min(shown) >= 2 * step - 1e-9 or name == "x.webp"


def test_all_frames_on_one_picture(tmp_path: Path) -> None:
    with Image.open(CLIP.save(tmp_path / "x.png")) as image:
        assert np.array_equal(np.asarray(image)[:, 21:42], SMOOTH[1])
    assert CLIP.sheet(4).size == (84, 30)


def test_for_json_a_clip_is_an_animated_picture() -> None:
    head, _, body = CLIP.to_plain().partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        assert image.n_frames == 6


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"known suffixes: \.mp4"):
        CLIP.save("x.txt")
    for frames, fps in ((SMOOTH[0], 5), (SMOOTH.astype(float), 5), (SMOOTH[:0], 5), (SMOOTH, 0)):
        with pytest.raises(ValueError, match="a video is uint8"):
            Video(frames=frames, fps=fps)
    assert CLIP.duration_s == pytest.approx(1.2)
