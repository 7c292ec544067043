"""A part of a sound is what the whole has there, whatever the codec; lengths that a header does not know are found by reading."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from ofa_modalities import SampleError
from ofa_modalities.audio.reading import read_audio

RATE = 16_000
SECONDS = 12


@pytest.fixture(scope="module")
def chirp() -> np.ndarray:
    """12 s that nowhere sound as they do elsewhere, with quiet stretches, and noise so that a variable rate varies."""
    time = np.arange(SECONDS * RATE) / RATE
    tone = np.sin(2 * np.pi * (300 + 30 * time) * time) + 0.2 * np.random.default_rng(0).standard_normal(len(time))
    return (0.3 * tone * (0.2 + 0.8 * (np.sin(3 * time) > 0))).astype(np.float32)


def written(samples: np.ndarray, form: str, subtype: str | None = None, **options: object) -> bytes:
    import soundfile

    content = io.BytesIO()
    with soundfile.SoundFile(content, "w", RATE, 1, format=form, subtype=subtype, **options) as file:
        for start in range(0, len(samples), 8000):
            file.write(samples[start : start + 8000])
    return content.getvalue()


def by_av(samples: np.ndarray, form: str, codec: str, *, pipe: bool = False, rate: int = RATE, **options: str) -> bytes:
    """pipe: written where nobody can go back to say how long it was."""
    import av
    import soxr

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.content = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.content += bytes(data)  # type: ignore[call-overload]
            return len(data)  # type: ignore[arg-type]

    content = Pipe() if pipe else io.BytesIO()
    given = samples if rate == RATE else soxr.resample(samples, RATE, rate)
    with av.open(content, "w", format=form, options=options) as container:  # type: ignore[call-overload]
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(given[None], np.float32), format="fltp", layout="mono")
        frame.sample_rate = rate
        frame.pts = 0
        for part in av.AudioResampler(format=stream.format, layout="mono", rate=rate).resample(frame):
            for packet in stream.encode(part):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return bytes(content.content) if isinstance(content, Pipe) else content.getvalue()


SOUNDS = {
    "mp3 constant": lambda samples: written(samples, "MP3", bitrate_mode="CONSTANT", compression_level=0.6),
    "mp3 variable": lambda samples: written(samples, "MP3", bitrate_mode="VARIABLE", compression_level=0.6),
    "mp3 average": lambda samples: written(samples, "MP3", bitrate_mode="AVERAGE", compression_level=0.6),
    "vorbis": lambda samples: written(samples, "OGG", "VORBIS"),
    "opus": lambda samples: written(samples, "OGG", "OPUS"),
    "flac": lambda samples: written(samples, "FLAC"),
    "gsm": lambda samples: written(samples, "WAV", "GSM610"),
    "adpcm": lambda samples: written(samples, "WAV", "IMA_ADPCM"),
    "alac": lambda samples: written(samples, "CAF", "ALAC_16"),
    "m4a": lambda samples: by_av(samples, "ipod", "aac"),
    "mp4 in fragments": lambda samples: by_av(
        samples, "mp4", "aac", pipe=True, movflags="frag_keyframe+empty_moov+default_base_moof"
    ),
    "aac": lambda samples: by_av(samples, "adts", "aac"),
    "ac3": lambda samples: by_av(samples, "ac3", "ac3", rate=48_000),
    "webm": lambda samples: by_av(samples, "webm", "libopus", rate=48_000),
    "webm to a pipe": lambda samples: by_av(samples, "webm", "libopus", pipe=True, rate=48_000),
    "mkv": lambda samples: by_av(samples, "matroska", "aac"),
    "mkv to a pipe": lambda samples: by_av(samples, "matroska", "libmp3lame", pipe=True),
    "mpeg ts": lambda samples: by_av(samples, "mpegts", "aac", pipe=True),
    "mp3 in mp4": lambda samples: by_av(samples, "mp4", "libmp3lame"),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_a_part_is_what_the_whole_has_there(chirp, name) -> None:
    content = SOUNDS[name](chirp)
    whole = read_audio(content, sample_rate=RATE)
    assert abs(len(whole) - len(chirp)) <= 2048
    for start in (0.4, 3.131, 6.5, 9.2, 11.0):
        part = read_audio({"bytes": content, "start_s": start, "stop_s": start + 0.25}, sample_rate=RATE)
        there = whole[round(start * RATE) :][: len(part)]
        assert len(part) == RATE // 4
        np.testing.assert_allclose(part[100:-100], there[100:-100], atol=2e-3)
    with pytest.raises(SampleError, match=r"the audio ends at 12\.\d\d s, before the start at 13 s"):
        read_audio({"bytes": content, "start_s": 13.0, "stop_s": 13.5})


def test_a_long_mp3_has_no_holes(chirp) -> None:
    """soundfile seeks behind every block that it reads, which an MP3 answers with silence."""
    import soundfile

    content = written(np.tile(chirp, 6), "MP3")
    at_once = soundfile.SoundFile(io.BytesIO(content)).read(dtype="float32")
    np.testing.assert_allclose(read_audio(content, sample_rate=RATE, max_duration_s=100), at_once, atol=1e-6)


def patched(content: bytes, place: int, data: bytes) -> bytes:
    return content[:place] + data + content[place + len(data) :]


def unknown_flac(samples: np.ndarray) -> bytes:
    content = written(samples, "FLAC")
    return patched(content, 21, bytes([content[21] & 0xF0, 0, 0, 0, 0]))


def unknown_wav(size: int, riff: int | None = None) -> object:
    def make(samples: np.ndarray) -> bytes:
        content = written(samples, "WAV", "PCM_16")
        content = patched(content, content.index(b"data") + 4, struct.pack("<I", size))
        return content if riff is None else patched(content, 4, struct.pack("<I", riff))

    return make


def unknown_caf(samples: np.ndarray) -> bytes:
    content = written(samples, "CAF", "PCM_16")
    return patched(content, content.index(b"data") + 4, b"\xff" * 8)


UNKNOWN = {
    "flac": unknown_flac,
    "wav, data of 0 bytes": unknown_wav(0),
    "wav, nothing of 0 bytes": unknown_wav(0, 0),
    "wav, data of 0 bytes in a form of 36": unknown_wav(0, 36),
    "wav of 4 GB": unknown_wav(0xFFFFFFFF, 0xFFFFFFFF),
    "wav of 2 GB": unknown_wav(0x7FFFFFFF, 0x7FFFFFFF),
    "wav of sox": unknown_wav(0x7FFFF000, 0x7FFFF024),
    "au": lambda samples: patched(written(samples, "AU", "PCM_16"), 8, b"\xff" * 4),
    "caf": unknown_caf,
    "flac to a pipe": lambda samples: by_av(samples, "flac", "flac", pipe=True),
    "wav to a pipe": lambda samples: by_av(samples, "wav", "pcm_s16le", pipe=True),
    "mkv to a pipe": lambda samples: by_av(samples, "matroska", "pcm_s16le", pipe=True),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_length_that_the_header_does_not_know(chirp, name, tmp_path) -> None:
    samples = chirp[:RATE]
    content = UNKNOWN[name](samples)
    path = tmp_path / "x"
    path.write_bytes(content)
    for value in (content, path):
        found = read_audio(value, sample_rate=RATE)
        assert len(found) == len(samples)
        np.testing.assert_allclose(found, samples, atol=1e-4)
    part = read_audio({"bytes": content, "start_s": 0.5, "stop_s": 0.6}, sample_rate=RATE)
    np.testing.assert_allclose(part, samples[RATE // 2 : RATE // 2 + RATE // 10], atol=1e-4)
    with pytest.raises(SampleError, match=r"longer than max_duration_s=0\.5|1\.0 s long, more"):
        read_audio(content, max_duration_s=0.5)


def test_an_empty_wav_with_something_behind_its_data_is_empty() -> None:
    import soundfile

    content = io.BytesIO()
    soundfile.write(content, np.zeros(0, np.float32), RATE, format="WAV")
    head = content.getvalue()
    assert head.endswith(b"data" + bytes(4))
    with pytest.raises(SampleError, match="no samples"):
        read_audio(head + b"LIST" + struct.pack("<I", 26) + b"INFOISFT\x0e\0\0\0Lavf58.76.100\0")


def test_the_sound_of_a_film_whose_pictures_last_longer() -> None:
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="matroska") as container:
        film = container.add_stream("mpeg4", rate=10)
        film.width = film.height = 32
        film.pix_fmt = "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for number in range(60):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number, np.uint8))
            for packet in film.encode(frame):
                container.mux(packet)
        samples = av.AudioFrame.from_ndarray(np.full((1, 8000), 8192, np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        for packet in (*sound.encode(samples), *sound.encode(None), *film.encode(None)):
            container.mux(packet)
    assert len(read_audio(content.getvalue(), sample_rate=8000)) == 8000


def test_a_long_answer_is_written_as_ogg() -> None:
    from ofa_modalities.audio.mel import MelSettings
    from ofa_modalities.audio.output import Audio

    settings = MelSettings.of(sample_rate=8000, num_mels=20, hop_ms=12.5, window_ms=50, min_hz=80, max_hz=3800)
    audio = Audio(settings, waveform=np.zeros(8000 * 400, np.float32))
    assert len(audio._encoded(".ogg")) > 1000
