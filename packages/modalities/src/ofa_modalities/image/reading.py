"""A raw value → an upright RGB picture.

Files are opened with PIL, turned as EXIF says, and flattened on white where they have alpha.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from ofa_modalities.media import MAX_FILE_BYTES, media_source, read_media, read_object
from ofa_modalities.processor import SampleError
from ofa_modalities.reading import Reading

MAX_PIXELS = 50_000_000
_ORIENTATION, _PHOTOMETRIC, _BITS_PER_SAMPLE = 0x0112, 262, 258
"""Tags of EXIF and TIFF."""
_SHORTER = {10: 1023, 12: 4095, 14: 16_383}
"""White of samples that are stored in 16 bits and have fewer."""
_OVERSHOOT = 0.05
"""Floats in 0 .. 1 that were resized or sharpened go beyond it; they are clipped."""
_SURELY_NOT_LIGHT = 16
"""Floats up to here and beyond 1 may be light without an upper end (EXR) or an almost black picture in 0 .. 255."""
_ROUNDING = 1e-3
_MAGIC = (
    b"\x89PNG\r\n",
    b"\xff\xd8\xff",
    b"GIF8",
    b"BM",
    b"II*\0",
    b"MM\0*",
    b"P4",
    b"P5",
    b"P6",
    b"\0\0\1\0",
    b"DDS ",
    b"\0\0\0\x0cjP  ",
)


def is_picture(head: bytes) -> bool:
    """Whether the first bytes are those of a picture."""
    return head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or head[4:12] in (b"ftypavif", b"ftypheic")


def read_image(
    value: object,
    column: str = "image",
    *,
    root: Path | None = None,
    max_pixels: int = MAX_PIXELS,
    draft: int | None = None,
    hosts: frozenset[str] = frozenset(),
) -> tuple[Image.Image, tuple[int, int]]:
    """The picture, RGB and upright, and its original ``(width, height)``.

    value: path, ``data:`` URI, base64, bytes, a binary file object, Hugging Face ``{"bytes", "path"}``, PIL image, numpy
    array or torch tensor (``[H, W]``, ``[H, W, C]`` or ``[C, H, W]`` with 1, 3 or 4 channels; uint8, other integers in 0 .. 255,
    uint16 in full range, bool, or floats in 0 .. 1), or a URL. root and hosts: see :func:`ofa_modalities.media.media_source`.
    draft: a JPEG may be decoded smaller, with both sides still at least this many pixels.
    Raises SampleError for what cannot be read, is truncated, or has more than ``max_pixels`` pixels.
    """
    with Reading(column, "picture"):
        if isinstance(value, Image.Image):
            return _upright(value, column, max_pixels, None)
        if value is None:
            raise SampleError(column, "the picture is missing")
        value = read_object(value, column, "picture", MAX_FILE_BYTES)
        content = read_media(value, column, root=root, known=is_picture, what="picture", hosts=hosts)
        if content is not None:
            with open_picture(content) as opened:
                return _upright(opened, column, max_pixels, draft)
        array = _as_array(value)
        if array is None:
            raise SampleError(
                column, f"a picture is a path, bytes, an open file, a PIL image or an array, not {type(value).__name__}"
            )
        return _upright(_from_array(array, column), column, max_pixels, None)


def picture_size(value: object, *, root: Path | None = None) -> tuple[int, int] | None:
    """``(width, height)`` of the upright picture, from its header alone; None of what cannot be read, and of URLs.

    value: as :func:`read_image` takes it; a file is opened, and its pixels are not read.
    """
    try:
        with Reading("", "picture"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(value, Image.Image):
                return value.size
            array = _as_array(value)
            if array is not None:
                return _from_array(array, "").size
            found = media_source(value, "", root=root, known=is_picture, what="picture")
            if found is None:
                return None
            with Image.open(found) if isinstance(found, Path) else open_picture(found) as opened:
                turned = opened.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
                return (opened.height, opened.width) if turned else opened.size
    except SampleError:
        return None


def open_picture(content: bytes) -> ImageFile.ImageFile:
    """A picture whose header alone was read, however many pixels it has; callers check them with :func:`check_pixels`.

    Raises what PIL does, and ValueError for a GIF without a picture.
    """
    if content.startswith(b"GIF8"):
        next(gif_delays(content))  # PIL would look for it byte by byte, which takes minutes in a large file of something else
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Image.open(io.BytesIO(content))
        except Image.DecompressionBombError:
            # PIL's limit is one for the process; `max_pixels` is the slot's, and decides alone.
            return _open_by_plugin(content)


def _open_by_plugin(content: bytes) -> ImageFile.ImageFile:
    """What ``Image.open`` does but for its limit."""
    for name in Image.ID:
        factory, accepts = Image.OPEN[name]
        if accepts is None or accepts(content[:16]) is True:
            try:
                return factory(io.BytesIO(content), "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
    raise ValueError("no picture that PIL knows")


def check_pixels(size: tuple[int, int], column: str, max_pixels: int) -> None:
    """Raises SampleError for a picture of no pixels, or of more than ``max_pixels``."""
    width, height = size
    if width * height > max_pixels:
        raise SampleError(
            column,
            f"the picture is {width} × {height} pixels, more than {max_pixels} in all; `max_pixels` says how many are read",
        )
    if width == 0 or height == 0:
        raise SampleError(column, f"the picture is {width} × {height} pixels")


def _upright(image: Image.Image, column: str, max_pixels: int, draft: int | None) -> tuple[Image.Image, tuple[int, int]]:
    width, height = image.size
    check_pixels(image.size, column, max_pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if draft is None or image.format != "JPEG":
            turned = None
        else:
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            image.draft("RGB", (draft, draft))
        load_picture(image)
        rgb = to_rgb(ImageOps.exif_transpose(_eight_bits(image)))
    if turned is None:
        return rgb, rgb.size  # PIL has turned some formats by itself (TIFF)
    return rgb, (height, width) if turned else (width, height)


def load_picture(image: Image.Image) -> None:
    """Decode it. PIL's limit of pixels, which formats made of others ask for (ICO), is told as ours."""
    try:
        image.load()
    except Image.DecompressionBombError as error:
        raise ValueError("it has more pixels than `max_pixels`, or than PIL reads of its format") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as RGB: 16 bits and floats are brought to 8, alpha lies on white. Raises ValueError."""
    image = _eight_bits(image)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, rgba).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of one channel of 16 or 32 bits, or of floats, with 8 bits, and everything else that the file says of it.

    Raises ValueError where nothing says which numbers are black and white.
    """
    is_short = image.mode.startswith("I;16")
    if not is_short and image.mode not in ("I", "F"):
        return image
    values = np.asarray(image, np.uint16 if is_short else np.float64).astype(np.float64)
    tags = getattr(image, "tag_v2", {})  # of TIFF
    if is_short:
        white = _SHORTER.get(_bits(tags), 65_535)
    elif image.mode == "I" and image.format in ("PNG", "PPM"):
        white = 65_535  # the formats' own scale, which PIL has applied
    else:
        white = _white(values, what="floats" if image.mode == "F" else "whole numbers")
    levels = np.clip(values / white * 255 + 0.5, 0, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == 0:  # PIL turns these round at 8 bits alone
        levels = 255 - levels
    made = Image.fromarray(levels)
    made.info = {name: value for name, value in image.info.items() if name != "transparency"}
    if (exif := image.getexif()) and _ORIENTATION in exif:
        made.getexif()[_ORIENTATION] = exif[_ORIENTATION]
    return made


def _bits(tags: Mapping[int, Any]) -> int:
    """Bits of a sample of a TIFF; 0: it does not say."""
    said = tags.get(_BITS_PER_SAMPLE, 0)
    return int(said[0] if isinstance(said, tuple) else said)


def _white(values: NDArray[np.float64], what: str) -> int:
    """Which number is white: 1, 255 or 65535. Raises ValueError where the numbers do not tell."""
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"its {what} are NaN or infinite in places")
    whole = bool((values == np.rint(values)).all())
    if low >= -_OVERSHOOT:
        if high <= 1 + _OVERSHOOT and what == "floats":
            return 1
        if high <= 255.5 and (whole or high >= _SURELY_NOT_LIGHT):
            return 255
        if high <= 65_535 and whole:
            return 65_535
    raise ValueError(f"its {what} lie between {low:g} and {high:g}, not in 0 .. 1, 0 .. 255 or, whole, 0 .. 65535: scale them")


def _as_array(value: object) -> NDArray[Any] | None:
    if isinstance(value, np.ndarray):
        return value
    tensor: Any = value
    if hasattr(tensor, "detach") and hasattr(tensor, "cpu"):
        tensor = tensor.detach().cpu()
        return np.asarray(tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy())
    return None


def _from_array(array: NDArray[Any], column: str) -> Image.Image:
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim not in (2, 3) or array.size == 0 or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise SampleError(column, f"a picture is [H, W], [H, W, C] or [C, H, W] with 1, 3 or 4 channels, not {list(array.shape)}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(_to_uint8(array, column)))


def _to_uint8(array: NDArray[Any], column: str) -> NDArray[np.uint8]:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if kind not in "fiu":
        raise SampleError(column, f"a picture is numbers, not {array.dtype}")
    low, high = (-_ROUNDING, 1 + _ROUNDING) if kind == "f" else (0, 255)
    if not (array.min() >= low and array.max() <= high):
        what = "floats of a picture lie in 0 .. 1" if kind == "f" else "integers of a picture lie in 0 .. 255"
        raise SampleError(column, f"{what}; these are {array.dtype} from {array.min()} to {array.max()}: scale them")
    return np.asarray(np.clip(array * 255.0 + 0.5, 0, 255) if kind == "f" else array).astype(np.uint8)


def gif_delays(content: bytes) -> Iterator[int]:
    """Hundredths of a second of each frame: the delay of the last control block before its picture.

    Nothing is decoded. Raises ValueError where no picture is found, and where the file ends within a block.
    """
    try:
        yield from _gif_delays(content)
    except IndexError as error:
        raise ValueError("the file is truncated") from error


def _gif_delays(content: bytes) -> Iterator[int]:
    place = 13 + _colours(content[10])
    delay, found = 0, False
    while place < len(content) and content[place] != 0x3B:
        if content[place] == 0x21:
            if content[place + 1] == 0xF9:
                delay = int.from_bytes(content[place + 4 : place + 6], "little")
            place += 2
        elif content[place] == 0x2C:
            yield delay
            delay, found = 0, True
            place += 11 + _colours(content[place + 9])
        elif found:
            return
        else:
            raise ValueError(f"byte {place} of the GIF begins no block, and no picture came before it")
        while place < len(content) and content[place]:
            place += 1 + content[place]
        place += 1
    if place > len(content):
        raise ValueError("the file is truncated")
    if not found:
        raise ValueError("the GIF holds no picture")


def _colours(flags: int) -> int:
    """Bytes of the colour table that the flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
