"""Sound comes in from files of every kind and from samples, and no more of it is decoded than is wanted."""

from __future__ import annotations

import base64
import io
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_modalities import SampleError
from ofa_modalities.audio.decoding import DecodeCount
from ofa_modalities.audio.reading import is_audio, read_audio, resample


def alike(found, wanted) -> float:
    """Correlation at the best of a few shifts: codecs delay by some samples."""
    wanted = wanted[2000:-2000]
    starts = range(1000, 3200)
    windows = np.lib.stride_tricks.sliding_window_view(found, len(wanted))[
        starts.start : min(starts.stop, len(found) - len(wanted))
    ]
    products = windows @ wanted
    return float((products / (np.linalg.norm(windows, axis=1) * np.linalg.norm(wanted) + 1e-9)).max())


@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAV", "ULAW"),
        ("WAV", "GSM610"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
        ("AIFF", None),
        ("AU", None),
        ("RF64", None),
    ],
)
def test_every_format_of_soundfile_is_read(waveform, sound, form, subtype) -> None:
    content = sound(waveform, 8000, form, subtype)
    assert is_audio(content[:64])
    found = read_audio(content, sample_rate=8000)
    assert found.dtype == np.float32
    assert abs(len(found) - len(waveform)) < 1500
    assert alike(found, waveform) > (0.995 if form not in ("OGG", "MP3") and subtype != "GSM610" else 0.9)


@pytest.mark.parametrize(
    ("form", "codec", "suffix"),
    [
        ("ipod", "aac", "m4a"),
        ("mp4", "aac", "mp4"),
        ("adts", "aac", "aac"),
        ("matroska", "aac", "mka"),
        ("webm", "libopus", "webm"),
    ],
)
def test_what_soundfile_does_not_open_av_does(waveform, sound_by_av, tmp_path, form, codec, suffix) -> None:
    rate = 16_000 if codec != "libopus" else 48_000
    content = sound_by_av(resample(waveform, 8000, rate), rate, form, codec)
    assert is_audio(content[:64])
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    for value in (content, path):
        found = read_audio(value, sample_rate=8000)
        assert abs(len(found) - len(waveform)) < 1500
        assert alike(found, waveform) > 0.9


@pytest.mark.parametrize("suffix", [".raw", ".mp3", ".txt", ""])
def test_the_suffix_does_not_matter(speech, waveform, tmp_path, suffix) -> None:
    path = tmp_path / f"voice{suffix}"
    path.write_bytes(speech["hello-world"].read_bytes())
    np.testing.assert_array_equal(read_audio(path, sample_rate=8000), waveform)


def test_strings_bytes_and_mappings_stand_for_files(speech, waveform, tmp_path) -> None:
    path = speech["hello-world"]
    content = path.read_bytes()
    text = base64.b64encode(content).decode()
    values = [path, str(path), content, text, f"data:audio/wav;base64,{text}", {"bytes": content, "path": None}]
    for value in [*values, {"bytes": None, "path": str(path)}, {"path": str(path)}]:
        np.testing.assert_array_equal(read_audio(value, sample_rate=8000), waveform)
    with pytest.raises(SampleError, match="outside the data root"):
        read_audio(str(path), root=tmp_path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"array": [0.0]}, "samples need their rate: give .*'sample_rate'"),
        ({"array": [0.0], "sampling_rate": 8000, "sample_rate": 16000}, r"differ: \[8000, 16000\]"),
        ({"array": [0.0], "sample_rate": "8k"}, "whole number of Hz, not '8k'"),
        ((8000, "x.wav"), "samples need their rate"),
    ],
)
def test_samples_without_a_rate(value, said) -> None:
    with pytest.raises(SampleError, match=said):
        read_audio(value)


def test_open_files(speech) -> None:
    path = speech["hello-world"]
    wanted = read_audio(path)
    memory = io.BytesIO(path.read_bytes())
    with path.open("rb") as file, tempfile.NamedTemporaryFile() as named:
        named.write(path.read_bytes())
        for value in (file, memory, memory, named):  # a row is read once an epoch
            np.testing.assert_array_equal(read_audio(value), wanted)
    for value, said in ((file, "closed file"), (io.StringIO("x"), "not open for bytes"), (io.BytesIO(), "zero bytes")):
        with pytest.raises(SampleError, match=said):
            read_audio(value)


def test_channels_are_mixed(waveform, sound) -> None:
    stereo = np.stack([waveform, np.zeros_like(waveform)], 1)
    content = sound(stereo, 8000, "WAV", "FLOAT")
    np.testing.assert_allclose(read_audio(content, sample_rate=8000), waveform / 2, atol=1e-6)
    many = np.repeat(waveform[:, None], 24, 1)
    np.testing.assert_allclose(read_audio(sound(many, 8000, "WAV", "FLOAT"), sample_rate=8000), waveform, atol=1e-6)


def test_samples_with_their_rate(waveform) -> None:
    stereo = np.stack([waveform, waveform])
    sixteen = (waveform * 32768).astype(np.int16)
    values = [
        (waveform, 8000),
        (waveform.tolist(), 8000),
        (stereo, 8000),
        (stereo.T, 8000.0),
        (torch.from_numpy(waveform), 8000),
        (torch.from_numpy(sixteen), np.int64(8000)),
        (sixteen, 8000),
        (sixteen.astype(np.int32) * 65536, 8000),
        ((sixteen.astype(np.int32) + 32768).astype(np.uint16), 8000),
        {"array": waveform, "sampling_rate": 8000, "path": None},
        {"array": waveform, "sample_rate": 8000},
        {"array": waveform, "sample_rate": 8000, "sampling_rate": None},
        (8000, waveform),
        (8000, stereo.T),
        [8000, waveform.tolist()],
        (np.int64(8000), torch.from_numpy(sixteen)),
        SimpleNamespace(get_all_samples=lambda: SimpleNamespace(data=torch.from_numpy(stereo), sample_rate=8000)),
        SimpleNamespace(waveform=waveform, sample_rate_hz=8000),
    ]
    for value in values:
        np.testing.assert_allclose(read_audio(value, sample_rate=8000), waveform, atol=1e-6)


@settings(max_examples=30)
@given(
    rate=st.sampled_from([8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]),
    wanted=st.sampled_from([8000, 16_000, 22_050, 24_000]),
    frequency=st.floats(200, 3400),
)
def test_resampling_keeps_the_frequency_and_the_height_of_a_sine(rate: int, wanted: int, frequency: float) -> None:
    sine = (0.5 * np.sin(2 * np.pi * frequency * np.arange(rate) / rate)).astype(np.float32)
    found = read_audio((sine, rate), sample_rate=wanted)
    assert len(found) == wanted
    middle = found[wanted // 4 : 3 * wanted // 4].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 1 << 19))
    peak = np.argmax(spectrum) * wanted / (1 << 19)
    assert abs(peak - frequency) < 0.25
    assert abs(np.sqrt((middle**2).mean()) - 0.5 / np.sqrt(2)) < 5e-3


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "m4a"])
def test_only_the_wanted_samples_are_decoded(sound, sound_by_av, tmp_path, form) -> None:
    rate, seconds = 16_000, 40
    ramp = np.sin(2 * np.pi * 300 * np.arange(rate * seconds) / rate).astype(np.float32) * np.linspace(0.1, 0.9, rate * seconds)
    ramp = ramp.astype(np.float32)
    content = sound(ramp, rate, form) if form != "m4a" else sound_by_av(ramp, rate, "ipod", "aac")
    path = tmp_path / "long"
    path.write_bytes(content)
    count = DecodeCount()
    found = read_audio({"path": path, "start_s": 20, "stop_s": 20.5}, count=count)
    assert len(found) == rate // 2
    with_memory = form in ("MP3", "m4a")  # its decoder starts two seconds early
    assert count.samples <= rate // 2 + (2 * rate + 8192 if with_memory else 0)
    whole = read_audio(path, max_duration_s=60)
    np.testing.assert_allclose(found, whole[20 * rate : 20 * rate + rate // 2], atol=2e-3)
    with pytest.raises(SampleError, match=r"40\.\d s long, more than max_duration_s=10"):
        read_audio(path, max_duration_s=10, count=(count := DecodeCount()))
    assert count.samples == 0


def test_a_part_of_what_has_few_places_to_start_from_is_the_same_part(sound_by_av) -> None:
    hiss = np.random.default_rng(0).normal(size=16_000 * 12).astype(np.float32) * 0.1
    content = sound_by_av(hiss, 16_000, "matroska", "aac")
    whole = read_audio(content)
    part = read_audio({"bytes": content, "start_s": 7.0, "stop_s": 7.25})
    np.testing.assert_allclose(part, whole[7 * 16_000 : 7 * 16_000 + 4000], atol=2e-3)


def test_a_part_must_lie_within_the_sound(speech) -> None:
    path = speech["hello-world"]
    for span, said in [
        ({"start_s": 9}, "ends at 1.40 s"),
        ({"start_s": 1, "stop_s": 1}, "not after"),
        ({"start_s": -1}, "number of seconds"),
        ({"stop_s": "end"}, "number of seconds"),
    ]:
        with pytest.raises(SampleError, match=said):
            read_audio({"path": path, **span})
    assert len(read_audio({"path": path, "start_s": 1.0, "stop_s": 99}, sample_rate=8000)) == 3234


def test_shorter_than_the_least(speech) -> None:
    with pytest.raises(SampleError, match=r"1\.404 s long, less than min_duration_s=2"):
        read_audio(speech["hello-world"], min_duration_s=2)
