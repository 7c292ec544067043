"""A raw value → an upright RGB picture.

Files are opened with PIL, turned as EXIF says, and flattened on white where they have alpha.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from ofa_modalities.media import MAX_FILE_BYTES, read_media, read_object
from ofa_modalities.processor import SampleError

MAX_PIXELS = 50_000_000
_MAGIC = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P4", b"P5", b"P6", b"\0\0\1\0")


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
    if isinstance(value, Image.Image):
        return _upright(value, column, max_pixels, None)
    if value is None:
        raise SampleError(column, "the picture is missing")
    value = read_object(value, column, "picture", MAX_FILE_BYTES)
    content = read_media(value, column, root=root, known=is_picture, what="picture", hosts=hosts)
    if content is not None:
        try:
            opened = open_picture(content)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise SampleError(column, f"not a readable picture: {picture_reason(error)}") from error
        with opened:
            return _upright(opened, column, max_pixels, draft)
    array = _as_array(value)
    if array is None:
        raise SampleError(
            column, f"a picture is a path, bytes, an open file, a PIL image or an array, not {type(value).__name__}"
        )
    return _upright(_from_array(array, column), column, max_pixels, None)


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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            if draft is not None and image.format == "JPEG":
                image.draft("RGB", (draft, draft))
            image.load()
            rgb = to_rgb(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, TypeError, EOFError, ZeroDivisionError, Image.DecompressionBombError) as error:
        raise SampleError(column, f"not a readable picture: {picture_reason(error)}") from error
    return rgb, ((height, width) if turned else (width, height))


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as RGB: 16 bits and floats are brought to 8, alpha lies on white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image, np.uint16) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        image = _stretch(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, rgba).convert("RGB")
    return image.convert("RGB")


def _stretch(image: Image.Image) -> Image.Image:
    """32-bit integers and floats as 8 bits: 0 .. 1, 0 .. 255 or 0 .. 65535, whichever holds the largest value."""
    values = np.nan_to_num(np.asarray(image, np.float64), posinf=0, neginf=0)
    top = float(values.max(initial=0))
    scale = 255.0 if image.mode == "F" and top <= 1 else 1.0 if top <= 255 else 255 / max(65_535.0, top)
    return Image.fromarray(np.clip(values * scale + 0.5, 0, 255).astype(np.uint8))


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
    low, high = (0, 1) if kind == "f" else (0, 255)
    if kind not in "fiu" or not (array.min() >= low and array.max() <= high):
        what = "floats of a picture lie in 0 .. 1" if kind == "f" else "integers of a picture lie in 0 .. 255"
        raise SampleError(column, f"{what}; these are {array.dtype} from {array.min()} to {array.max()}")
    return np.asarray(array * 255.0 + 0.5 if kind == "f" else array).astype(np.uint8)


def picture_reason(error: BaseException) -> str:
    """What PIL says is wrong, without the addresses of objects."""
    if isinstance(error, Image.DecompressionBombError):
        return "it has more pixels than `max_pixels`, or than PIL reads of its format"
    return str(error).replace("<_io.BytesIO object at ", "<").split(" <", 1)[0] or type(error).__name__


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
