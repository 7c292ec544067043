"""The adaptor of pictures cut into patches."""

from __future__ import annotations

from ofa_models.adaptors.patches import PatchAdaptor


class ImagePatchAdaptor(PatchAdaptor):
    """Items are ``(rows, columns)`` of patches; a place is (y, x)."""

    axes = 2
