"""The built-in modalities and processors: what the entry points of this package hand out. Pydantic only."""

from __future__ import annotations

from ofa_modalities.audio.spec import AUDIO, AUDIO_PROCESSOR, AudioOptions
from ofa_modalities.box.spec import BOX, BOX_PROCESSOR, BoxOptions
from ofa_modalities.category.spec import CATEGORY, CATEGORY_PROCESSOR, CategoryOptions
from ofa_modalities.image.spec import IMAGE, IMAGE_CODE_PROCESSOR, IMAGE_PROCESSOR, ImageCodeOptions, ImageOptions
from ofa_modalities.motion.spec import MOTION, MOTION_PROCESSOR, MotionOptions
from ofa_modalities.phone.spec import PHONE, PHONE_PROCESSOR, PhoneOptions
from ofa_modalities.struct.spec import DATABASE_PROCESSOR, STRUCT, TABLE_PROCESSOR, DatabaseOptions, TableOptions
from ofa_modalities.text.spec import TEXT, TEXT_PROCESSOR, TextOptions
from ofa_modalities.video.spec import VIDEO, VIDEO_CODE_PROCESSOR, VIDEO_PROCESSOR, VideoCodeOptions, VideoOptions

__all__ = [
    "AUDIO",
    "AUDIO_PROCESSOR",
    "BOX",
    "BOX_PROCESSOR",
    "CATEGORY",
    "CATEGORY_PROCESSOR",
    "DATABASE_PROCESSOR",
    "IMAGE",
    "IMAGE_CODE_PROCESSOR",
    "IMAGE_PROCESSOR",
    "MOTION",
    "MOTION_PROCESSOR",
    "PHONE",
    "PHONE_PROCESSOR",
    "STRUCT",
    "TABLE_PROCESSOR",
    "TEXT",
    "TEXT_PROCESSOR",
    "VIDEO",
    "VIDEO_CODE_PROCESSOR",
    "VIDEO_PROCESSOR",
    "AudioOptions",
    "BoxOptions",
    "CategoryOptions",
    "DatabaseOptions",
    "ImageCodeOptions",
    "ImageOptions",
    "MotionOptions",
    "PhoneOptions",
    "TableOptions",
    "TextOptions",
    "VideoCodeOptions",
    "VideoOptions",
]
