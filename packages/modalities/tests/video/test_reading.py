"""Every sort of raw value; odd ones that are read all the same; bad ones that are refused at once."""

from __future__ import annotations

import base64
import io
import struct
import wave
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from ofa_modalities.image.reading import read_image
from ofa_modalities.processor import SampleError
from ofa_modalities.video.clip import Clip, Limits
from ofa_modalities.video.output import Video
from ofa_modalities.video.reading import read_video
from ofa_modalities.video.sampling import uniform_times
from PIL import Image

av = pytest.importorskip("av")

Film = Callable[..., Path]
FRAMES = np.stack([np.full((16, 24, 3), 8 + 4 * number, np.uint8) for number in range(6)])


def read(value: object, count: int = 3, **options: object) -> Clip:
    return read_video(value, "clip", times=partial(uniform_times, count=count), shrink=lambda w, h: (12, 8), **options)


def brightness(clip: Clip) -> list[int]:
    return [round((int(frame[4, 6, 0]) - 8) / 4) for frame in clip.frames]


def animated(kind: str, durations: list[int], frames: np.ndarray = FRAMES) -> bytes:
    content = io.BytesIO()
    images = [Image.fromarray(frame) for frame in frames]
    options = {"lossless": True} if kind == "WEBP" else {}
    images[0].save(content, kind, save_all=True, append_images=images[1:], duration=durations, loop=0, **options)
    return content.getvalue()


@pytest.mark.parametrize(
    "value",
    [
        FRAMES,
        FRAMES.transpose(0, 3, 1, 2),
        torch.from_numpy(FRAMES),
        torch.from_numpy(FRAMES).float() / 255,
        FRAMES[..., 0],
        list(FRAMES),
        [Image.fromarray(frame) for frame in FRAMES],
        {"frames": FRAMES, "fps": 2},
        Video(frames=FRAMES, fps=7),
        animated("GIF", [100] * 6),
        animated("WEBP", [100] * 6),
        animated("PNG", [100] * 6),
    ],
    ids=["array", "channels-first", "tensor", "floats", "grey", "arrays", "pictures", "mapping", "video", "gif", "webp", "png"],
)
def test_raw_values(value: object) -> None:
    clip = read(value)
    assert brightness(clip) == [1, 3, 5]
    assert clip.frames.shape == (3, 8, 12, 3)
    assert clip.size_px == (24, 16)


def test_a_file_by_path_bytes_base64_and_data_uri(film: Film, tmp_path: Path) -> None:
    path = film(range(0, 600, 100), size=(24, 16))
    content = path.read_bytes()
    text = base64.b64encode(content).decode()
    values = (path, str(path), content, text, f"data:video/mp4;base64,{text}", {"bytes": content, "path": None})
    found = [read(value) for value in values]
    found.append(read(path.name, root=tmp_path))
    for clip in found:
        assert clip.times_s == pytest.approx([0.1, 0.3, 0.4])
        assert np.array_equal(clip.frames, found[0].frames)


def test_a_folder_of_frames_in_natural_order(tmp_path: Path) -> None:
    for number in range(12):
        Image.fromarray(np.full((16, 24, 3), 8 + 4 * number, np.uint8)).save(tmp_path / f"frame{number}.png")
    (tmp_path / ".hidden").write_text("no picture")
    assert brightness(read(tmp_path, 12)) == list(range(12))
    assert read(tmp_path, 12).num_decoded == 12
    assert read(tmp_path, 2).num_decoded == 2
    assert read(str(tmp_path), frame_rate=4.0).duration_s == 3.0


def test_files_of_a_folder_that_are_no_pictures_are_passed_over(tmp_path: Path) -> None:
    for name in ("readme.txt", "Thumbs.db", ".DS_Store"):
        (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0 no picture")
    with pytest.raises(SampleError, match="holds no pictures"):
        read(tmp_path)
    for number in range(3):
        Image.fromarray(FRAMES[number]).save(tmp_path / f"{number}{('', '.png', '.PNG')[number]}", "PNG")
    assert brightness(read(tmp_path)) == [0, 1, 2]
    (tmp_path / "3.jpg").write_text("no picture")
    with pytest.raises(SampleError, match="not a readable picture"):
        read(tmp_path, 4)


def test_frames_outside_of_the_data_root_are_not_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "clip").mkdir(parents=True)
    Image.fromarray(FRAMES[0]).save(tmp_path / "outside.png")
    (root / "clip" / "0.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(SampleError, match="outside the data root"):
        read("clip", root=root)
    with pytest.raises(SampleError, match="outside the data root"):
        read("..", root=root)


def test_open_files(film: Film) -> None:
    path = film(range(0, 600, 100), size=(24, 16))
    with path.open("rb") as file:
        assert np.array_equal(read(file).frames, read(path).frames)
    memory = io.BytesIO(animated("GIF", [100] * 6))
    assert brightness(read(memory)) == brightness(read(memory)) == [1, 3, 5]
    with pytest.raises(SampleError, match="more than 100 bytes"):
        read(memory, limits=Limits(max_bytes=100))
    stills = [io.BytesIO(animated("PNG", [100], FRAMES[number : number + 1])) for number in range(6)]
    assert brightness(read(stills)) == [1, 3, 5]


def test_a_real_animated_picture(fixtures: Path) -> None:
    starts = np.array([0, 0.12, 0.25, 0.37, 0.5, 0.62])
    clip = read_video(fixtures / "ball.gif", times=lambda duration: starts, shrink=lambda w, h: (w, h))
    assert clip.times_s == pytest.approx(starts)
    assert (clip.size_px, clip.frames.shape) == ((24, 24), (6, 24, 24, 3))
    assert clip.duration_s == pytest.approx(0.75)
    ball = (clip.frames[..., 0] > 150) & (clip.frames[..., 2] < 100)
    middles = [np.argwhere(frame).mean(0).round().astype(int).tolist() for frame in ball]
    assert middles == [[5, 4], [12, 7], [17, 10], [17, 13], [12, 16], [5, 19]]


# Odd, and read all the same


def test_a_wrong_extension(film: Film, tmp_path: Path) -> None:
    path = film(range(0, 600, 100), size=(24, 16))
    assert read(path.rename(tmp_path / "clip.txt")).times_s == pytest.approx([0.1, 0.3, 0.4])
    (tmp_path / "clip.mp4").write_bytes(animated("GIF", [100] * 6))
    assert brightness(read(tmp_path / "clip.mp4")) == [1, 3, 5]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_one_frame(film: Film, kind: str) -> None:
    assert brightness(read(film([0], size=(24, 16)))) == [0, 0, 0]
    content = io.BytesIO()
    Image.fromarray(FRAMES[3]).save(content, kind, **({"lossless": True} if kind == "WEBP" else {}))
    clip = read(content.getvalue())
    assert brightness(clip) == [3, 3, 3]
    assert clip.num_decoded == 1
    assert brightness(read(FRAMES[:1])) == [0, 0, 0]


def test_negative_timestamps(film: Film) -> None:
    path = film(range(-500, 100, 100), "clip.asf", codec="mpeg4", size=(24, 16), options={"avoid_negative_ts": "disabled"})
    with av.open(str(path)) as file:
        assert next(file.decode(video=0)).time == -0.5
    assert read(path).times_s == pytest.approx([0.1, 0.2, 0.4])  # 0.25 lies in the middle of two


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animated_pictures_of_variable_rate(kind: str) -> None:
    clip = read(animated(kind, [1000, 100, 100, 100, 100, 600]), 4)
    assert clip.duration_s == pytest.approx(2.0)
    assert brightness(clip) == [0, 1, 3, 5]  # at 0.25, 0.75, 1.25 and 1.75 s; frames start at 0, 1.0, 1.1, 1.2, 1.3, 1.4 s
    assert clip.times_s == pytest.approx([0.0, 1.0, 1.2, 1.4])


def test_only_the_needed_part_of_an_animated_picture_is_decoded() -> None:
    clip = read_video(animated("WEBP", [100] * 6), times=lambda duration: np.array([0.2]), shrink=lambda w, h: (12, 8))
    assert clip.num_decoded == 3


def test_a_turned_film_is_set_upright(film: Film) -> None:
    clip = read_video(
        film([0, 100], size=(32, 16), rotation=90), times=partial(uniform_times, count=1), shrink=lambda w, h: (w // 2, h // 2)
    )
    assert clip.size_px == (16, 32)
    assert clip.frames.shape == (1, 16, 8, 3)


# Bad


def no_stream() -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    sound_only = io.BytesIO()
    with av.open(io.BytesIO(content.getvalue())) as source, av.open(sound_only, "w", format="matroska") as target:
        stream = target.add_stream("pcm_s16le", rate=8000)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return sound_only.getvalue()


def huge_gif() -> bytes:
    return b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\0\0\0," + struct.pack("<HHHH", 0, 0, 60_000, 60_000) + b"\0\x08\0;"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "missing"),
        (b"", "zero bytes"),
        (b"\x93NUMPY" + bytes(range(200)), "not a readable video"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not a readable video"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1/x.ts\n#EXT-X-ENDLIST\n", "not a readable video"),
        (no_stream(), "no video stream; it holds audio"),
        (huge_gif(), r"60000 × 60000 pixels, more than 100000 in all; `max_pixels`"),
        (b"GIF89a\x18\0\x10\0\0\0\0" + bytes(1000), "byte 13 of the GIF begins no block"),
        (b"GIF89a\x18\0\x10\0\0\0\0;", "the GIF holds no picture"),
        (b"GIF89a\x18\0", "the file is truncated"),
        (animated("GIF", [100] * 6) + bytes(1_000_000), "the animated picture has 1,00.* bytes; at most 1,000,000 are read"),
        (animated("GIF", [100] * 6)[:-40], "not a readable animated picture"),
        (animated("WEBP", [100] * 6)[:-40], "not a readable animated picture"),
        ("no such file.mp4", "no file"),
        (3, "not int"),
        ([], "not 0"),
        (["x"], "no file"),
        (np.zeros((2, 5), np.uint8), "not \\[2, 5\\]"),
        (np.zeros((0, 4, 4, 3), np.uint8), "not \\[0, 4, 4, 3\\]"),
        (np.full((2, 4, 4, 3), np.nan), "floats of a picture"),
        (np.zeros((2, 300, 400, 3), np.uint8), "more than 100000"),
        (np.zeros((400, 30, 30, 3), np.uint8), "at most 1,000,000"),
        ([np.zeros((2, 2), np.uint8)] * 3000, "lasts 120 s"),
        ([np.zeros((30, 30, 3), np.uint8)] * 400, "the video has 1,080,000 bytes; at most 1,000,000"),
        ([torch.zeros((3, 30, 30))] * 100, "the video has 1,080,000 bytes; at most 1,000,000"),
        ([Image.new("RGB", (30, 30))] * 400, "the video has 1,080,000 bytes; at most 1,000,000"),
        ([{"bytes": bytes(1001), "path": None}] * 1000, "the video has 1,001,000 bytes; at most 1,000,000"),
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_bad_values(value: object, message: str) -> None:
    with pytest.raises(SampleError, match=message) as caught:
        read(value, limits=Limits(max_pixels=100_000, max_duration_s=60.0, max_bytes=1_000_000))
    assert caught.value.column == "clip"


def test_pictures_in_files_take_no_bytes_of_a_list(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(len(FRAMES))]
    for file, frame in zip(files, FRAMES, strict=True):
        Image.fromarray(frame).save(file)
    limits = Limits(max_bytes=1000)
    wanted = read(FRAMES).frames
    assert np.array_equal(read(files, limits=limits).frames, wanted)
    with ExitStack() as opened:
        pictures = [opened.enter_context(Image.open(file)) for file in files]
        assert np.array_equal(read(pictures, limits=limits).frames, wanted)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6])
def test_truncated_files(film: Film, name: str, part: float) -> None:
    codec = "libvpx" if name == "a.webm" else "libx264"
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    path = film(range(0, 12_000, 100), name, codec=codec, options=options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(SampleError, match=r"truncated|no video stream"):
        read(path)


def test_a_film_whose_header_says_60000_by_60000(film: Film) -> None:
    content = bytearray(film([0, 100], "a.avi", codec="ffv1", size=(48, 32)).read_bytes())
    place = content.index(b"strf") + 12  # width and height of the stream's format
    assert content[place : place + 8] == struct.pack("<ii", 48, 32)
    content[place : place + 8] = struct.pack("<ii", 60_000, 60_000)
    with pytest.raises(SampleError, match=r"60000 × 60000|not a readable video"):
        read(bytes(content))


def test_a_film_of_more_pixels_than_the_limit_is_not_decoded(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film([0, 100], size=(320, 240))
    monkeypatch.setattr("ofa_modalities.video.container._Walk", None)
    with pytest.raises(SampleError, match="320 × 240 pixels, more than 70000"):
        read(path, limits=Limits(max_pixels=70_000))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_film_whose_header_says_ten_hours(film: Film, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film([0, 100, 36_000_000], name)
    monkeypatch.setattr("ofa_modalities.video.container._Walk", None)
    with pytest.raises(SampleError, match="36,000 s, more than 14,400"):
        read(path)


def test_an_animated_picture_of_ten_hours_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = animated("WEBP", [2**23, 2**23, 2**23, 2**23, 2**23, 100])
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(SampleError, match="lasts 41,943 s"):
        read(content)


def test_a_huge_animated_picture_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.gif"
    with path.open("wb") as file:
        file.write(b"GIF89a\x18\0\x10\0\0\0\0")
        file.truncate(1200 * 2**20)  # Sparse: nothing of it is on the disk.
    with pytest.raises(SampleError, match="has 1,258,291,200 bytes; at most 256,000,000 are read"):
        read(path)


def test_a_large_file_of_nothing_behind_a_gifs_header_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", None)  # It would go through all of the file byte by byte.
    with pytest.raises(SampleError, match="byte 13 of the GIF begins no block"):
        read(b"GIF89a\x18\0\x10\0\0\0\0" + bytes(1000))
    with pytest.raises(SampleError, match="byte 13 of the GIF begins no block"):
        read_image(b"GIF89a\x18\0\x10\0\0\0\0" + bytes(1000))
