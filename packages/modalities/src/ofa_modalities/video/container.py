"""Frames of a container (mp4, mkv, webm, avi, …), through PyAV, decoding as few of them as the codec allows.

Packets are read ahead without decoding; where a key frame lies at or before the moment that is asked for, whatever comes before
it is thrown away undecoded, and where the container has an index, it is not even read. The first frame at or after the moment
is the last that is decoded. Where a codec does not start cleanly at a key frame, the clip is decoded from its beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from ofa_modalities.media import MemoryFile
from ofa_modalities.processor import SampleError
from ofa_modalities.reading import Reading
from ofa_modalities.video.clip import Clip, Frames, Limits, Shrink, Size
from ofa_modalities.video.sampling import TIE_S, Times

_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,ogg,flv,live_flv,asf,mxf,nut,rm,ivf,h264,hevc,vvc,av1,obu,"
    "m4v,h263,mjpeg,mpjpeg,dv,wtv,swf,bink,smk,film_cpk,y4m,yuv4mpegpipe,amv,vob,gif,apng"
)
"""Formats that hold video themselves. Playlists and scripts, which name other files and hosts, are not among them."""

_AHEAD_BYTES = 32_000_000
"""Most bytes of packets that are kept undecoded."""
_LOOKED_AT = 50
"""Packets that are looked at for their times."""
_UNTIMED = ("avi", "mpeg")
"""Formats that do not say when each frame is shown; what av says instead goes by the order of decoding, which B-frames change."""
_SLACK_S = 1.0
"""By how much a frame may be decoded before it is presented; an index counts by the former."""

_Container: TypeAlias = Any
_Stream: TypeAlias = Any
_Frame: TypeAlias = Any
_Packet: TypeAlias = Any


class _UncleanStart(Exception):
    """The first frame behind a key frame comes after the moment that was asked for."""


def is_container(head: bytes) -> bool:
    """Whether the first bytes are those of a common video container."""
    return (
        (head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") and head[8:12] not in (b"avif", b"heic"))
        or head.startswith((b"\x1aE\xdf\xa3", b"OggS", b"FLV\x01", b"0&\xb2u", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"DKIF"))
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or (head[:1] == b"G" and head[188:189] == b"G")
    )


def read_container(source: Path | bytes, column: str, *, times: Times, shrink: Shrink, limits: Limits) -> Clip:
    """The frames nearest to the moments that ``times`` asks for. The container is closed however this ends.

    Raises SampleError for what is no video, has no video stream, is truncated, or exceeds the limits.
    """
    av = _library(column)
    with Reading(column, "video, or a truncated one"):
        span, is_timed = _span(av, source, column, limits)
        try:
            return _read(av, source, column, span, times, shrink, limits, skip=is_timed)
        except _UncleanStart:
            return _read(av, source, column, span, times, shrink, limits, skip=False)


def _library(column: str) -> Any:
    try:
        import av
    except ImportError as error:
        message = f"column `{column}`: video files are read with PyAV: pip install 'ofa-modalities[video]'"
        raise ImportError(message) from error
    return av


def _open(av: Any, source: Path | bytes, limits: Limits) -> _Container:
    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file", "max_pixels": str(limits.max_pixels)}
    file = f"file:{source.absolute()}" if isinstance(source, Path) else MemoryFile(source)
    return av.open(file, mode="r", options=options, metadata_errors="replace")


def _video_stream(av: Any, container: _Container, column: str, limits: Limits) -> _Stream:
    """The first video stream that is no cover picture."""
    cover = av.stream.Disposition.attached_pic
    found = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not found:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise SampleError(column, f"the file has no video stream; it holds {kinds}")
    codec = found[0].codec_context
    if codec is None:
        raise SampleError(column, "the video is in a codec that cannot be decoded")
    _check_size(codec.width, codec.height, column, limits)
    codec.thread_count = 1  # threads would decode ahead
    return found[0]


def _check_size(width: int, height: int, column: str, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise SampleError(column, f"the video is {width} × {height} pixels, more than {limits.max_pixels} in all")


def _span(av: Any, source: Path | bytes, column: str, limits: Limits) -> tuple[tuple[float, float], bool]:
    """When the first frame is shown and the last one ends, in seconds of the container's clock, without decoding; and whether
    packets say when they are shown, without which none can be passed over undecoded.

    The end is found in the last packets. Raises SampleError where the header says otherwise.
    """
    with closing(_open(av, source, limits)) as container:
        stream = _video_stream(av, container, column, limits)
        first = list(islice((packet for packet in container.demux(stream) if packet.size), _LOOKED_AT))
        is_ordered = container.format.name not in _UNTIMED or not stream.codec_context.has_b_frames
        is_timed = is_ordered and all(packet.pts is not None for packet in first)
        start = _start(stream, first) if is_timed else _first_shown(stream, first)
        stated = _stated_end(container, stream, start)
        if stated is not None:
            _check_duration(stated - start, column, limits)
        if stated is not None and stated > start:
            container.seek(int(stated / stream.time_base), stream=stream, backward=True)
        elif container.duration:
            container.seek(container.duration + (container.start_time or 0), backward=True)
        found = _last_packets(container, stream)
    if found is None:  # nothing can be sought in it (FLV without an index)
        with closing(_open(av, source, limits)) as container:
            found = _last_packets(container, _video_stream(av, container, column, limits))
    if stated is not None and (found is None or found < stated - max(1.0, 0.1 * (stated - start))):
        reached = "nothing" if found is None else f"{max(0.0, found - start):.1f} s"
        raise SampleError(column, f"the video is truncated: it says that it lasts {stated - start:.1f} s, and has {reached}")
    if found is None:
        raise SampleError(column, "the video has no frames")
    _check_duration(found - start, column, limits)
    return (start, max(start, found)), is_timed


def _check_duration(duration_s: float, column: str, limits: Limits) -> None:
    if duration_s > limits.max_duration_s:
        raise SampleError(column, f"the video lasts {duration_s:,.0f} s, more than {limits.max_duration_s:,.0f} s")


def _start(stream: _Stream, first: list[_Packet]) -> float:
    start = stream.start_time
    if start is None:
        start = next(map(_when, first), None)
    return float((start or 0) * stream.time_base)


def _first_shown(stream: _Stream, first: list[_Packet]) -> float:
    """When the first frame is shown, by decoding it."""
    for packet in first:
        for frame in stream.codec_context.decode(packet):
            if frame.pts is not None:
                return float(frame.pts * stream.time_base)
    return _start(stream, first)


def _stated_end(container: _Container, stream: _Stream, start_s: float) -> float | None:
    """When the video stream ends as its header says; None where it says nothing of this stream alone."""
    if stream.duration:
        from_zero = "matroska" in container.format.name  # its durations count from 0, not from the first frame
        return (0.0 if from_zero else start_s) + float(stream.duration * stream.time_base)
    try:
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        pass
    if container.duration and len(container.streams) == 1:
        return float((container.start_time or 0) + container.duration) / 1e6
    return None


def _last_packets(container: _Container, stream: _Stream) -> float | None:
    ends = [
        float((time + (packet.duration or 0)) * stream.time_base)
        for packet in container.demux(stream)
        if packet.size and (time := _when(packet)) is not None
    ]
    return max(ends, default=None)


def _when(packet: _Packet) -> int | None:
    when: int | None = packet.dts if packet.pts is None else packet.pts
    return when


def _read(
    av: Any,
    source: Path | bytes,
    column: str,
    span: tuple[float, float],
    times: Times,
    shrink: Shrink,
    limits: Limits,
    *,
    skip: bool,
) -> Clip:
    with closing(_open(av, source, limits)) as container:
        stream = _video_stream(av, container, column, limits)
        start = span[0]
        duration = span[1] - start
        asked = np.asarray(times(duration), np.float64)
        walk = _Walk(container, stream, start, skip=skip)
        frames: list[Frames] = []
        shown: list[float] = []
        size: Size | None = None
        for moment in asked:
            time, frame = walk.nearest(start + float(moment))
            if frame is None:
                raise SampleError(column, "the video has no frames")
            if shown and time == shown[-1]:
                frames.append(frames[-1])
            else:
                _check_size(frame.width, frame.height, column, limits)
                original = _upright_size(frame, stream)
                size = size or (original, shrink(*original))[0]
                frames.append(_pixels(frame, shrink(*size)))
            shown.append(time)
        assert size is not None
        return Clip(
            frames=np.stack(frames),
            asked_s=asked,
            times_s=np.array(shown) - start,
            size_px=size,
            duration_s=duration,
            num_decoded=walk.num_decoded,
        )


def _upright_size(frame: _Frame, stream: _Stream) -> Size:
    """The size at which a player shows the frame: square pixels, turned as the file says."""
    ratio = stream.sample_aspect_ratio
    width = frame.width if not ratio or not 0.1 < ratio < 10 else max(1, round(frame.width * float(ratio)))
    return (frame.height, width) if _quarter_turns(frame) % 2 else (width, frame.height)


def _quarter_turns(frame: _Frame) -> int:
    return round(float(frame.rotation) / 90) % 4


def _pixels(frame: _Frame, size: Size) -> Frames:
    """The frame as RGB, upright, of ``size``."""
    turns = _quarter_turns(frame)
    width, height = size[::-1] if turns % 2 else size
    if min(width, height, frame.width, frame.height) < 8:  # the library's scaler does not take slivers
        image = Image.fromarray(frame.to_ndarray(format="rgb24")).resize((width, height), Image.Resampling.BICUBIC)
        array: Frames = np.asarray(image)
    else:
        array = frame.reformat(width=width, height=height, format="rgb24", interpolation="BICUBIC").to_ndarray()
    return np.ascontiguousarray(np.rot90(array, turns))


class _Walk:
    """Goes forward through a stream, from one moment to the next."""

    def __init__(self, container: _Container, stream: _Stream, start_s: float, *, skip: bool) -> None:
        self.num_decoded = 0
        self._container = container
        self._stream = stream
        self._base = stream.time_base
        self._skip = skip
        self._clean = True
        self._waiting: deque[_Packet] = deque()
        self._waiting_bytes = 0
        self._begun = self._ended = self._drained = False
        self._reached = start_s
        self._decoded: deque[tuple[float, _Frame]] = deque()
        self._before: tuple[float, _Frame] | None = None
        self._present: tuple[float, _Frame] | None = None
        if skip and "matroska" in container.format.name:
            container.seek(stream.start_time or 0, stream=stream, backward=True)  # has the index read
        self._packets: Iterator[_Packet] = container.demux(stream)

    def nearest(self, moment_s: float) -> tuple[float, _Frame | None]:
        """The frame nearest to a moment, which is not before the last one, with its time; None in an empty stream."""
        while self._present is None or self._present[0] < moment_s:
            following = self._next(moment_s)
            if following is None:
                break
            if not self._clean and following[0] > moment_s:
                raise _UncleanStart
            self._clean = True
            self._before, self._present = self._present, following
        if self._present is None:
            return 0.0, None
        if self._before is not None and moment_s - self._before[0] <= self._present[0] - moment_s + TIE_S:
            return self._before
        return self._present

    def _next(self, moment_s: float) -> tuple[float, _Frame] | None:
        while not self._decoded:
            if self._skip:
                self._look_ahead(moment_s)
            packet = self._waiting.popleft() if self._waiting else self._demux()
            if packet is None:
                if self._drained:
                    return None
                self._drained = True
            else:
                self._begun = True
                self._waiting_bytes -= packet.size
            for frame in self._stream.codec_context.decode(packet):
                self.num_decoded += 1
                self._decoded.append((self._time(frame), frame))
        return self._decoded.popleft()

    def _time(self, frame: _Frame) -> float:
        if frame.pts is not None:
            return float(frame.pts * self._base)
        last = self._decoded[-1] if self._decoded else self._present
        return 0.0 if last is None else last[0] + 1 / float(self._stream.average_rate or 25)

    def _demux(self) -> _Packet | None:
        """The next packet; None at the end."""
        while not self._ended:
            packet = next(self._packets, None)
            if packet is None:
                self._ended = True
            elif packet.size:
                when = packet.pts if packet.dts is None else packet.dts
                self._reached = self._reached if when is None else float(when * self._base)
                self._waiting_bytes += packet.size
                return packet
        return None

    def _look_ahead(self, moment_s: float) -> None:
        """Read packets up to the moment, and forget those before the last key frame at or before it."""
        self._jump(moment_s)
        while self._reached <= moment_s and self._waiting_bytes < _AHEAD_BYTES:
            packet = self._demux()
            if packet is None:
                return
            when = _when(packet)
            if packet.is_keyframe and when is not None and when * self._base <= moment_s and (self._begun or self._waiting):
                self._forget()
                self._waiting_bytes = packet.size
            self._waiting.append(packet)

    def _jump(self, moment_s: float) -> None:
        """Go on from a key frame far ahead where the container's index knows one before the moment."""
        index = self._stream.index_entries
        if not len(index):
            return
        number = index.search_timestamp(int((moment_s - _SLACK_S) / self._base))
        if number < 0 or index[number].timestamp * self._base <= self._reached + 2 * _SLACK_S:
            return
        self._container.seek(index[number].timestamp, stream=self._stream, backward=True)
        self._packets = self._container.demux(self._stream)
        self._reached, self._ended = float(index[number].timestamp * self._base), False
        self._forget()

    def _forget(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        self._decoded.clear()
        self._before = self._present = None
        if self._begun:
            self._stream.codec_context.flush_buffers()
        self._begun, self._clean = False, False
