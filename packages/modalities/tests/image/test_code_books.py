"""Code books: fitted to pictures, or taken from a directory; pictures to codes and back."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ofa_instruction import PluginChoice, SlotPlan
from ofa_modalities.image.code_books import load_code_book, make_code_book
from ofa_modalities.image.codes import ImageCodeProcessor, square, training_squares
from ofa_modalities.image.spec import CodeBookOptions, ImageCodeOptions
from ofa_modalities.processor import FitContext
from ofa_modalities.video.codes import VideoCodeProcessor
from ofa_modalities.video.spec import VideoCodeOptions
from PIL import Image
from pydantic import ValidationError

SMALL = {"size": 16, "downsample": 4, "codes": 32, "width": 16, "fit_steps": 120}
COLOURS = ((220, 30, 30), (20, 160, 40), (30, 60, 220), (240, 220, 20))


def squares() -> NDArray[np.uint8]:
    """A square of one of four colours in one of four corners."""
    pictures = np.full((16, 16, 16, 3), 255, np.uint8)
    for number in range(16):
        colour, corner = divmod(number, 4)
        top, left = 8 * (corner // 2), 8 * (corner % 2)
        pictures[number, top : top + 8, left : left + 8] = COLOURS[colour]
    return pictures


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


@pytest.fixture(scope="module")
def fitted() -> Any:
    options = ImageCodeOptions(**SMALL)
    told: list[tuple[int, int]] = []
    context = FitContext(seed=3, progress=lambda done, total: told.append((done, total)))
    arrays = make_code_book(options, squares, context)
    return options, arrays, told


def test_pictures_come_back(fitted: Any) -> None:
    options, arrays, told = fitted
    book = load_code_book(arrays, options)
    codes = book.encode(squares())
    assert codes.shape == (16, 4, 4)
    assert codes.dtype == np.int64
    assert 0 <= codes.min() <= codes.max() < 32
    assert len(np.unique(codes)) >= 8
    assert psnr(book.decode(codes), squares()) > 25
    assert told[-1] == (120, 120)
    assert [done for done, _ in told] == list(range(1, 121))


def test_a_book_encodes_a_picture_alone_as_among_others_and_after_a_journey(fitted: Any) -> None:
    options, arrays, _ = fitted
    book = load_code_book(arrays, options)
    again = pickle.loads(pickle.dumps(book))
    codes = book.encode(squares())
    assert np.array_equal(codes[5:6], book.encode(squares()[5:6]))
    assert np.array_equal(codes, again.encode(squares()))


def test_the_same_pictures_and_seed_give_the_same_book() -> None:
    options = ImageCodeOptions(**SMALL | {"fit_steps": 12})
    one, other, third = (make_code_book(options, squares, FitContext(seed=seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert not all(np.array_equal(one[name], third[name]) for name in one)


@pytest.mark.parametrize(("size", "downsample"), [(12, 3), (8, 8), (8, 1)])
def test_other_grids(size: int, downsample: int) -> None:
    options = ImageCodeOptions(size=size, downsample=downsample, codes=8, width=8, fit_steps=4)
    pictures = np.random.default_rng(0).integers(0, 256, (5, size, size, 3), np.uint8)
    book = load_code_book(make_code_book(options, lambda: pictures, FitContext()), options)
    codes = book.encode(pictures)
    assert codes.shape == (5, size // downsample, size // downsample)
    assert book.decode(codes).shape == pictures.shape


def test_arrays_of_another_book_are_refused(fitted: Any) -> None:
    _, arrays, _ = fitted
    with pytest.raises(ValueError, match="not those of a code book of 64 codes"):
        load_code_book(arrays, ImageCodeOptions(**SMALL | {"codes": 64}))


def test_the_size_is_a_multiple_of_the_cells() -> None:
    with pytest.raises(ValidationError, match="size 30 is not a multiple of downsample 4"):
        ImageCodeOptions(size=30)


# Which pictures


def slot(modality: str = "IMAGE") -> SlotPlan:
    choice = PluginChoice(name="any", distribution="none")
    return SlotPlan(index=0, column="img", side="target", modality=modality, processor=choice, adaptor=choice)


def test_pictures_and_clips_of_one_size_share_a_book() -> None:
    image, video = ImageCodeOptions(**SMALL), VideoCodeOptions(**SMALL, num_frames=2, fps=4.0)
    assert ImageCodeProcessor.asset(slot(), image) == VideoCodeProcessor.asset(slot("VIDEO"), video)
    assert ImageCodeProcessor.blocks(slot(), image, None) == VideoCodeProcessor.blocks(slot("VIDEO"), video, None)
    for changed in ({"size": 32}, {"codes": 64}, {"downsample": 2}, {"width": 32}, {"fit_steps": 9}, {"crop": True}):
        assert ImageCodeOptions(**SMALL | changed).key != image.key


def test_a_book_is_fitted_to_what_can_be_read_of_pictures_and_clips() -> None:
    options = ImageCodeOptions(**SMALL)
    clip = np.stack([np.full((16, 16, 3), 10 * number, np.uint8) for number in range(8)])
    values = [(squares()[0], None), (b"no picture", None), (clip, None), (3, None), ("missing.png", None)]
    found = training_squares(values, options, FitContext())
    assert found.shape == (5, 16, 16, 3)  # a picture, and four frames of a clip
    assert found[1:, 0, 0, 0].tolist() == [10, 30, 50, 70]
    with pytest.raises(ValueError, match=r"image_code:16px:4x4:32.* none of the run's can be read"):
        training_squares(values[3:], options, FitContext())


def test_many_pictures_are_drawn_evenly() -> None:
    options = CodeBookOptions(size=4, downsample=4, fit_pictures=20)
    values = [(np.full((4, 4, 3), number, np.uint8), None) for number in range(200)]
    found = training_squares(values, options, FitContext(seed=1))[:, 0, 0, 0]
    assert len(found) == len(set(found.tolist())) == 20
    assert found.min() < 60
    assert found.max() > 140


def test_a_picture_is_squeezed_into_the_square_or_its_middle_is_cut_out() -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    image = Image.fromarray(pixels)
    assert square(image, CodeBookOptions(size=8, downsample=4, crop=True)).min() > 240
    squeezed = square(image, CodeBookOptions(size=12, downsample=4))
    assert squeezed.shape == (12, 12, 3)
    assert squeezed[6, 1].max() < 15
    assert squeezed[6, 6].min() > 240


# Directories


def emu3(folder: Path) -> dict[str, Any]:
    transformers = pytest.importorskip("transformers")
    config = transformers.Emu3VQVAEConfig(
        codebook_size=24, embed_dim=8, latent_channels=8, base_channels=32, channel_multiplier=[1, 1], num_res_blocks=1,
        attn_resolutions=[], temporal_downsample_factor=1, hidden_size=32, num_attention_heads=1,
    )  # fmt: skip
    transformers.Emu3VQVAE(config).save_pretrained(folder)
    return {"size": 12, "downsample": 2, "codes": 24}


def janus(folder: Path) -> dict[str, Any]:
    transformers = pytest.importorskip("transformers")
    config = transformers.JanusVQVAEConfig(
        num_embeddings=24, embed_dim=8, latent_channels=8, base_channels=32, channel_multiplier=[1, 1, 1], num_res_blocks=1,
        num_patches=4,
    )  # fmt: skip
    transformers.JanusVQVAE(config).save_pretrained(folder)
    return {"size": 16, "downsample": 4, "codes": 24}


@pytest.mark.parametrize("make", [emu3, janus])
def test_a_model_directory_becomes_part_of_the_asset(make: Any, tmp_path: Path) -> None:
    folder = tmp_path / "vq"
    fields = make(folder)
    options = ImageCodeOptions(**fields, model=str(folder))
    arrays = make_code_book(options, pytest.fail, FitContext())
    (folder / "config.json").rename(tmp_path / "gone")
    book = load_code_book(arrays, options)
    pictures = np.random.default_rng(0).integers(0, 256, (3, fields["size"], fields["size"], 3), np.uint8)
    codes = book.encode(pictures)
    assert codes.shape == (3, options.side, options.side)
    assert 0 <= codes.min() <= codes.max() < 24
    assert book.decode(codes).shape == pictures.shape
    assert np.array_equal(pickle.loads(pickle.dumps(book)).encode(pictures), codes)
    assert np.array_equal(codes[1:2], book.encode(pictures[1:2]))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"codes": 25}, "needs codes=24"), ({"downsample": 8}, "needs downsample=4"), ({"size": 32}, "needs size=16")],
)
def test_what_a_slot_says_of_a_directory_is_its_own(change: dict[str, int], message: str, tmp_path: Path) -> None:
    options = ImageCodeOptions(**janus(tmp_path) | change, model=str(tmp_path))
    with pytest.raises(ValueError, match=message):
        make_code_book(options, pytest.fail, FitContext())


def test_a_directory_that_is_no_such_model(tmp_path: Path) -> None:
    options = ImageCodeOptions(model=str(tmp_path))
    with pytest.raises(ValueError, match="not a model directory"):
        make_code_book(options, pytest.fail, FitContext())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="holds a `bert`, not a VQ model"):
        make_code_book(options, pytest.fail, FitContext())


# Slots


def test_pictures_and_clips_are_answered_as_grids_of_codes(make_run: Any, fitted: Any) -> None:
    options, arrays, _ = fitted
    said = "size=16,downsample=4,codes=32,width=16,fit_steps=120"
    run = make_run(
        {"p": f"draw [TEXT:cap] -> [IMAGE:img,{said}]", "v": f"film [TEXT:cap] -> [VIDEO:clip,{said},num_frames=3,play_fps=5]"},
        assets={options.key: arrays},
    )
    block = run.vocabulary.block(options.key)
    picture = run.encode("p", {"cap": "the cat", "img": squares()[3]}).target[0]
    assert picture.layout == (4, 4)
    assert picture.units[0] == run.vocabulary.id("begin:IMAGE")
    assert set(picture.labels.tolist()) <= set(block)
    assert np.array_equal(picture.units[1:], picture.labels[:-1])
    rule = run.encoder.rule(picture.slot)
    assert (rule.blocks, rule.length, rule.shape) == ((options.key,), 16, (4, 4))
    image = run.encoder.decode(picture.slot, picture.labels)
    assert image.size == (16, 16)
    assert psnr(np.asarray(image), squares()[3]) > 20

    clip = run.encode("v", {"cap": "the cat", "clip": squares()[:3]}).target[0]
    assert clip.layout == (3, 4, 4)
    assert np.array_equal(clip.labels[:16], run.encode("p", {"cap": "the cat", "img": squares()[0]}).target[0].labels)
    video = run.encoder.decode(clip.slot, clip.labels)
    assert (video.frames.shape, video.fps) == ((3, 16, 16, 3), 5.0)
    with pytest.raises(ValueError, match="48 codes are needed, not 47"):
        run.encoder.decode(clip.slot, clip.labels[1:])


def test_a_picture_is_coded_once(make_run: Any, fitted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options, arrays, _ = fitted
    run = make_run(
        {"p": "draw [TEXT:cap] -> [IMAGE:img,size=16,downsample=4,codes=32,width=16,fit_steps=120]"}, assets={options.key: arrays}
    )
    processor = run.encoder.processor(run.encoder.line("p", run.tasks[0].instructions[0].target[0]))
    coded: list[int] = []
    encode = processor._book.encode
    monkeypatch.setattr(processor._book, "encode", lambda squares: coded.append(len(squares)) or encode(squares))
    monkeypatch.setattr("ofa_modalities.image.codes._KNOWN_PICTURES", 3)
    wanted = encode(squares()).reshape(16, -1) + processor._start
    for numbers in ([0, 1, 0], [1, 0], [2], [3, 2], [0]):
        assert np.array_equal(processor.ids(squares()[numbers]).reshape(-1, 16), wanted[numbers])
    assert sum(coded) == 3 + 0 + 1 + 1 + 1  # twice within one call counts twice; with the fourth picture it begins anew


def test_a_code_book_that_was_not_fitted_is_said_so(make_run: Any) -> None:
    with pytest.raises(ValueError, match="needs `image_code:32px:8x8:256`"):
        make_run({"p": "draw [TEXT:cap] -> [IMAGE:img]"})


def test_masks_hold_in_every_split_where_the_picture_is_also_asked_for(make_run: Any, fitted: Any) -> None:
    options, arrays, _ = fitted
    said = "size=16,downsample=4,codes=32,width=16,fit_steps=120"
    run = make_run(
        {
            "fill": f"[IMAGE:img,patch=4,mask_ratio=0.5] -> [IMAGE:img,{said}]",
            "centre": f"[IMAGE:img,patch=4,mask_ratio=0.5,mask=centre] -> [IMAGE:img,{said}]",
            "name": "[IMAGE:img,patch=4,mask_ratio=0.5] -> [TEXT:cap]",
        },
        assets={options.key: arrays},
    )
    content = io.BytesIO()
    Image.fromarray(squares()[0]).save(content, "PNG")
    row = {"img": content.getvalue(), "cap": "the cat"}

    def masked(task: str, split: str) -> NDArray[np.bool_]:
        return (run.encode(task, row, split=split).source[0].units == 0).all(1)

    assert all(masked("fill", split).sum() == 8 for split in ("train", "valid", "test", "infer"))
    assert [int(masked("name", split).sum()) for split in ("train", "valid", "infer")] == [8, 0, 0]
    assert masked("centre", "valid").reshape(4, 4)[1:3, 1:3].all()
    assert masked("centre", "valid").sum() == 4
