"""Pictures of more than 8 bits and of floats: what is white is known or asked for, and never guessed from one dark picture."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from ofa_modalities import SampleError
from ofa_modalities.image.reading import read_image
from PIL import Image

RAMP = np.linspace(0, 1, 12 * 16).reshape(12, 16)


def as_file(array: np.ndarray, form: str = "TIFF") -> bytes:
    content = io.BytesIO()
    Image.fromarray(array).save(content, form)
    return content.getvalue()


def levels(value: object) -> np.ndarray:
    picture = read_image(value)[0]
    assert picture.mode == "RGB"
    array = np.asarray(picture)
    assert (array == array[:, :, :1]).all()
    return array[:, :, 0]


def tagged(content: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF with another value of a tag of one short."""
    changed = bytearray(content)
    place = struct.unpack_from("<I", content, 4)[0]
    for number in range(struct.unpack_from("<H", content, place)[0]):
        entry = place + 2 + 12 * number
        if struct.unpack_from("<H", content, entry)[0] == tag:
            struct.pack_into("<H", changed, entry + 8, value)
            return bytes(changed)
    raise AssertionError(tag)


@pytest.mark.parametrize(
    "array",
    [
        (RAMP * 255).round().astype(np.uint8),
        (RAMP * 65_535).round().astype(np.uint16),
        RAMP.astype(np.float32),
        (RAMP * 255).astype(np.float32),
        (RAMP * 255).round().astype(np.float32),
        (RAMP * 65_535).round().astype(np.float32),
        (RAMP * 255).round().astype(np.int32),
        (RAMP * 65_535).round().astype(np.int32),
    ],
    ids=lambda array: f"{array.dtype}-{array.max():g}",
)
def test_a_ramp_is_a_ramp_at_every_depth(array) -> None:
    assert np.abs(levels(as_file(array)).astype(int) - RAMP * 255).max() <= 1
    assert np.abs(levels(Image.fromarray(array)).astype(int) - RAMP * 255).max() <= 1


@pytest.mark.parametrize("form", ["PNG", "PPM", "TIFF"])
def test_a_dark_picture_of_16_bits_stays_dark(form) -> None:
    assert levels(as_file(np.full((8, 8), 200, np.uint16), form)).max() == 1


def test_a_little_over_white_is_white() -> None:
    assert levels(as_file((RAMP * 1.06 - 0.02).astype(np.float32))).max() == 255


def test_12_bits_of_16() -> None:
    """A TIFF of 12 bits a sample, packed as libtiff packs them: two samples in three bytes, the high bits first."""
    samples = (RAMP * 4095).round().astype(int)
    packed = b"".join((a << 12 | b).to_bytes(3, "big") for a, b in samples.reshape(-1, 2).tolist())
    fields = [(256, 16), (257, 12), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 12), (279, len(packed))]
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in fields)
    place = 8 + len(packed) + len(packed) % 2
    header = b"II*\0" + struct.pack("<I", place) + packed + bytes(len(packed) % 2)
    content = header + struct.pack("<H", len(fields)) + entries + bytes(4)
    assert np.abs(levels(content).astype(int) - RAMP * 255).max() <= 1


@pytest.mark.parametrize("array", [(RAMP * 65_535).astype(np.uint16), RAMP.astype(np.float32)], ids=["16 bits", "floats"])
def test_white_is_zero_where_the_file_says_so(array) -> None:
    content = tagged(as_file(array), 262, 0)
    assert np.abs(levels(content).astype(int) - (1 - RAMP) * 255).max() <= 1


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([[0.0, 7.5]], np.float32), "between 0 and 7.5"),
        (np.array([[-1.0, 1.0]], np.float32), "between -1 and 1"),
        (np.array([[0.0, 300.5]], np.float32), "between 0 and 300.5"),
        (np.array([[0.0, np.nan]], np.float32), "NaN or infinite"),
        (np.array([[0.0, np.inf]], np.float32), "NaN or infinite"),
        (np.array([[-5, 70]], np.int32), "between -5 and 70"),
        (np.array([[0, 1 << 20]], np.int32), "between 0 and 1.04858e"),
    ],
)
def test_numbers_without_a_known_white_are_told(array, said) -> None:
    with pytest.raises(SampleError, match=said):
        read_image(as_file(array))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (RAMP * 255, r"lie in 0 \.\. 1; these are float64 from 0.0 to 255.0: scale"),
        (RAMP * 2 - 1, r"from -1.0 to 1.0: scale"),
        (np.array([[np.nan, 0.5]]), "from nan to nan"),
        (np.array([[300]]), r"integers of a picture lie in 0 \.\. 255"),
        (np.array([["a"]]), "numbers, not <U1"),
        (np.array([[None]], object), "numbers, not object"),
    ],
)
def test_arrays_of_another_scale_are_told(array, said) -> None:
    with pytest.raises(SampleError, match=said):
        read_image(array)


def test_floats_that_are_rounded_beyond_one_are_read() -> None:
    assert levels(np.full((4, 4), np.nextafter(np.float32(1), np.float32(2)))).min() == 255


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_orientation_holds_at_every_depth(dtype) -> None:
    array = np.zeros((4, 8), dtype)
    array[0, 0] = np.iinfo(dtype).max
    exif = Image.Exif()
    exif[0x0112] = 6
    for form in ("PNG", "TIFF"):
        content = io.BytesIO()
        Image.fromarray(array).save(content, form, exif=exif)
        picture, size = read_image(content.getvalue())
        assert picture.size == size == (4, 8)
        assert picture.getpixel((3, 0)) == (255, 255, 255)
