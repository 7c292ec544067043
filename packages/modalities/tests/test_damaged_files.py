"""A damaged file of any format, through any door, is read or is a SampleError of its column: nothing else is raised."""

from __future__ import annotations

import base64
import functools
import io
import json
import random
import sqlite3
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import SampleError
from ofa_modalities.audio.reading import read_audio
from ofa_modalities.box.reading import read_box
from ofa_modalities.image import reading
from ofa_modalities.image.reading import read_image
from ofa_modalities.motion.reading import read_motion
from ofa_modalities.phone.reading import read_phones
from ofa_modalities.phone.spec import PhoneOptions
from ofa_modalities.reading import Reading
from ofa_modalities.struct.output import Sql, Table
from ofa_modalities.struct.reading import TableReader
from ofa_modalities.text.reading import read_text
from ofa_modalities.video.clip import Limits
from ofa_modalities.video.reading import read_video
from ofa_modalities.video.sampling import uniform_times
from PIL import Image, features

FIXTURES = Path(__file__).parent / "fixtures"
DOORS = ("bytes", "path", "base64", "data", "open")

PIXELS = (np.random.default_rng(0).random((24, 32, 3)) * 255).astype(np.uint8)


def picture(form: str, mode: str = "RGB", **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(content, form, **options)
    return content.getvalue()


def moving(form: str) -> bytes:
    frames = [Image.fromarray(np.roll(PIXELS, 3 * number, 1)) for number in range(4)]
    content = io.BytesIO()
    frames[0].save(content, form, save_all=True, append_images=frames[1:], duration=100)
    return content.getvalue()


def sound(form: str, subtype: str | None = None) -> bytes:
    import soundfile

    content = io.BytesIO()
    soundfile.write(content, 0.3 * np.sin(np.arange(4000) / 7), 8000, format=form, subtype=subtype)
    return content.getvalue()


def film(form: str, codec: str) -> bytes:
    import av

    content = io.BytesIO()
    with av.open(content, "w", format=form) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(np.roll(PIXELS, 3 * number, 1))
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return content.getvalue()


def m4a() -> bytes:
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return content.getvalue()


def bvh() -> bytes:
    lines = (FIXTURES / "motion" / "cmu_01_01.bvh").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Frames:"))
    return "\n".join([*lines[:start], "Frames: 4", *lines[start + 1 : start + 6]]).encode()


def npz() -> bytes:
    content = io.BytesIO()
    np.savez(
        content, rotations=np.zeros((3, 2, 3)), root_position=np.zeros((3, 3)), parents=np.array([-1, 0]),
        offsets=np.ones((2, 3)), fps=np.float64(30), names=np.array(["a", "b"]),
    )  # fmt: skip
    return content.getvalue()


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.executescript("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX i ON t (b);")
    connection.executemany("INSERT INTO t (b) VALUES (?)", [(f"row {number}",) for number in range(50)])
    connection.commit()
    return connection.serialize()


def frames_of(value: object) -> object:
    limits = Limits(max_pixels=10**6, max_duration_s=60, max_bytes=10**7)
    return read_video(value, "x", times=partial(uniform_times, count=2), shrink=lambda width, height: (16, 16), limits=limits)


READERS: dict[str, Callable[[object], object]] = {
    "picture": lambda value: read_image(value, "x", max_pixels=10**6),
    "sound": lambda value: read_audio(value, "x"),
    "part": lambda value: read_audio({"bytes": value, "start_s": 0.1, "stop_s": 0.2} if isinstance(value, bytes) else value, "x"),
    "video": frames_of,
    "motion": lambda value: read_motion(value, "x"),
    "box": lambda value: read_box(value, "x", (10, 10)),
    "text": lambda value: read_text(value, "x"),
    "phones": lambda value: read_phones(value, "x", PhoneOptions(fallback="rules"), enough=16),
    "table": lambda value: TableReader(column="x", most_rows=20).read(value),
}
PICTURES = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "TGA", "PPM", "ICO", "DDS", "WEBP", "JPEG2000")
SOUNDS = ("WAV", "FLAC", "OGG", "MP3", "CAF", "AIFF", "AU", "W64", "RF64")
FORMATS: dict[str, tuple[str, Callable[[], bytes]]] = {
    **{f".{form.lower()}": ("picture", partial(picture, form)) for form in PICTURES},
    ".deflate.tif": ("picture", partial(picture, "TIFF", compression="tiff_deflate")),
    ".p.png": ("picture", partial(picture, "PNG", "P")),
    ".i16.png": ("picture", partial(picture, "PNG", "I;16")),
    ".f.tif": ("picture", partial(picture, "TIFF", "F")),
    ".cmyk.jpg": ("picture", partial(picture, "JPEG", "CMYK")),
    **{f".{form.lower()}": ("sound", partial(sound, form)) for form in SOUNDS},
    ".adpcm.wav": ("sound", partial(sound, "WAV", "IMA_ADPCM")),
    ".alac.caf": ("sound", partial(sound, "CAF", "ALAC_16")),
    ".opus": ("sound", partial(sound, "OGG", "OPUS")),
    ".part.mp3": ("part", partial(sound, "MP3")),
    ".m4a": ("sound", m4a),
    ".mp4": ("video", partial(film, "mp4", "mpeg4")),
    ".mkv": ("video", partial(film, "matroska", "mpeg4")),
    ".avi": ("video", partial(film, "avi", "mjpeg")),
    ".ts": ("video", partial(film, "mpegts", "mpeg2video")),
    ".webm": ("video", lambda: (FIXTURES / "video" / "bikes.webm").read_bytes()),
    ".h264.mp4": ("video", lambda: (FIXTURES / "video" / "street.mp4").read_bytes()),
    ".moving.gif": ("video", partial(moving, "GIF")),
    ".moving.webp": ("video", partial(moving, "WEBP")),
    ".moving.png": ("video", partial(moving, "PNG")),
    ".bvh": ("motion", bvh),
    ".npz": ("motion", npz),
    ".csv": ("table", lambda: (FIXTURES / "struct" / "penguins.csv").read_bytes()),
    ".tsv": ("table", lambda: b"a\tb\n1\t2\n\"x\ny\"\t3\n"),
    ".json": ("table", lambda: json.dumps([{"a": 1, "b": [None, "x"][number % 2]} for number in range(9)]).encode()),
    ".jsonl": ("table", lambda: b'{"a": 1}\n{"a": 2.5, "b": "x"}\n'),
    ".db": ("table", database),
}  # fmt: skip
if features.check("avif"):
    FORMATS[".avif"] = ("picture", partial(picture, "AVIF"))


@functools.cache
def whole(suffix: str) -> bytes:
    return FORMATS[suffix][1]()


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Cut, holed, with other bytes, numbers without bounds, parts left out, or twice there; mostly near its beginning."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 5))):
        place = min(int(draw.random() ** draw.choice((1, 3)) * len(changed)), max(0, len(changed) - 1))
        match draw.randrange(8):
            case 0:
                del changed[max(1, place) :]
            case 1:
                changed[place : place + 1] = bytes([draw.randrange(256)])
            case 2:
                number = draw.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
                changed[place : place + 4] = struct.pack(draw.choice("<>") + "I", number)
            case 3:
                changed[place : place + 8] = b"\xff" * 8
            case 4:
                changed[place : place + draw.randrange(1, 64)] = b""
            case 5:
                changed[place:place] = changed[place : place + draw.randrange(1, 64)]
            case 6:
                changed[place : place + 16] = bytes(16)
            case 7:
                changed[place:place] = draw.choice((b"9" * 5000, b"-1", b"1e999", b"NaN", b"\x00", b"\xff\xfe", b"[" * 3000))
    return bytes(changed)


def through(door: str, content: bytes, path: Path) -> object:
    match door:
        case "path":
            path.write_bytes(content)
            return path
        case "base64":
            return base64.b64encode(content).decode()
        case "data":
            return "data:application/octet-stream;base64," + base64.b64encode(content).decode()
        case "open":
            return io.BytesIO(content)
    return content


def holds(read: Callable[[object], object], value: object) -> None:
    try:
        read(value)
    except SampleError as error:
        told = error
    else:
        return
    assert told.column == "x"
    assert len(str(told)) < 500
    assert "\n" not in str(told)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_damaged_file_is_read_or_is_a_sample_error(suffix, tmp_path) -> None:
    read = READERS[FORMATS[suffix][0]]
    read(through("path", whole(suffix), tmp_path / f"x{suffix}"))
    draw = random.Random(suffix)
    for number in range(12):
        holds(read, through(DOORS[number % len(DOORS)], damaged(whole(suffix), draw), tmp_path / f"x{suffix}"))


@given(st.sampled_from(sorted(FORMATS)), st.sampled_from(("bytes", "base64", "data", "open")), st.randoms(use_true_random=False))
def test_any_damage_of_any_format(suffix, door, draw) -> None:
    holds(READERS[FORMATS[suffix][0]], through(door, damaged(whole(suffix), draw), Path()))


@given(st.sampled_from(sorted(FORMATS)), st.sampled_from(sorted(READERS)))
def test_a_sound_file_of_another_medium(suffix, reader) -> None:
    holds(READERS[reader], whole(suffix))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            "",
            b"",
            " ",
            0,
            -1.5,
            10**6000,
            True,
            [],
            {},
            (),
            set(),
            object(),
            [[[]]],
            {"bytes": None},
            {"path": 3},
            b"\0" * 100,
        ),
        *(
            "\udc80",
            "a\0b",
            "x" * 10**6,
            {"bytes": "x"},
            [None],
            [b""],
            np.zeros(0),
            np.zeros((2, 2, 2, 2, 2)),
            {"a": [10**6000]},
        ),
        *({"frames": [], "fps": 1}, {"frames": [PIXELS], "fps": 1e-300}, {"array": [0.0], "sampling_rate": 10**6000}),
        *([10**6000, 0, 1, 1], "1,2,3," + "9" * 5000, ["a", [10**6000]], {"rotations": 3, "fps": 10**6000}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_medium_at_all(reader, value) -> None:
    holds(READERS[reader], value)


def test_a_table_that_cannot_be_asked_is_an_error_of_its_query() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        Sql("SELECT a FROM t").run(Table(columns=("a",), rows=(("\udc80",),)))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError(8), "not a readable thing: KeyError: 8"),
        (struct.error("unpack requires 4 bytes"), "not a readable thing: error: unpack requires 4 bytes"),
        (NotImplementedError("DXT7"), "not a readable thing: DXT7"),
        (MemoryError(), "the thing does not fit into memory"),
        (RecursionError("maximum"), "too deeply nested"),
        (OverflowError("int too large"), "OverflowError: int too large"),
        (Exception(), "not a readable thing: Exception"),
    ],
)
def test_whatever_a_decoder_raises_is_a_sample_error(error, message) -> None:
    with pytest.raises(SampleError, match=message) as caught, Reading("x", "thing"):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), ImportError("av")])
def test_what_is_no_fault_of_the_file_stays_what_it_is(error) -> None:
    with pytest.raises(type(error)), Reading("x", "thing"):
        raise error


def test_a_bug_of_ours_stays_one(monkeypatch) -> None:
    monkeypatch.delattr(reading, "_as_array")
    with pytest.raises(NameError):
        read_image(3, "x")
