"""Sound files → one channel of samples, at the file's own rate: no more of them than are asked for.

soundfile reads wav, flac, ogg, mp3, aiff, au and the like; av what it does not (m4a, webm, the sound of a video). The length
that a file's header tells is checked before anything is decoded, and what is decoded is counted.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ofa_modalities.media import MemoryFile
from ofa_modalities.processor import SampleError
from ofa_modalities.reading import reason

if TYPE_CHECKING:
    import av.audio.stream
    import av.container

Float32 = NDArray[np.float32]

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
_BLOCK = 1 << 16
_FORMATS = ",".join(
    (
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,ogg,flac,wav,w64,aiff,avi,mp3,aac,ac3,eac3,amr,flv",
        "mpeg,mpegts,caf,au,dts,ape,wv,tta",
    )
)
"""Containers that av may take a file for: those that play other files than the one given are not among them."""
_CUT = re.compile(r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
"""How libsndfile's log tells that the header promises more bytes of samples than there are."""
_UNKNOWN_SIZE = 0x7FFF_0000
"""Sizes from here on are written by programs that do not know the size when they write the header."""
_UNKNOWN_FRAMES = 1 << 62
"""Frames from here on are what libsndfile says of a FLAC whose header does not tell (it was written to a pipe)."""

_WARM_UP_S = 2.0
"""A codec that starts in the middle gives its first frames late, silent or wrong, so it is started before what is wanted. The
longest memory is that of MP3, whose frames use the bits of up to 511 bytes before them: 20 frames of 72 ms."""
_WITH_MEMORY = ("MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
"""Codecs that need it with soundfile, and with every block, since it seeks to where it is after each; for others it starts early
itself, or they begin anew with every frame."""
_BARE = frozenset({"aac", "ac3", "amr", "dts", "eac3", "loas", "mp3"})
"""Formats without a header, whose length av estimates by the rate of their first bits."""
_OGG_PAGE = 65_307
"""The longest page of an Ogg file in bytes."""


@dataclass(slots=True)
class DecodeCount:
    """How many samples of a channel have been decoded; what a benchmark or a test asks for."""

    samples: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What is wanted of a file. start_s and stop_s: None is its beginning and end. max_s: longest that is allowed."""

    column: str
    start_s: float = 0.0
    stop_s: float | None = None
    max_s: float

    def check(self, duration_s: float | None, rate_hz: int, channels: int) -> None:
        """Raises SampleError for a length, a rate or a number of channels that cannot be used."""
        if channels < 1:
            raise SampleError(self.column, "the audio has 0 channels")
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise SampleError(self.column, f"the audio has {rate_hz} samples a second, not {MIN_RATE_HZ} to {MAX_RATE_HZ}")
        if duration_s is None:
            return
        if self.start_s > 0 and self.start_s >= duration_s:
            raise self.ends_before(duration_s)
        length = min(duration_s, duration_s if self.stop_s is None else self.stop_s) - self.start_s
        if length > self.max_s + 1e-6:
            raise self.too_long(length)

    def too_long(self, length_s: float | None = None) -> SampleError:
        """What is longer than allowed."""
        length = "longer" if length_s is None else f"{length_s:,.1f} s long, more"
        return SampleError(self.column, f"the audio is {length} than max_duration_s={self.max_s:g}")

    def ends_before(self, duration_s: float) -> SampleError:
        """What has nothing at the start."""
        return SampleError(self.column, f"the audio ends at {duration_s:.2f} s, before the start at {self.start_s:g} s")

    def frames(self, rate_hz: int) -> tuple[int, int]:
        """First frame and the one after the last, at most one more than is allowed."""
        start = round(self.start_s * rate_hz)
        most = start + int(self.max_s * rate_hz + 1e-6) + 1
        return start, most if self.stop_s is None else min(most, round(self.stop_s * rate_hz))


def decode_audio(source: Path | bytes, span: Span, count: DecodeCount) -> tuple[Float32, int]:
    """The samples of ``span``, float32 ``[n]`` in about -1 .. 1, channels mixed to one, and their rate in Hz.

    Raises SampleError for what neither library opens, is cut off, has no sound, no channels, or is too long.
    """
    soundfile = _library("soundfile")
    _check_last_page(source, span.column)
    try:
        with _opened(source) as file, soundfile.SoundFile(file, closefd=False) as sound:
            if sound.frames or _says_it_is_empty(source):
                return _read_sound(sound, span, count)
            why = "its header says that it has no samples"
    except soundfile.LibsndfileError as error:
        why = str(error).rsplit(": ", 1)[-1]
    except (AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, SampleError):
            raise
        why = reason(error)  # of headers with a kind of samples that soundfile has no name for
    return _decode_with_av(source, span, count, why)


def _says_it_is_empty(source: Path | bytes) -> bool:
    """Whether a file of 0 samples has none: one written to a pipe has them behind a header that was never completed."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        if file.read(4) not in (b"RIFF", b"RF64"):
            return True
        place, size = 12, file.seek(0, io.SEEK_END)
        while place + 8 <= size:
            file.seek(place)
            name, length = file.read(4), int.from_bytes(file.read(4), "little")
            if not (name.isascii() and name.decode("ascii").isprintable()):
                return False
            place += 8 + length + length % 2
        return place in (size, size + 1)


def _check_last_page(source: Path | bytes, column: str) -> None:
    """Raises SampleError where the last page of an Ogg file goes on beyond its end; both libraries are silent about that."""
    if isinstance(source, bytes):
        head, tail = source[:4], source[-_OGG_PAGE:]
    else:
        try:
            with source.open("rb") as file:
                head = file.read(4)
                file.seek(max(0, source.stat().st_size - _OGG_PAGE))
                tail = file.read(_OGG_PAGE) if head == b"OggS" else b""
        except OSError as error:
            raise SampleError(column, f"cannot read `{source}`: {error}") from error
    if head != b"OggS":
        return
    page = tail[tail.rfind(b"OggS") :]
    lengths = page[27 : 27 + page[26]] if len(page) > 27 else b""
    if len(page) <= 27 or len(lengths) < page[26] or len(page) < 27 + len(lengths) + sum(lengths):
        raise SampleError(column, "the audio is truncated: its last page is not whole")


@contextmanager
def _opened(source: Path | bytes) -> Iterator[BinaryIO | int]:
    """Something that has no name: soundfile believes the suffix of a name more than the content."""
    if isinstance(source, bytes):
        yield MemoryFile(source)
    else:
        with source.open("rb") as file:
            yield file.fileno()


def _read_sound(sound: Any, span: Span, count: DecodeCount) -> tuple[Float32, int]:
    rate = int(sound.samplerate)
    total = int(sound.frames) if sound.frames < _UNKNOWN_FRAMES else None
    for promised, found in _CUT.findall(sound.extra_info):
        if int(found) < int(promised) < _UNKNOWN_SIZE:
            raise SampleError(span.column, f"the audio is truncated: {int(promised):,} bytes of samples are said, {found} there")
    span.check(None if total is None or rate <= 0 else total / rate, rate, int(sound.channels))
    start, stop = span.frames(rate)
    stop = stop if total is None else min(stop, total)
    memory = int(_WARM_UP_S * rate) if sound.subtype in _WITH_MEMORY else 0
    block = max(_BLOCK, 30 * memory)
    blocks: list[Float32] = []
    at = start if sound.seekable() else 0
    while at < stop:
        early = min(at, memory)
        if at and sound.seekable():
            sound.seek(at - early)
        found = sound.read(early + min(block, stop - at), dtype="float32", always_2d=True)
        count.samples += len(found)
        if len(found) <= early:
            break
        blocks.append(found[early + max(0, start - at) :].mean(1, dtype=np.float32))
        at += len(found) - early
    if total is not None and _is_cut(at - start, stop - start, rate):
        raise SampleError(span.column, f"the audio is truncated: {stop - start:,} samples are said, {max(0, at - start):,} there")
    if start and at <= start:
        raise span.ends_before(at / rate)
    return _joined(blocks), rate


def _is_cut(found: int, promised: int, rate: int) -> bool:
    """Lengths of compressed files are estimates, to some frames of the codec."""
    missing = promised - found
    return missing > 0.05 * promised and missing > 0.2 * rate


def _joined(blocks: list[Float32]) -> Float32:
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _decode_with_av(source: Path | bytes, span: Span, count: DecodeCount, why: str) -> tuple[Float32, int]:
    av = _library("av")
    try:
        file = MemoryFile(source) if isinstance(source, bytes) else f"file:{source.absolute()}"
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
        with av.open(file, mode="r", metadata_errors="ignore", options=options) as container:
            samples, rate = _read_container(container, span, count)
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, SampleError):
            raise
        raise ValueError(f"{reason(error)} (soundfile: {why})") from error
    if not len(samples):
        raise ValueError(f"nothing of it can be decoded (soundfile: {why})")
    return samples, rate


def _read_container(container: av.container.InputContainer, span: Span, count: DecodeCount) -> tuple[Float32, int]:
    import av

    if not container.streams.audio:
        raise SampleError(span.column, "the file has no audio stream")
    stream = container.streams.audio[0]
    rate, base = stream.sample_rate, stream.time_base or Fraction(1)
    duration = _stated_duration(container, stream)
    span.check(duration, rate, stream.channels)
    start, stop = span.frames(rate)
    if duration is not None and "mp4" in container.format.name:
        stop = min(stop, round(duration * rate))  # its edit list ends where the encoder's padding begins
    first = stream.start_time or 0
    early = start - int(_WARM_UP_S * rate)
    # Where times are too coarse to say which sample is meant (matroska counts in ms), all samples from the first are counted.
    at: int | None = None if early > 0 and base * rate <= 1 else 0
    if at is None and len(stream.index_entries):
        container.seek(first + int(early / rate / base), stream=stream, backward=True)
    convert = av.AudioResampler(format="fltp")
    blocks: list[Float32] = []
    for packet in container.demux(stream):
        if at is None and packet.pts is not None and (packet.pts - first) * base * rate < early:
            continue
        for frame in packet.decode():
            if frame.sample_rate != rate:
                raise SampleError(span.column, f"the audio goes from {rate} to {frame.sample_rate} samples a second")
            if at is None:
                at = early if frame.pts is None else round((frame.pts - first) * base * rate)
            count.samples += frame.samples
            if at + frame.samples > start:
                samples = np.concatenate([part.to_ndarray().mean(0, dtype=np.float32) for part in convert.resample(frame)])
                blocks.append(samples[max(0, start - at) : max(0, stop - at)])
            at += frame.samples
        if at is not None and at >= stop:
            break
    reached = at or 0
    if duration is not None and _is_cut(reached - start, min(stop, round(duration * rate)) - start, rate):
        raise SampleError(span.column, f"the audio is truncated: {duration:.1f} s are said, {reached / rate:.1f} s there")
    if start and reached <= start:
        raise span.ends_before(reached / rate)
    return _joined(blocks), rate


def _stated_duration(container: av.container.InputContainer, stream: av.audio.stream.AudioStream) -> float | None:
    """Seconds of the sound as the file says it; None: it says nothing of the sound alone, or av has guessed."""
    if container.format.name in _BARE:
        return None
    is_matroska = "matroska" in container.format.name  # which states no length of a stream; av's is a guess
    if stream.duration is not None and stream.time_base is not None:
        return None if is_matroska else float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1e6
    return None


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise ImportError(f"audio needs `{name}`: pip install 'ofa-modalities[audio]' ({error})") from error
