"""Audio: what a person gets of a slot of AUDIO."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ofa_modalities.audio.mel import CEILING, FLOOR, Float32, MelSettings, mel_to_waveform, waveform_to_mel

if TYPE_CHECKING:
    from ofa_modalities.audio.vocoder import Vocoder

_SOUNDS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"), ".mp3": ("MP3", "MPEG_LAYER_III")}
_PICTURES = (".png",)
_BLOCK = 1 << 16
_COLOURS = ((0, 0, 4), (59, 15, 112), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191))


class Audio:
    """Sound, known by its log-mel frames or by its samples; the other is made when it is first asked for.

    >>> settings = MelSettings.of(sample_rate=8000, num_mels=20, hop_ms=12.5, window_ms=50, min_hz=80, max_hz=7600)
    >>> audio = Audio(settings, mel=np.full((8, 20), -3, np.float32))
    >>> audio.waveform.shape, audio.mel.shape, audio.duration_s
    ((800,), (8, 20), 0.1)
    """

    __slots__ = ("_mel", "_waveform", "griffin_lim_steps", "settings", "vocoder")

    def __init__(
        self,
        settings: MelSettings,
        *,
        mel: Float32 | None = None,
        waveform: Float32 | None = None,
        griffin_lim_steps: int = 32,
        vocoder: Vocoder | str | None = None,
    ) -> None:
        """mel: ``[T, M]`` log10 magnitudes. waveform: ``[n]`` in -1 .. 1. One of them at least; Griffin-Lim or a vocoder,
        which may be given by its folder, makes the second out of the first. Raises ValueError without either."""
        if mel is None and waveform is None:
            raise ValueError("audio is made of log-mel frames or of samples, and neither is given")
        self.settings = settings
        self.griffin_lim_steps = griffin_lim_steps
        self.vocoder = vocoder
        self._mel = None if mel is None else np.asarray(mel, np.float32)
        self._waveform = None if waveform is None else np.asarray(waveform, np.float32)

    @property
    def sample_rate_hz(self) -> int:
        """Samples of :attr:`waveform` a second."""
        return self.settings.sample_rate_hz

    @property
    def waveform(self) -> Float32:
        """float32 ``[n]`` in -1 .. 1; of frames, by the vocoder or Griffin-Lim, ``n = T · hop``."""
        if self._waveform is None:
            assert self._mel is not None
            if self.vocoder is None:
                self._waveform = mel_to_waveform(self._mel, self.settings, self.griffin_lim_steps)
            else:
                from ofa_modalities.audio.vocoder import load_vocoder

                vocoder = load_vocoder(self.vocoder) if isinstance(self.vocoder, str) else self.vocoder
                self._waveform = vocoder.vocode(self._mel, self.settings)
        return self._waveform

    @property
    def mel(self) -> Float32:
        """float32 ``[T, M]``: log10 of mel magnitudes, -5 .. 3."""
        if self._mel is None:
            assert self._waveform is not None
            self._mel = waveform_to_mel(self._waveform, self.settings)
        return self._mel

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        count = len(self._waveform) if self._waveform is not None else len(self.mel) * self.settings.hop
        return count / self.sample_rate_hz

    def __repr__(self) -> str:
        return f"Audio({self.duration_s:.2f} s, {self.sample_rate_hz} Hz, {self.settings.num_mels} mel bands)"

    def sheet(self, height: int = 160) -> Image.Image:
        """The log-mel frames as a picture: time to the right, high bands above, bright is loud."""
        mel = self.mel
        low, high = float(mel.min(initial=CEILING)), float(mel.max(initial=FLOOR))
        level = np.clip((mel - low) / max(high - low, 1e-6), 0, 1).T[::-1]
        stops = np.linspace(0, 1, len(_COLOURS))
        channels = [np.interp(level, stops, [colour[part] for colour in _COLOURS]) for part in range(3)]
        drawn = Image.fromarray(np.stack(channels, 2).astype(np.uint8))
        scale = max(1, height // level.shape[0])
        return drawn.resize((drawn.width * max(1, scale // 2), drawn.height * scale), Image.Resampling.NEAREST)

    def save(self, path: str | Path) -> Path:
        """Write the sound (.wav .flac .ogg .mp3, 16 bits) or the picture of its frames (.png). Raises ValueError otherwise."""
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix in _PICTURES:
            self.sheet().save(path)
        elif suffix in _SOUNDS:
            path.write_bytes(self._encoded(suffix))
        else:
            known = " ".join((*_SOUNDS, *_PICTURES))
            raise ValueError(f"cannot save audio as `{suffix or path.name}`: {known} are known")
        return path

    def to_plain(self) -> str:
        """A ``data:`` URI of the sound as wav, which can be read again."""
        return "data:audio/wav;base64," + base64.b64encode(self._encoded(".wav")).decode("ascii")

    def _encoded(self, suffix: str) -> bytes:
        try:
            import soundfile
        except (ImportError, OSError) as error:
            raise ImportError(f"writing audio needs `soundfile`: pip install 'ofa-modalities[audio]' ({error})") from error
        form, subtype = _SOUNDS[suffix]
        content = io.BytesIO()
        samples: NDArray[Any] = np.clip(self.waveform, -1, 1)
        with soundfile.SoundFile(content, "w", self.sample_rate_hz, 1, format=form, subtype=subtype) as file:
            for start in range(0, len(samples), _BLOCK):  # Vorbis puts all that it is given at once on the stack
                file.write(samples[start : start + _BLOCK])
        return content.getvalue()
