"""A frame of a film is what the whole film shows at that moment: B-frames, open groups of pictures, no index, no length."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from ofa_modalities.video.reading import read_video

COUNT, RATE = 60, 10


class Pipe(io.RawIOBase):
    """Where nobody can go back to say how long it was."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.content += bytes(data)  # type: ignore[call-overload]
        return len(data)  # type: ignore[arg-type]

    def getvalue(self) -> bytes:
        return bytes(self.content)


def level(number: int) -> int:
    return 20 + number * 37 % 200


def film(form: str, codec: str, *, pipe: bool = False, open_group: bool = False) -> bytes:
    content = Pipe() if pipe else io.BytesIO()
    fragments = {"movflags": "frag_keyframe+empty_moov"} if pipe and form == "mp4" else {}
    with av.open(content, "w", format=form, options=fragments) as container:  # type: ignore[call-overload]
        try:
            stream = container.add_stream(codec, rate=RATE)
        except (av.error.FFmpegError, ValueError) as error:
            pytest.skip(f"this build of FFmpeg has no {codec}: {error}")
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 12
        stream.codec_context.max_b_frames = 2
        if open_group:
            stream.options = {"x264-params": "open-gop=1:bframes=3:keyint=12:min-keyint=12:scenecut=0:log-level=none"}
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level(number), np.uint8))
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return content.getvalue()


FILMS = [
    *(
        ("mp4", "mpeg4", False, False),
        ("mp4", "mpeg4", True, False),
        ("mp4", "libx264", False, True),
        ("mp4", "libx264", True, True),
    ),
    *(("matroska", "mpeg4", False, False), ("matroska", "libx264", True, True), ("mpegts", "mpeg2video", True, False)),
    *(("mpegts", "libx264", True, True), ("avi", "mpeg4", False, False), ("mpeg", "mpeg2video", False, False)),
    *(("flv", "libx264", False, False), ("flv", "libx264", True, False), ("webm", "libvpx", True, False)),
]


@pytest.mark.parametrize(("form", "codec", "pipe", "open_group"), FILMS)
def test_a_frame_is_what_the_whole_film_shows_then(form, codec, pipe, open_group) -> None:
    content = film(form, codec, pipe=pipe, open_group=open_group)
    with av.open(io.BytesIO(content)) as container:
        whole = [float(frame.to_ndarray(format="rgb24").mean()) for frame in container.decode(video=0)]
    assert len(whole) == COUNT
    for moments in ([0.0], [0.31], [1.2], [2.32], [3.61], [5.5], [5.9], [0.4, 3.1, 5.8]):
        clip = read_video(content, "film", times=lambda _: np.array(moments), shrink=lambda width, height: (32, 32))  # noqa: B023
        assert 5.7 <= clip.duration_s <= 6.3
        for frame, moment in zip(clip.frames, moments, strict=True):
            assert abs(float(frame.mean()) - whole[round(moment * RATE)]) < 3
