"""What a value looks like on the page: a file beside it that a browser plays, a table, or words."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from ofa_trainer.demo.results import Shown

_STEM = re.compile(r"[^a-z0-9-]+")
MEDIA = "media"
"""Folder beside the page."""
_CLIP_FRAMES = 16
_CLIP_PX = 128
_SPEECH_HZ = 16_000


class Showing:
    """Writes values below ``folder / media`` and says how the page shows them; a value of one place is written once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def value(self, modality: str, value: object, name: str) -> Shown:
        """A raw value or an answer of a modality. ``name`` tells the place, such as ``speak-3-truth``."""
        if value is None:
            return Shown(kind="words", words="")
        match modality:
            case "AUDIO":
                return Shown(kind="sound", file=self._save(_audio(value), name, ".wav"))
            case "MOTION":
                return Shown(kind="picture", file=self._save(_motion(value), name, ".gif"))
            case "VIDEO":
                return Shown(kind="picture", file=self._save(_video(value), name, ".webp"))
            case "IMAGE":
                return Shown(kind="picture", file=self._save(_image(value), name, ".png"))
            case "STRUCT":
                return _struct(value)
            case _:
                return Shown(kind="words", words=str(value))

    def _save(self, value: Any, name: str, suffix: str) -> str:
        path = f"{MEDIA}/{_STEM.sub('-', name.lower())}{suffix}"
        (self.folder / MEDIA).mkdir(parents=True, exist_ok=True)
        value.save(self.folder / path)
        return path


def _audio(value: object) -> Any:
    from ofa_modalities.audio.mel import MelSettings
    from ofa_modalities.audio.output import Audio
    from ofa_modalities.audio.reading import read_audio

    if isinstance(value, Audio):
        return value
    settings = MelSettings.of(sample_rate=_SPEECH_HZ, num_mels=80, hop_ms=12.5, window_ms=50, min_hz=80, max_hz=7600)
    return Audio(settings, waveform=read_audio(value, sample_rate=_SPEECH_HZ))


def _motion(value: object) -> Any:
    from ofa_modalities.motion.reading import read_motion

    return read_motion(value)


def _video(value: object) -> Any:
    from ofa_modalities.video.output import Video
    from ofa_modalities.video.reading import read_video
    from ofa_modalities.video.sampling import uniform_times

    if isinstance(value, Video):
        return value

    def shrink(width: int, height: int) -> tuple[int, int]:
        scale = min(1.0, _CLIP_PX / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    clip = read_video(value, times=lambda duration: uniform_times(duration, _CLIP_FRAMES), shrink=shrink)
    return Video(frames=clip.frames, fps=len(clip.frames) / clip.duration_s if clip.duration_s else 8.0)


def _image(value: object) -> Any:
    from ofa_modalities.image.reading import read_image

    return read_image(value)[0]


def _struct(value: object) -> Shown:
    from ofa_modalities.struct.output import Sql, Table
    from ofa_modalities.struct.reading import TableReader

    if isinstance(value, str | Sql):
        return Shown(kind="words", words=str(value))
    table = (value if isinstance(value, Table) else TableReader(column="table").read(value)).as_text()
    return Shown(kind="table", header=table.columns, rows=tuple(tuple(map(str, row)) for row in table.rows))


def as_html(shown: Shown, alt: str) -> str:
    """The value as HTML."""
    match shown.kind:
        case "picture":
            return f"<img src='{escape(shown.file or '')}' alt='{escape(alt)}' loading=lazy>"
        case "sound":
            return f"<audio controls preload=none src='{escape(shown.file or '')}'></audio>"
        case "table":
            head = "".join(f"<th>{escape(cell)}</th>" for cell in shown.header)
            body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in shown.rows)
            return f"<div class=scroll><table class=shown><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        case "words":
            return escape(shown.words) or "–"
