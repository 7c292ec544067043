"""AUDIO, said without importing what does the work."""

from __future__ import annotations

from typing import Literal

from ofa_instruction.specs import ModalitySpec, Options, ProcessorSpec
from pydantic import Field, model_validator

FRAMES_PER_STEP = {"source": 1, "target": 4}
"""Mel frames of a unit where nobody says: an answer is made in longer steps, of which a model needs fewer."""


class AudioOptions(Options):
    """How sound becomes log-mel frames, and comes back."""

    sample_rate: int = Field(default=16_000, ge=4_000, le=96_000)
    """Samples a second that all sound is brought to."""
    num_mels: int = Field(default=80, ge=4, le=256)
    """Mel bands of a frame."""
    hop_ms: float = Field(default=12.5, gt=0, le=100)
    """From the start of a frame to the start of the next."""
    window_ms: float = Field(default=50.0, gt=0, le=400)
    """Length of the Hann window of a frame."""
    min_hz: float = Field(default=80.0, ge=0)
    """Lower edge of the lowest band."""
    max_hz: float = Field(default=7_600.0, gt=0)
    """Upper edge of the highest band, and at most half the sample rate."""
    frames_per_step: int | None = Field(default=None, ge=1, le=64, validation_alias="n_frames_per_step")
    """Frames that are stacked into one unit; sound is padded with silence to whole units. None: 1 where it is read, 4 where it
    is an answer."""
    normalize: bool = True
    """Where it is read, give every band mean 0 and variance 1 within the utterance. Otherwise, and in answers, one scale holds
    for all."""
    spec_augment: Literal["none", "mild", "strong"] = "none"
    """In training, where it is read, replace random bands and stretches of time by the mean; strong is the LD policy of
    SpecAugment (Park et al. 2019, arXiv 1904.08779), mild a third of it."""
    mask_ratio: float = Field(default=0.0, ge=0, le=1)
    """Replace this share of the units, in spans, by the mean: in training, and in every split where the column is also a
    target."""
    mask_span: int = Field(default=10, ge=1, le=1000)
    """Units of one masked span."""
    min_duration_s: float = Field(default=0.0, ge=0)
    """Shorter sound is an error."""
    max_duration_s: float = Field(default=30.0, gt=0, le=36_000, validation_alias="max_seconds")
    """Longer sound is an error, told by the file's header before anything is decoded."""
    griffin_lim_steps: int = Field(default=32, ge=0, le=1000)
    """Rounds of Griffin-Lim that find the phases of an answer."""
    vocoder: str | None = Field(default=None, min_length=1)
    """Folder of a neural vocoder (SpeechT5HifiGan of transformers) that makes the waveform of an answer, not Griffin-Lim. Its
    weights become part of the checkpoint."""

    @model_validator(mode="after")
    def _a_window_covers_its_hop(self) -> AudioOptions:
        if self.window_ms < self.hop_ms:
            raise ValueError(f"window_ms={self.window_ms:g} is shorter than hop_ms={self.hop_ms:g}: samples would be skipped")
        if self.min_hz >= min(self.max_hz, self.sample_rate / 2):
            raise ValueError(f"min_hz={self.min_hz:g} leaves no room below {min(self.max_hz, self.sample_rate / 2):g} Hz")
        return self


AUDIO = ModalitySpec(
    name="AUDIO",
    summary="Sound, as log-mel frames.",
    processor="audio",
    adaptor="audio_conv",
    target_adaptor="audio_frames",
    criteria=("frames",),
    generator="frames",
)

AUDIO_PROCESSOR = ProcessorSpec(
    name="audio",
    summary="Any file soundfile or av opens, mixed to one channel and resampled, as log-mel frames; a waveform as the answer.",
    modalities=("AUDIO",),
    options=AudioOptions,
    implementation="ofa_modalities.audio.processor:AudioProcessor",
)
