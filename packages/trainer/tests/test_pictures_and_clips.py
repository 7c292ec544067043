"""Pictures and clips from caption to file, and clips from file to label: one small model, learnt by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ofa_models import GeneralistModel, GenerationOptions, Session
from ofa_trainer import Task, Trainer
from PIL import Image

pytest.importorskip("av")

COLOURS = {"red": (220, 30, 30), "green": (20, 160, 40), "blue": (30, 60, 220)}
CORNERS = {"top left": (0, 0), "bottom right": (8, 8)}
WAYS = {"right": (0, 4), "down": (4, 0)}
BOOK = "size=16,downsample=4,codes=32,width=16,fit_steps=110"
PAINT = f"draw [TEXT:cap] -> [IMAGE:img,{BOOK}]"
FILM = f"film [TEXT:cap] -> [VIDEO:clip,{BOOK},num_frames=3,play_fps=4]"
NAME = "[VIDEO:clip,num_frames=3,tubelet=1,patch=8,frame_rate=3] where does it go? -> [TEXT:way,closed_set]"
FILL = f"[IMAGE:img,patch=4,mask_ratio=0.25] -> [IMAGE:img,{BOOK}]"


def picture(colour: str, top: int, left: int) -> NDArray[np.uint8]:
    pixels = np.full((16, 16, 3), 255, np.uint8)
    pixels[top : top + 8, left : left + 8] = COLOURS[colour]
    return pixels


PICTURES = [
    {"cap": f"{colour} {name}", "img": Image.fromarray(picture(colour, *corner))}
    for colour in COLOURS
    for name, corner in CORNERS.items()
]
CLIPS = [
    {
        "cap": f"{colour} {way}",
        "way": way,
        "clip": np.stack([picture(colour, step * down, step * right) for step in range(3)]),
    }
    for colour in COLOURS
    for way, (down, right) in WAYS.items()
]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    tasks = [
        Task("paint", PAINT, train=PICTURES),
        Task("film", FILM, train=CLIPS),
        Task("name", NAME, train=CLIPS),
        Task("fill", FILL, train=PICTURES),
    ]
    directory = tmp_path_factory.mktemp("run") / "checkpoint"
    Trainer(steps=140, seed=0, batch_tokens=1400, adamw_lr=4e-3).fit(GeneralistModel("nano"), tasks).save(directory)
    return Session.from_pretrained(directory)


def error(answer: Any, wanted: Any) -> float:
    return float(np.abs(np.asarray(answer, float) - np.asarray(wanted, float)).mean())


@pytest.mark.slow
def test_a_caption_becomes_a_picture(session: Session, tmp_path: Path) -> None:
    outputs = session.batch(PAINT, PICTURES)
    errors = [[error(output.image, row["img"]) for row in PICTURES] for output in outputs]
    assert np.argmin(errors, 1).tolist() == list(range(len(PICTURES)))
    assert max(np.diag(errors)) < 15
    with Image.open(outputs[0].save(tmp_path / "x.png")) as image:
        assert image.size == (16, 16)
    assert outputs[0].to_json().count("data:image/png") == 2


@pytest.mark.slow
def test_beams_and_samples_keep_to_the_codes(session: Session) -> None:
    for options in (GenerationOptions(strategy="beam", num_beams=2), GenerationOptions(strategy="sample", num_return=2)):
        answer = session(PAINT, cap="blue top left", generation=options)
        assert answer.image.size == (16, 16)
    assert (
        error(session(PAINT, cap="blue top left", generation=GenerationOptions(strategy="beam")).image, picture("blue", 0, 0))
        < 15
    )


@pytest.mark.slow
def test_a_caption_becomes_a_film(session: Session, tmp_path: Path) -> None:
    import av

    outputs = session.batch(FILM, CLIPS)
    errors = [[error(output.video.frames, row["clip"]) for row in CLIPS] for output in outputs]
    assert np.argmin(errors, 1).tolist() == list(range(len(CLIPS)))
    with av.open(str(outputs[1].save(tmp_path / "x.mp4"))) as file:
        assert len(list(file.decode(video=0))) == 3
    for name in ("x.gif", "x.webp"):
        with Image.open(outputs[1].save(tmp_path / name)) as image:
            assert image.n_frames == 3


@pytest.mark.slow
def test_a_film_is_named_from_its_file_and_from_what_was_answered(session: Session, tmp_path: Path) -> None:
    assert [output.label for output in session.batch(NAME, CLIPS)] == [row["way"] for row in CLIPS]
    answer = session(FILM, cap="red down")
    assert session(NAME, clip=answer.video).label == "down"
    assert session(NAME, clip=str(answer.save(tmp_path / "answer.mp4"))).label == "down"


@pytest.mark.slow
def test_a_masked_picture_is_filled(session: Session) -> None:
    outputs = session.batch(FILL, PICTURES)
    errors = [[error(output.image, row["img"]) for row in PICTURES] for output in outputs]
    assert np.argmin(errors, 1).tolist() == list(range(len(PICTURES)))


@pytest.mark.slow
def test_one_book_serves_pictures_and_clips(session: Session) -> None:
    assert len(session.checkpoint.assets) == 1
