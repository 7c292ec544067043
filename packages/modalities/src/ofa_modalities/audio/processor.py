"""AUDIO: sound ⇄ units of stacked log-mel frames."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan

from ofa_modalities.audio import encoding
from ofa_modalities.audio.mel import Float32, MelSettings, mel_filters, waveform_to_mel
from ofa_modalities.audio.output import Audio
from ofa_modalities.audio.reading import read_audio
from ofa_modalities.audio.spec import FRAMES_PER_STEP, AudioOptions
from ofa_modalities.processor import BaseProcessor, DecodeContext, EncodeContext, FitContext, Item, Resources

if TYPE_CHECKING:
    from ofa_modalities.audio.vocoder import Vocoder


class AudioProcessor(BaseProcessor):
    """Encodes sound as float32 ``[U, frames_per_step · num_mels]``, shape ``(U,)``; answers an :class:`Audio`."""

    def __init__(self, slot: SlotPlan, options: AudioOptions, resources: Resources) -> None:
        """Raises ValueError for masks of an answer, bands narrower than the window resolves, and a vocoder of other frames."""
        super().__init__(slot, options, resources)
        self.options = options
        self.is_target = slot.side == "target"
        if self.is_target and (options.mask_ratio or options.spec_augment != "none"):
            raise ValueError(f"column `{slot.column}`: `mask_ratio` and `spec_augment` are for source slots")
        self.settings = _settings(options)
        self.frames_per_step = options.frames_per_step or FRAMES_PER_STEP[slot.side]
        self.unit_features = self.stream_features(slot, options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            filters = mel_filters(self.settings)
        if not filters.any(0).all():
            raise ValueError(
                f"column `{slot.column}`: num_mels={options.num_mels} bands are too narrow for window_ms={options.window_ms:g} at"
                f" {options.sample_rate} Hz: take fewer bands or a longer window"
            )
        self._vocoder = self._load_vocoder()

    @classmethod
    def stream_features(cls, slot: SlotPlan, options: AudioOptions) -> int:
        """The bands of the frames that are stacked into a unit."""
        return (options.frames_per_step or FRAMES_PER_STEP[slot.side]) * options.num_mels

    @classmethod
    def asset(cls, slot: SlotPlan, options: AudioOptions) -> str | None:
        """The vocoder of an answer, where the options name one."""
        return None if options.vocoder is None or slot.side != "target" else f"vocoder:{options.vocoder}"

    @classmethod
    def fit(
        cls, slot: SlotPlan, options: AudioOptions, values: Iterable[tuple[object, Path | None]], context: FitContext
    ) -> Mapping[str, NDArray[Any]]:
        """The arrays of the vocoder; the values are not looked at. Raises ValueError for a folder that holds none."""
        from ofa_modalities.audio.vocoder import Vocoder, vocoder_arrays

        assert options.vocoder is not None
        try:
            arrays = vocoder_arrays(options.vocoder)
            Vocoder(arrays, name=options.vocoder).check(_settings(options))
        except ValueError as error:
            raise ValueError(f"column `{slot.column}`: {error}") from error
        return arrays

    def _load_vocoder(self) -> Vocoder | None:
        if self.options.vocoder is None or not self.is_target:
            return None
        from ofa_modalities.audio.vocoder import Vocoder

        if self.resources.asset is None:
            raise ValueError(f"column `{self.slot.column}`: the vocoder `{self.options.vocoder}` has not been taken into the run")
        vocoder = Vocoder(self.resources.asset, name=self.options.vocoder)
        vocoder.check(self.settings)
        return vocoder

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Read, mix, resample and measure one sound; see :func:`read_audio` for what it may be. Raises SampleError."""
        options = self.options
        waveform = self._waveform(value, context)
        step = self.settings.hop * self.frames_per_step
        mel = waveform_to_mel(np.pad(waveform, (0, -len(waveform) % step)), self.settings)
        if self.is_target or not options.normalize:
            values = encoding.to_fixed_scale(mel)
        else:
            values = encoding.normalize_utterance(mel)
        train = context.split == "train"
        if options.spec_augment != "none" and train:
            values = encoding.augment_spectrum(values, options.spec_augment, context.rng)
        units = encoding.stack_frames(values, self.frames_per_step)
        if options.mask_ratio and (train or self.resources.also_target):
            units = encoding.mask_spans(units, options.mask_ratio, options.mask_span, context.rng)
        return Item(units=units, shape=(len(units),))

    def reference(self, value: object, context: EncodeContext) -> Audio:
        """The sound at the rate, and in the mel bands, of an answer."""
        return Audio(self.settings, waveform=self._waveform(value, context))

    def _waveform(self, value: object, context: EncodeContext) -> Float32:
        options = self.options
        return read_audio(
            value,
            self.slot.column,
            sample_rate=options.sample_rate,
            max_duration_s=options.max_duration_s,
            min_duration_s=options.min_duration_s,
            root=context.root,
            hosts=context.hosts,
        )

    def decode(self, units: NDArray[Any], context: DecodeContext) -> Audio:
        """The sound of generated units ``[U, F]``; its waveform is made when it is asked for."""
        mel = encoding.from_fixed_scale(encoding.unstack_frames(units, self.options.num_mels))
        return Audio(self.settings, mel=mel, griffin_lim_steps=self.options.griffin_lim_steps, vocoder=self._vocoder)

    def show(self, units: NDArray[Any], shape: tuple[int, ...]) -> Audio:
        """What units sound like; of normalised ones the loudness and the colour of the recording are gone."""
        return self.decode(units, DecodeContext())


def _settings(options: AudioOptions) -> MelSettings:
    return MelSettings.of(
        sample_rate=options.sample_rate,
        num_mels=options.num_mels,
        hop_ms=options.hop_ms,
        window_ms=options.window_ms,
        min_hz=options.min_hz,
        max_hz=options.max_hz,
    )
