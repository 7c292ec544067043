"""Values on the page: files that a browser plays, tables, words."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ofa_modalities.audio.reading import read_audio
from ofa_modalities.video.output import Video
from ofa_trainer.demo.results import Shown
from ofa_trainer.demo.showing import Showing, as_html
from PIL import Image


@pytest.fixture
def showing(tmp_path: Path) -> Showing:
    return Showing(tmp_path)


def test_sound_becomes_a_wav_that_sounds_the_same(showing: Showing) -> None:
    samples = (0.5 * np.sin(np.arange(8000) * 0.2)).astype(np.float32)
    shown = showing.value("AUDIO", (samples, 16_000), "Speak 3 / Truth")
    assert shown == Shown(kind="sound", file="media/speak-3-truth.wav")
    assert np.allclose(read_audio(showing.folder / str(shown.file)), samples, atol=1e-3)


def test_a_clip_becomes_an_animation(showing: Showing) -> None:
    frames = np.zeros((3, 8, 12, 3), np.uint8)
    frames[1] = 255
    for value in (Video(frames=frames, fps=4), frames):
        shown = showing.value("VIDEO", value, "clip")
        with Image.open(showing.folder / str(shown.file)) as opened:
            assert opened.size == (12, 8)
            assert getattr(opened, "n_frames", 1) > 1


def test_a_moving_skeleton_becomes_an_animation(showing: Showing) -> None:
    still = np.tile(np.array([1.0, 0, 0, 0]), (4, 2, 1))
    still[2:, 0] = (0.8, 0.6, 0, 0)
    motion = {
        "rotations": still,
        "root_position": np.zeros((4, 3)),
        "parents": np.array([-1, 0]),
        "offsets": np.array([[0, 0, 0], [0, 1.0, 0]]),
        "names": ["hip", "head"],
        "fps": 10.0,
    }
    shown = showing.value("MOTION", motion, "move-0")
    with Image.open(showing.folder / str(shown.file)) as opened:
        assert getattr(opened, "n_frames", 1) > 1


def test_a_picture_becomes_a_png(showing: Showing) -> None:
    content = io.BytesIO()
    Image.new("RGB", (5, 4), "red").save(content, "PNG")
    shown = showing.value("IMAGE", content.getvalue(), "draw-0")
    with Image.open(showing.folder / str(shown.file)) as opened:
        assert (opened.size, opened.format) == ((5, 4), "PNG")


@pytest.mark.parametrize("table", [[["a", "b"], [1, 2]], [{"a": 1, "b": 2}], {"columns": ["a", "b"], "rows": [[1, 2]]}])
def test_a_table_stays_one(showing: Showing, table: object) -> None:
    assert showing.value("STRUCT", table, "t") == Shown(kind="table", header=("a", "b"), rows=(("1", "2"),))


def test_everything_else_is_words(showing: Showing) -> None:
    assert showing.value("STRUCT", "SELECT 1", "s") == Shown(kind="words", words="SELECT 1")
    assert showing.value("TEXT", "a cat", "t") == Shown(kind="words", words="a cat")
    assert showing.value("AUDIO", None, "t") == Shown(kind="words")
    assert not (showing.folder / "media").exists()


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("shown", "tag"),
    [
        (Shown(kind="sound", file="media/a.wav"), "audio"),
        (Shown(kind="picture", file="media/a.gif"), "img"),
        (Shown(kind="table", header=("a<b",), rows=(("<1>",),)), "table"),
    ],
)
def test_html_is_well_formed_and_escaped(shown: Shown, tag: str) -> None:
    page = _Tags()
    html = as_html(shown, "it's <this>")
    page.feed(html)
    assert not page.open
    assert tag in page.seen
    assert "<this>" not in html
    assert "<1>" not in html


def test_soundfile_reads_what_is_written(showing: Showing) -> None:
    shown = showing.value("AUDIO", (np.zeros(400, np.float32), 16_000), "silence")
    assert soundfile.info(showing.folder / str(shown.file)).samplerate == 16_000
