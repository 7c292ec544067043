"""Which frames are read: the nearest in time, as few as the codec allows, and the container is closed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from ofa_modalities.processor import SampleError
from ofa_modalities.video import container as module
from ofa_modalities.video.reading import read_video
from ofa_modalities.video.sampling import nearest, uniform_times, window_times

av = pytest.importorskip("av")

Film = Callable[..., Path]
_COUNTER = itertools.count()


def small(width: int, height: int) -> tuple[int, int]:
    return 8, 8


def presented(path: Path) -> tuple[NDArray[np.float64], list[int]]:
    """When every frame is shown, from the first on, and how bright it is: all of the clip, decoded."""
    with av.open(str(path)) as file:
        frames = [(frame.time, int(frame.to_ndarray(format="rgb24")[4, 4, 0])) for frame in file.decode(video=0)]
    times = np.array([time for time, _ in frames])
    return times - times[0], [brightness for _, brightness in frames]


def check_law(path: Path, asked: NDArray[np.float64]) -> Any:
    clip = read_video(path, times=lambda duration: asked, shrink=small)
    times, brightness = presented(path)
    for moment, time, frame in zip(asked, clip.times_s, clip.frames, strict=True):
        assert abs(time - moment) <= np.abs(times - moment).min() + 2e-6
        assert abs(int(frame[4, 4, 0]) - brightness[int(np.abs(times - time).argmin())]) <= 2
    return clip


@settings(max_examples=25)
@given(
    steps=st.lists(st.integers(1, 900), min_size=1, max_size=30),
    start=st.integers(0, 3000),
    container=st.sampled_from([("mp4", "libx264"), ("mkv", "libx264"), ("webm", "libvpx"), ("mov", "mpeg4")]),
    keys_every=st.integers(1, 12),
    b_frames=st.integers(0, 3),
    moments=st.lists(st.floats(0, 1), min_size=1, max_size=6),
)
def test_the_frame_picked_at_a_time_is_the_nearest_one_whatever_the_rate(
    tmp_path_factory: pytest.TempPathFactory,
    write: Film,
    steps: list[int],
    start: int,
    container: tuple[str, str],
    keys_every: int,
    b_frames: int,
    moments: list[float],
) -> None:
    times = np.cumsum([start, *steps]).tolist()
    path = tmp_path_factory.getbasetemp() / f"law-{next(_COUNTER)}.{container[0]}"
    write(path, times, codec=container[1], keys_every=keys_every, b_frames=b_frames)
    check_law(path, np.sort(moments) * sum(steps) / 1000)


@given(
    presented_ms=st.lists(st.integers(0, 10_000), min_size=1, max_size=50, unique=True),
    asked_ms=st.lists(st.integers(-100, 11_000), max_size=20),
)
def test_nearest_is_nearest(presented_ms: list[int], asked_ms: list[int]) -> None:
    times, asked = np.sort(presented_ms) / 1000, np.array(asked_ms) / 1000
    for moment, index in zip(asked, nearest(times, asked), strict=True):
        assert abs(times[index] - moment) <= np.abs(times - moment).min() + 1e-6


@pytest.mark.parametrize("name", ["street.mp4", "bikes.webm"])
def test_real_films(fixtures: Path, name: str) -> None:
    times, _ = presented(fixtures / name)
    clip = read_video(fixtures / name, times=partial(uniform_times, count=6), shrink=small)
    assert len(clip.frames) == 6
    assert clip.duration_s == pytest.approx(len(times) / 10, abs=0.02)
    assert clip.times_s == pytest.approx(times[nearest(times, clip.asked_s)], abs=1e-6)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_groups_of_frames_that_are_not_needed_are_not_decoded(film: Film, name: str, codec: str) -> None:
    path = film(range(0, 24_000, 40), name, codec=codec, keys_every=10, b_frames=0)
    clip = read_video(path, times=partial(uniform_times, count=4), shrink=small)
    assert clip.num_decoded <= 4 * 12  # of 600: at most a group and the frame after it for each
    assert clip.times_s == pytest.approx(clip.asked_s, abs=0.021)


def test_frames_before_the_first_moment_and_after_the_last_are_not_decoded(film: Film) -> None:
    path = film(range(0, 20_000, 40), keys_every=10, b_frames=0)
    window = partial(window_times, count=3, fps=25.0, start_s=10.0, rng=None)
    assert read_video(path, times=window, shrink=small).num_decoded <= 14


def test_a_container_with_an_index_is_not_read_through(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(range(0, 60_000, 40), keys_every=10, b_frames=0)
    packets = []
    demux = module._Walk._demux
    monkeypatch.setattr(module._Walk, "_demux", lambda self: packets.append(1) or demux(self))
    clip = read_video(path, times=lambda duration: np.array([50.0]), shrink=small)
    assert clip.times_s == pytest.approx([50.0], abs=0.021)
    assert len(packets) < 150  # of 1500


def test_a_codec_that_does_not_start_at_its_key_frames_is_decoded_from_the_beginning(
    film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(range(0, 4000, 40), keys_every=10, b_frames=0)
    expected = read_video(path, times=partial(uniform_times, count=3), shrink=small)
    following = module._Walk._next

    def late(self: Any, moment_s: float) -> Any:
        found = following(self, moment_s)
        return following(self, 1e9) if not self._clean and self._skip else found

    monkeypatch.setattr(module._Walk, "_next", late)
    clip = read_video(path, times=partial(uniform_times, count=3), shrink=small)
    assert clip.times_s.tolist() == expected.times_s.tolist()
    assert clip.num_decoded > expected.num_decoded


@pytest.mark.parametrize("fails", [False, True])
def test_containers_are_closed_on_every_path(film: Film, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    opened: list[Any] = []
    real = module._open

    class Watched:
        def __init__(self, inner: Any) -> None:
            self.inner, self.closed = inner, False

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def close(self) -> None:
            self.closed = True
            self.inner.close()

    def watched(*arguments: Any) -> Any:
        opened.append(Watched(real(*arguments)))
        return opened[-1]

    def times(duration: float) -> NDArray[np.float64]:
        if fails:
            raise ValueError("no")
        return uniform_times(duration, 2)

    monkeypatch.setattr(module, "_open", watched)
    path = film(range(0, 1000, 100))
    if fails:
        with pytest.raises(SampleError, match="no"):
            read_video(path, times=times, shrink=small)
    else:
        read_video(path, times=times, shrink=small)
    assert len(opened) == 2
    assert all(one.closed for one in opened)


def test_a_window_lies_anywhere_in_training_and_in_the_middle_otherwise() -> None:
    rngs = [np.random.default_rng(seed) for seed in range(50)]
    starts = [float(window_times(10.0, 4, 2.0, start_s=None, rng=rng)[0]) for rng in rngs]
    assert min(starts) < 1.5 < 7.0 < max(starts)
    assert all(0.25 <= start <= 8.25 for start in starts)
    assert window_times(10.0, 4, 2.0, start_s=None, rng=None).tolist() == [4.25, 4.75, 5.25, 5.75]
    assert window_times(10.0, 4, 2.0, start_s=9.0, rng=rngs[0]).tolist() == [9.0, 9.5]
    assert window_times(10.0, 4, 2.0, start_s=30.0, rng=None).tolist() == [10.0]
