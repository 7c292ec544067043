"""Pictures as bytes."""

from __future__ import annotations

import io

from PIL import Image

WEBP_QUALITY = 80


def encode_webp(image: Image.Image) -> bytes:
    """WebP bytes; alpha is lossless."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=WEBP_QUALITY, method=6)
    return file.getvalue()
