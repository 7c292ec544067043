"""The adaptor of clips cut into patches of space and time."""

from __future__ import annotations

from ofa_models.adaptors.patches import PatchAdaptor


class VideoPatchAdaptor(PatchAdaptor):
    """Items are ``(frames, rows, columns)`` of patches; a place is (time, y, x)."""

    axes = 3
