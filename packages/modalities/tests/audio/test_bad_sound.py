"""Sound that is none: one clear error each, soon and in little memory."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from ofa_modalities import SampleError
from ofa_modalities.audio.decoding import DecodeCount
from ofa_modalities.audio.reading import read_audio


def wav_header(*, rate: int = 8000, channels: int = 1, bits: int = 16, data: int = 0) -> bytes:
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * block, block, bits)
    return b"RIFF" + struct.pack("<I", 36 + data) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", data)


def fails(value: object, said: str, **options: object) -> None:
    count = DecodeCount()
    with pytest.raises(SampleError, match=said) as caught:
        read_audio(value, "voice", count=count, **options)  # type: ignore[arg-type]
    assert caught.value.column == "voice"
    assert str(caught.value).startswith("column `voice`: ")
    assert len(str(caught.value)) < 300


def test_nothing() -> None:
    fails(None, "missing")
    fails(b"", "zero bytes")
    fails({"bytes": None, "path": None}, "neither bytes nor a path")
    fails("nowhere.wav", "no file")


def test_zero_bytes_of_a_file(tmp_path) -> None:
    (tmp_path / "x.wav").touch()
    fails(tmp_path / "x.wav", "zero bytes")
    fails(tmp_path, "no file")


def test_wrong_magic(tmp_path) -> None:
    fails(b"GIF89a" + bytes(200), "not a readable sound")
    fails(bytes(1000), "not a readable sound")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n#EXT-X-ENDLIST\n")
    fails(tmp_path / "list.m3u8", "not a readable sound")
    (tmp_path / "list.wav").write_text("ffconcat version 1.0\nfile /etc/hostname\n")
    fails(tmp_path / "list.wav", "not a readable sound")


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU"])
def test_truncated(waveform, sound, form) -> None:
    content = sound(waveform, 8000, form)
    fails(content[: len(content) // 2], "truncated|not a readable sound")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_truncated_ogg(waveform, sound, tmp_path, share) -> None:
    content = sound(np.tile(waveform, 20), 8000, "OGG")
    path = tmp_path / "x.ogg"
    path.write_bytes(content[: int(len(content) * share)])
    fails(path, "truncated: its last page is not whole")


def test_truncated_m4a(waveform, sound_by_av) -> None:
    content = sound_by_av(waveform, 8000, "ipod", "aac")
    fails(content[: len(content) // 2], "truncated|not a readable sound")


def test_a_wav_whose_length_is_not_known_yet_is_read(waveform) -> None:
    samples = (waveform * 32767).astype("<i2").tobytes()
    content = wav_header(data=0xFFFFFFFF - 36) + samples
    assert len(read_audio(content, sample_rate=8000)) == len(waveform)


def test_a_header_of_ten_hours_is_refused_before_anything_is_decoded(sound, tmp_path) -> None:
    hours = 10 * 3600
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.write(wav_header(data=hours * 16_000))
        file.truncate(44 + hours * 16_000)
    fails(path, r"36,000\.0 s long, more than max_duration_s=30")
    flac = bytearray(sound(np.zeros(8000, np.float32), 8000, "FLAC"))
    total = hours * 8000
    flac[21] = flac[21] & 0xF0 | total >> 32
    flac[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
    fails(bytes(flac), r"36,000\.0 s long, more than max_duration_s=30")


def test_a_header_that_promises_what_is_not_there() -> None:
    fails(wav_header(data=36_000 * 16_000) + bytes(16_000), "truncated: 576,000,000 bytes of samples are said, 16000 there")


def test_no_channels() -> None:
    fails(wav_header(channels=0, data=100) + bytes(100), "not a readable sound|channels")
    fails((np.zeros((0, 100), np.float32), 8000), "0 channels")


@pytest.mark.parametrize("rate", [0, 7, 2_000_000_000])
def test_rates_that_are_none(rate) -> None:
    fails(wav_header(rate=rate, data=100) + bytes(100), "samples a second|not a readable sound")


def test_no_samples(sound) -> None:
    fails(wav_header(data=0), "no samples|not a readable sound")
    fails((np.zeros(0, np.float32), 8000), "no samples")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers(waveform, sound, bad) -> None:
    samples = waveform.copy()
    samples[100] = bad
    fails((samples, 8000), "NaN or infinite")
    fails(sound(samples, 8000, "WAV", "FLOAT"), "NaN or infinite")


def test_a_film_without_sound() -> None:
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    fails(content.getvalue(), "no audio stream")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros(100, np.float32), "need their rate"),
        ([0.0] * 100, "need their rate"),
        ([0.1, 0.2], "need their rate"),
        ((np.zeros(100, np.float32), None), "need their rate"),
        ({"array": [0.0] * 100}, "need their rate"),
        ((np.zeros(100, np.float32), 0), "rate of samples"),
        ((np.zeros(100, np.float32), 8000.5), "rate of samples"),
        ((np.zeros((2, 3, 4), np.float32), 8000), r"\[2, 3, 4\]"),
        ((["a"], 8000), "samples are"),
        (([[0.0], [0.0, 1.0]], 8000), "samples are"),
        ((np.arange(1000), 8000), "64-bit integers"),
        ((np.linspace(-30_000, 30_000, 100), 8000), r"lie in -1 \.\. 1"),
        ((np.full(100, 1e300), 8000), r"lie in -1 \.\. 1"),
        ((np.zeros(100), 7), "7 samples a second"),
        (17, "audio is a path, bytes, an open file, or samples"),
        ({"colour": "red"}, r"not \{colour\}"),
    ],
)
def test_samples_that_are_none(value, said) -> None:
    fails(value, said)


def test_long_samples() -> None:
    fails((np.zeros(8000 * 31, np.float32), 8000), r"31\.0 s long, more")


def test_python_writes_what_is_read(tmp_path) -> None:
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(3)
        file.setframerate(8000)
        file.writeframes(bytes(6 * 800))
    assert read_audio(tmp_path / "x.wav", sample_rate=8000).tolist() == [0.0] * 800
