from __future__ import annotations

import base64
import io
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ofa_modalities import SampleError, patches_to_image, read_image
from ofa_modalities.image.encoding import image_to_patches, patch_grid
from PIL import Image, ImageFile

PIXELS = np.random.default_rng(3).integers(0, 256, (24, 40, 3), dtype=np.uint8)
RGB = Image.fromarray(PIXELS)


def _bytes(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F"]
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    steps = {"PA": ("P", "PA"), "La": ("LA", "La"), "RGBa": ("RGBA", "RGBa")}.get(mode, (mode,))
    image = RGB
    for step in steps:
        image = image.convert(step)
    image, size = read_image(image)
    assert image.mode == "RGB"
    assert image.size == size == RGB.size


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_16_bits_are_brought_to_8(mode: str) -> None:
    gray = np.linspace(0, 65_535, 16).astype(np.uint16).reshape(4, 4)
    image = Image.frombytes(mode, (4, 4), gray.astype(">u2" if mode.endswith("B") else "<u2").tobytes())
    found = np.asarray(read_image(image)[0])[:, :, 0]
    assert np.array_equal(found, (gray >> 8).astype(np.uint8))


def test_alpha_lies_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert read_image(clear)[0].getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4))
    palette.info["transparency"] = 0
    assert read_image(palette)[0].getpixel((0, 0)) == (255, 255, 255)


def test_exif_turns_the_picture_and_its_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image, size = read_image(_bytes(RGB, "JPEG", exif=exif), draft=8)
    assert size == (24, 40)
    assert image.width < image.height


@pytest.mark.parametrize(
    "array",
    [
        PIXELS,
        PIXELS[:, :, 0],
        PIXELS[:, :, :1],
        PIXELS.transpose(2, 0, 1),
        PIXELS.astype(np.int64),
        PIXELS.astype(np.float64) / 255,
        PIXELS.astype(np.uint16) * 257,
        PIXELS > 128,
        np.dstack([PIXELS, PIXELS[:, :, 0]]),
        torch.from_numpy(PIXELS.transpose(2, 0, 1).copy()).float() / 255,
        torch.from_numpy(PIXELS.transpose(2, 0, 1).copy()).to(torch.bfloat16) / 255,
    ],
)
def test_arrays_and_tensors_of_every_layout(array: Any) -> None:
    image, size = read_image(array)
    assert size == (40, 24)
    if array.ndim == 3 and 4 not in array.shape and "bool" not in str(array.dtype) and 1 not in array.shape:
        assert np.abs(np.asarray(image).astype(int) - PIXELS).max() <= 1


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((5, 5, 2), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((0, 4, 3), np.uint8), "not \\[0, 4, 3\\]"),
        (np.zeros(5, np.uint8), "\\[H, W\\]"),
        (np.full((4, 4), 300), "0 .. 255"),
        (np.full((4, 4), 7.5), "0 .. 1"),
        (np.full((4, 4), np.nan), "0 .. 1"),
    ],
)
def test_arrays_that_are_no_picture(array: Any, said: str) -> None:
    with pytest.raises(SampleError, match=said):
        read_image(array, "img")


def test_strings_bytes_paths_and_dictionaries_read_the_same(tmp_path: Path) -> None:
    content = _bytes(RGB)
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    text = base64.b64encode(content).decode()
    values: list[object] = [
        content,
        bytearray(content),
        path,
        str(path),
        text,
        text.rstrip("="),
        text[:50] + "\n" + text[50:],
        base64.urlsafe_b64encode(content).decode(),
        f"data:image/png;base64,{text}",
        {"bytes": content, "path": None},
        {"bytes": None, "path": str(path)},
        {"bytes": content, "path": "not-there.png"},
        RGB,
    ]
    for value in values:
        assert np.array_equal(np.asarray(read_image(value)[0]), PIXELS), value


def test_open_files_are_read_from_their_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = io.BytesIO()
    RGB.save(memory, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(memory.getvalue())
    with path.open("rb") as file:
        for value in (memory, memory, file):
            assert np.array_equal(np.asarray(read_image(value)[0]), PIXELS)
    with path.open(encoding="latin-1") as file, pytest.raises(SampleError, match="not open for bytes"):
        read_image(file)
    with pytest.raises(SampleError, match="closed file"):
        read_image(file)
    monkeypatch.setattr("ofa_modalities.image.reading.MAX_FILE_BYTES", 100)
    with pytest.raises(SampleError, match="more than 100 bytes"):
        read_image(memory)


def test_paths_of_data_stay_inside_the_root(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "in.png").write_bytes(_bytes(RGB))
    (tmp_path / "out.png").write_bytes(_bytes(RGB))
    (root / "link.png").symlink_to(tmp_path / "out.png")
    assert read_image("in.png", root=root)[1] == (40, 24)
    assert read_image(str(root / "in.png"), root=root)[1] == (40, 24)
    for value in ("../out.png", str(tmp_path / "out.png"), "link.png", {"bytes": None, "path": "../out.png"}, Path("../out.png")):
        with pytest.raises(SampleError, match="outside the data root"):
            read_image(value, "img", root=root)
    assert read_image(str(tmp_path / "out.png"))[1] == (40, 24)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "missing"),
        ("", "empty"),
        (b"", "zero bytes"),
        (b"hello world", "not a readable picture"),
        (_bytes(RGB)[:200], "not a readable picture"),
        (_bytes(RGB, "JPEG")[:300], "not a readable picture"),
        (_bytes(RGB)[:20], "not a readable picture"),
        ("no/such/file.png", "no file"),
        ("https://example.org/a.png", "URL"),
        ("data:image/png;base64,", "data: URI"),
        ("aGVsbG8gd29ybGQ=", "no file"),
        ("x\0y", "no file"),
        ({"bytes": None, "path": None}, "neither bytes nor a path"),
        ({"bytes": None, "path": "no.png"}, "no file"),
        (3, "not int"),
        (["a"], "not list"),
        (Path("/"), "no file"),
    ],
)
def test_bad_pictures_are_sample_errors(value: object, said: str) -> None:
    with pytest.raises(SampleError, match=said) as caught:
        read_image(value, "img")
    assert caught.value.column == "img"


def _header(width: int, height: int) -> bytes:
    """A PNG that says so and holds one pixel."""
    head = bytearray(_bytes(Image.new("1", (1, 1))))
    head[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head[29:33] = zlib.crc32(head[12:29]).to_bytes(4, "big")
    return bytes(head)


@pytest.mark.parametrize(("side", "most"), [(60_000, 50_000_000), (14_000, 50_000_000), (14_000, 190_000_000), (10_000, 10**7)])
def test_a_header_of_too_many_pixels_is_refused_before_decoding(side: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    with pytest.raises(SampleError, match=rf"{side} × {side} pixels, more than {most} in all; `max_pixels`"):
        read_image(_header(side, side), "img", max_pixels=most)
    with pytest.raises(SampleError, match="more than 100 in all"):
        read_image(RGB, "img", max_pixels=100)


def test_max_pixels_above_the_limit_of_pil_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    asked: list[tuple[int, int]] = []

    def load(self: ImageFile.ImageFile) -> None:
        asked.append(self.size)
        raise OSError("decoded no further")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    bitmap = _bytes(RGB, "BMP")
    for content in (_header(14_000, 14_000), bitmap[:18] + struct.pack("<ii", 14_000, 14_000) + bitmap[26:]):
        with pytest.raises(SampleError, match="decoded no further"):
            read_image(content, "img", max_pixels=200_000_000)
    assert asked == [(14_000, 14_000)] * 2
    assert limit == Image.MAX_IMAGE_PIXELS


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 32), st.integers(1, 300))
def test_the_grid_is_within_its_limits_and_near_the_aspect_ratio(width: int, height: int, patch: int, most: int) -> None:
    rows, columns = patch_grid(width, height, patch, most)
    assert rows >= 1
    assert columns >= 1
    assert rows * columns <= most
    assert columns * patch < width + patch
    assert rows * patch < height + patch
    scale = min(1, math.sqrt(most * patch * patch / (width * height)))
    if width * scale / patch >= 1 and height * scale / patch >= 1:
        assert abs(columns - width * scale / patch) <= 1
        assert abs(rows - height * scale / patch) <= 1


def test_grids_of_known_pictures() -> None:
    assert patch_grid(64, 64, 8, 64) == (8, 8)
    assert patch_grid(32, 32, 8, 64) == (4, 4)
    assert patch_grid(4000, 2000, 8, 64) == (5, 11)
    assert patch_grid(1, 5000, 8, 64) == (64, 1)
    assert patch_grid(3, 3, 8, 64) == (1, 1)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 9))
def test_patches_give_the_very_picture_back(rows: int, columns: int, patch: int) -> None:
    pixels = np.random.default_rng(rows).integers(0, 256, (rows * patch, columns * patch, 3), dtype=np.uint8)
    units = image_to_patches(Image.fromarray(pixels), patch)
    assert units.shape == (rows * columns, 3 * patch * patch)
    assert units.dtype == np.float32
    assert abs(units).max() <= 1
    assert np.array_equal(np.asarray(patches_to_image(units, (rows, columns))), pixels)


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    return make_run(
        {
            "plain": "[IMAGE:img] what? -> [TEXT:a]",
            "mild": "[IMAGE:img,augment=mild] where? -> [BOX:box]",
        }
    )


def test_an_item_keeps_its_picture_s_size(run: Any, picture: Any) -> None:
    example = run.encode("plain", {"img": picture, "a": "x"})
    segment = example.source[0]
    assert segment.layout == segment.shape == (6, 8)
    assert segment.units.shape == (48, 192)


def test_augmentation_is_for_training_and_moves_boxes_along(run: Any) -> None:
    red = np.full((64, 64, 3), 255, np.uint8)
    red[16:32, 24:48] = (200, 0, 0)
    row = {"img": red, "box": [24, 16, 48, 32]}
    plain = run.encode("mild", row, split="valid")
    assert plain.referred[0][0].view_px is None
    moved = False
    for seed in range(20):
        example = run.encode("mild", row, rng=np.random.default_rng(seed))
        units = example.source[0].units
        seen = np.asarray(patches_to_image(units, (8, 8))).astype(int)
        ys, xs = np.nonzero(seen[:, :, 1] < 128)
        shown = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        cells = example.target[0].labels - run.vocabulary.block("bin").start
        assert np.abs(cells + 0.5 - shown).max() <= 1.6
        moved = moved or not np.array_equal(cells, plain.target[0].labels - run.vocabulary.block("bin").start)
        back = run.encoder.decode(example.target[0].slot, example.target[0].labels, example)
        assert np.abs(np.array(back) - row["box"]).max() <= 0.6
    assert moved


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(300 * 10**6)  # Sparse: nothing of it is on the disk.
    with pytest.raises(SampleError, match="has 300,000,000 bytes; at most 256,000,000 are read"):
        read_image(path, "img")
