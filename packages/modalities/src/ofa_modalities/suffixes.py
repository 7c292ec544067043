"""Suffixes of media files, lower case, by what a folder of them holds. What one file is, its first bytes tell and not these."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PICTURES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".avif", ".heic"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".tga", ".ico"),
)
ANIMATED = (".gif", ".webp", ".apng")
SOUNDS = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
    *(".wma", ".amr", ".w64", ".rf64"),
)
FILMS = (*(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".3gp", ".ts", ".mts"),)
MOTIONS = (".bvh", ".npz")

SUFFIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"IMAGE": PICTURES, "AUDIO": SOUNDS, "VIDEO": FILMS, "MOTION": MOTIONS}
)
"""By modality, each suffix once: what a file is taken for where nothing else says it."""

MEDIA = frozenset(SUFFIXES)
"""Modalities whose raw values are files of media."""

ALSO_READ: Mapping[str, tuple[str, ...]] = MappingProxyType({"AUDIO": FILMS, "VIDEO": ANIMATED})
"""What a modality reads beside them: the sound of a film, a picture that moves."""
