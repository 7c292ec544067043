"""Waveform ⇄ log-mel frames: the frames of transformers, and a way back that keeps them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_modalities.audio import mel as mel_module
from ofa_modalities.audio.mel import (
    MelSettings,
    griffin_lim,
    hann,
    mel_filters,
    mel_to_magnitude,
    mel_to_waveform,
    waveform_to_mel,
)
from ofa_modalities.audio.reading import read_audio


def settings_of(rate: int = 8000, num_mels: int = 40, **changes: float) -> MelSettings:
    options = {"hop_ms": 12.5, "window_ms": 50.0, "min_hz": 80.0, "max_hz": 7600.0} | changes
    return MelSettings.of(sample_rate=rate, num_mels=num_mels, **options)


@pytest.mark.parametrize(
    ("rate", "num_mels", "window_ms"), [(8000, 20, 50), (16_000, 80, 50), (16_000, 80, 64), (22_050, 64, 40)]
)
def test_frames_are_those_of_transformers(speech, rate, num_mels, window_ms) -> None:
    from transformers.audio_utils import spectrogram, window_function

    kind = settings_of(rate, num_mels, window_ms=window_ms)
    waveform = read_audio(speech["agent-loginok"], sample_rate=rate)
    found = waveform_to_mel(waveform, kind)
    wanted = spectrogram(
        mel_module._padded(waveform, len(found), kind), window_function(kind.window, "hann"), kind.window, kind.hop, kind.fft,
        center=False, mel_filters=mel_filters(kind), mel_floor=1e-5, log_mel="log10", power=1.0,
    ).T  # fmt: skip
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    assert found.dtype == np.float32
    assert np.abs(found - wanted).mean() < 1e-5


@settings(max_examples=30)
@given(num_samples=st.integers(1, 2000), hop=st.integers(1, 200), overlap=st.integers(0, 300))
def test_so_many_samples_give_so_many_frames_and_back(num_samples: int, hop: int, overlap: int) -> None:
    kind = MelSettings(sample_rate_hz=8000, num_mels=8, hop=hop, window=max(64, hop + overlap), min_hz=80, max_hz=4000)
    mel = waveform_to_mel(np.random.default_rng(0).normal(size=num_samples).astype(np.float32) * 0.1, kind)
    assert mel.shape == (-(-num_samples // hop), 8)
    assert mel.min() >= -5
    assert mel_to_waveform(mel[:40], kind, 2).shape == (min(40, len(mel)) * hop,)


def test_a_frame_says_when_a_sound_was_made() -> None:
    kind = settings_of()
    waveform = np.zeros(8000, np.float32)
    waveform[4000:4100] = 0.5
    assert waveform_to_mel(waveform, kind).max(1).argmax() == 40


def test_pieces_of_a_long_sound_join_without_a_seam(waveform, monkeypatch) -> None:
    kind = settings_of()
    whole = waveform_to_mel(waveform, kind)
    monkeypatch.setattr(mel_module, "_CHUNK", 7)
    np.testing.assert_allclose(waveform_to_mel(waveform, kind), whole, atol=1e-4)


@pytest.mark.parametrize("name", ["hello-world", "activated", "auth-thankyou", "vm-goodbye", "agent-loginok"])
@pytest.mark.parametrize(("rate", "num_mels"), [(8000, 20), (8000, 40), (16_000, 80)])
def test_mel_to_waveform_to_mel_keeps_speech(speech, name, rate, num_mels) -> None:
    kind = settings_of(rate, num_mels)
    mel = waveform_to_mel(read_audio(speech[name], sample_rate=rate), kind)
    waveform = mel_to_waveform(mel, kind)
    assert waveform.dtype == np.float32
    assert np.abs(waveform).max() <= 1
    again = waveform_to_mel(waveform, kind)
    assert again.shape == mel.shape
    assert np.corrcoef(again.ravel(), mel.ravel())[0, 1] > 0.97
    assert np.abs(again - mel).mean() < 0.12
    np.testing.assert_array_equal(mel_to_waveform(mel, kind), waveform)


def test_a_tone_comes_back_with_its_frequency() -> None:
    kind = settings_of(16_000, 80)
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.float32)
    back = mel_to_waveform(waveform_to_mel(tone, kind), kind)
    spectrum = np.abs(np.fft.rfft(back[4000:12_000] * np.hanning(8000), 1 << 17))
    assert abs(np.argmax(spectrum) * 16_000 / (1 << 17) - 440) < 20
    assert abs(np.sqrt((back**2).mean()) / np.sqrt((tone**2).mean()) - 1) < 0.3


def test_more_rounds_come_nearer_to_the_magnitudes(speech) -> None:
    kind = settings_of()
    magnitude = mel_to_magnitude(waveform_to_mel(read_audio(speech["activated"], sample_rate=8000), kind), kind)

    def distance(steps: int) -> float:
        padded = mel_module._padded(griffin_lim(magnitude, kind, steps), len(magnitude), kind)
        return float(np.linalg.norm(np.abs(mel_module._transform(padded, kind)) - magnitude) / np.linalg.norm(magnitude))

    assert distance(32) < 0.75 * distance(2)


def test_magnitudes_have_the_bands_they_were_made_of(waveform) -> None:
    kind = settings_of()
    mel = waveform_to_mel(waveform, kind)
    magnitude = mel_to_magnitude(mel, kind)
    assert magnitude.min() >= 0
    bands = np.log10(np.maximum(magnitude @ mel_filters(kind), 1e-5))
    assert np.abs(bands - mel).mean() < 0.02


def test_bands_are_inverted_once_for_all_sounds(waveform, monkeypatch) -> None:
    inverted = []
    pinv = np.linalg.pinv
    monkeypatch.setattr(np.linalg, "pinv", lambda matrix: inverted.append(matrix.shape) or pinv(matrix))
    mel_module._inverse_filters.cache_clear()
    kind, other = settings_of(), settings_of(num_mels=20)
    for settings_ in (kind, other, kind, other):
        mel_to_magnitude(waveform_to_mel(waveform, settings_), settings_)
    assert inverted == [(257, 40), (257, 20)]


def test_silence_and_nothing() -> None:
    kind = settings_of()
    mel = waveform_to_mel(np.zeros(800, np.float32), kind)
    assert (mel == -5).all()
    assert np.abs(mel_to_waveform(mel, kind)).max() < 1e-3
    assert mel_to_waveform(np.zeros((0, 40), np.float32), kind).shape == (0,)


def test_windows_are_not_to_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        hann(settings_of())[0] = 1


@pytest.mark.parametrize(("num_mels", "window_ms", "rate"), [(80, 50, 16_000), (13, 25, 8_000), (256, 400, 96_000)])
def test_bands_in_groups_are_the_product_with_all_filters(num_mels, window_ms, rate) -> None:
    chosen = MelSettings.of(sample_rate=rate, num_mels=num_mels, hop_ms=10, window_ms=window_ms, min_hz=20, max_hz=rate / 2)
    filters = mel_filters(chosen)
    rng = np.random.default_rng(0)
    magnitude = rng.random((37, len(filters)), np.float32)
    np.testing.assert_allclose(mel_module._to_bands(magnitude, chosen), magnitude @ filters, rtol=1e-5)
    bands = rng.random((37, num_mels), np.float32)
    np.testing.assert_allclose(mel_module._from_bands(bands, chosen), bands @ filters.T, rtol=1e-5, atol=1e-7)


def test_no_product_is_large_enough_for_threads(monkeypatch) -> None:
    largest = 0

    class Watched(np.ndarray):
        def __matmul__(self, other):
            nonlocal largest
            largest = max(largest, self.size * other.shape[1])
            return np.asarray(self) @ np.asarray(other)

    left = np.ones((500, 513), np.float32).view(Watched)
    mel_module._product(left, np.ones((513, 80), np.float32))
    assert 0 < largest <= 1 << 18
