"""What a person gets: sound and pictures as files, and the neural vocoder."""

from __future__ import annotations

import doctest
import pickle
import shutil

import numpy as np
import pytest
from ofa_instruction import compile
from ofa_instruction.specs import BackendSpec
from ofa_modalities import fit_assets
from ofa_modalities.audio import output
from ofa_modalities.audio.mel import MelSettings, waveform_to_mel
from ofa_modalities.audio.output import Audio
from ofa_modalities.audio.reading import read_audio
from PIL import Image

KIND = MelSettings.of(sample_rate=8000, num_mels=20, hop_ms=12.5, window_ms=50, min_hz=80, max_hz=7600)


@pytest.fixture(scope="module")
def spoken(waveform) -> Audio:
    return Audio(KIND, mel=waveform_to_mel(waveform, KIND))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".WAV"])
def test_a_saved_sound_is_read_again(spoken, tmp_path, suffix) -> None:
    path = spoken.save(tmp_path / f"x{suffix}")
    found = read_audio(path, sample_rate=8000)
    if suffix in (".ogg", ".mp3"):
        assert abs(len(found) - len(spoken.waveform)) < 2400
    else:
        np.testing.assert_allclose(found, spoken.waveform, atol=1 / 32_000)


def test_a_picture_of_the_frames(spoken, tmp_path) -> None:
    with Image.open(spoken.save(tmp_path / "x.png")) as picture:
        assert picture.width == 113 * 4
        assert picture.height == 160
        pixels = np.asarray(picture.convert("L")).astype(float)
    loud = pixels[:, 80:300].mean()
    assert loud > pixels[:, :20].mean() + 20
    assert pixels[80:, 80:300].mean() > pixels[:80, 80:300].mean(), "low bands are below, and louder in a voice"


def test_other_suffixes_are_an_error_that_names_those_there_are(spoken, tmp_path) -> None:
    for name in ("x.avi", "x"):
        with pytest.raises(ValueError, match=r"\.wav \.flac \.ogg \.mp3 \.png"):
            spoken.save(tmp_path / name)


def test_plain_is_a_uri_that_is_read_again(spoken) -> None:
    plain = spoken.to_plain()
    assert plain.startswith("data:audio/wav;base64,")
    np.testing.assert_allclose(read_audio(plain, sample_rate=8000), spoken.waveform, atol=1 / 32_000)


def test_sound_out_of_samples_has_frames(waveform) -> None:
    audio = Audio(KIND, waveform=waveform)
    assert audio.mel.shape == (113, 20)
    assert audio.waveform is audio.waveform
    assert repr(audio) == "Audio(1.40 s, 8000 Hz, 20 mel bands)"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(audio)).waveform, waveform)
    with pytest.raises(ValueError, match="neither is given"):
        Audio(KIND)


def test_examples_in_docstrings_run() -> None:
    assert doctest.testmod(output).failed == 0


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory) -> str:
    """A small SpeechT5HifiGan that was never trained: 5 · 4 · 5 = 100 samples a frame."""
    import torch
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    torch.manual_seed(0)
    config = SpeechT5HifiGanConfig(
        model_in_dim=20, sampling_rate=8000, upsample_initial_channel=16, upsample_rates=[5, 4, 5],
        upsample_kernel_sizes=[9, 8, 9], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1, 3]],
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("vocoder")
    SpeechT5HifiGan(config).save_pretrained(folder)
    return str(folder)


def test_a_vocoder_makes_the_waveform(spoken, vocoder) -> None:
    import torch
    from transformers import SpeechT5HifiGan

    audio = Audio(KIND, mel=spoken.mel, vocoder=vocoder)
    assert audio.waveform.shape == (11_300,)
    assert audio.waveform.dtype == np.float32
    assert np.abs(audio.waveform).max() <= 1
    with torch.no_grad():
        wanted = SpeechT5HifiGan.from_pretrained(vocoder).eval()(torch.from_numpy(spoken.mel)).numpy()
    np.testing.assert_allclose(audio.waveform, wanted.clip(-1, 1), atol=1e-6)
    assert np.abs(audio.waveform - spoken.waveform).mean() > 1e-3


SPEAK = '[TEXT:text] -> [AUDIO:wav,sample_rate=8000,num_mels=20,vocoder="{}"]'


@pytest.fixture
def fitted(catalog, make_run):
    """A run whose vocoders are fitted, and its assets; they need no rows."""

    def make(instruction: str):
        plan = compile(instruction, catalog, BackendSpec(name="generalist"), name="speak")
        assets = fit_assets([plan], catalog, lambda task, column: ())
        return make_run({"speak": instruction}, assets=assets), assets

    return make


def answer(run) -> Audio:
    return run.encoder.decode(run.encoder.line("speak", run.tasks[0].instructions[0].target[0]), np.ones((3, 80), np.float32))


def test_a_run_keeps_its_vocoder_though_the_folder_goes(fitted, make_run, vocoder, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(vocoder, "hifi")
    run, assets = fitted(SPEAK.format("hifi"))
    assert list(assets) == ["vocoder:hifi"]
    shutil.rmtree("hifi")
    wanted = Audio(KIND, mel=answer(run).mel, vocoder=vocoder).waveform
    assert wanted.shape == (1200,)
    np.testing.assert_array_equal(answer(run).waveform, wanted)
    again = make_run({"speak": SPEAK.format("hifi")}, assets=pickle.loads(pickle.dumps(assets)))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(answer(again))).waveform, wanted)


def test_a_vocoder_that_is_missing_is_told_when_the_run_is_fitted(fitted, make_run) -> None:
    with pytest.raises(ValueError, match="column `wav`: `nodir` is no folder of a vocoder"):
        fitted(SPEAK.format("nodir"))
    with pytest.raises(ValueError, match="needs `vocoder:nodir`"):
        make_run({"speak": SPEAK.format("nodir")})


def test_a_vocoder_must_read_the_slots_frames(fitted, make_run, vocoder) -> None:
    _, assets = fitted(SPEAK.format(vocoder))
    for changed in ("sample_rate=16000", "num_mels=40", "sample_rate=8000,hop_ms=16"):
        instruction = f'[TEXT:text] -> [AUDIO:wav,{changed},vocoder="{vocoder}"]'
        for make in (fitted, lambda instruction: make_run({"t": instruction}, assets=assets)):
            with pytest.raises(ValueError, match=r"sample_rate=8000, num_mels=20, hop_ms=12\.5; the slot has"):
                make(instruction)


def test_a_folder_without_a_vocoder(spoken, tmp_path) -> None:
    with pytest.raises(ValueError, match="no folder of a vocoder"):
        _ = Audio(KIND, mel=spoken.mel, vocoder=str(tmp_path / "none")).waveform
    (tmp_path / "config.json").write_text('{"sampling_rate": 8000, "model_in_dim": 20, "upsample_rates": [5, 20]}')
    with pytest.raises(ValueError, match="holds no SpeechT5HifiGan"):
        _ = Audio(KIND, mel=spoken.mel, vocoder=str(tmp_path)).waveform
