"""Sound ⇄ units: scales, whole units, masks, and what the options promise."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofa_instruction import InstructionError
from ofa_modalities import SampleError, unpack
from ofa_modalities.audio import encoding
from ofa_modalities.audio.output import Audio
from ofa_modalities.audio.spec import AudioOptions

SMALL = "sample_rate=8000,num_mels=20"
HEAR = f"[AUDIO:wav,{SMALL}] what is the text corresponding to the voice? -> [TEXT:text]"
SPEAK = f'what is the voice of " [TEXT:text] "? -> [AUDIO:wav,{SMALL}]'
MASKED = f"[AUDIO:wav,{SMALL},mask_ratio=0.5,mask_span=4] -> [AUDIO:wav,{SMALL},frames_per_step=1]"


def source(run, task, row, **options):
    return next(segment for segment in run.encode(task, row, **options).source if segment.units.ndim == 2)


def test_source_units_are_normalised_frames(make_run, speech) -> None:
    run = make_run({"hear": HEAR})
    units = source(run, "hear", {"wav": speech["hello-world"], "text": "hello world"}).units
    assert units.shape == (113, 20)
    assert units.dtype == np.float32
    np.testing.assert_allclose(units.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(units.std(0), 1, atol=1e-3)


def test_a_louder_recording_gives_the_same_source_units(make_run, waveform) -> None:
    run = make_run({"hear": HEAR})
    soft, loud = (source(run, "hear", {"wav": (waveform * gain, 8000), "text": "x"}).units for gain in (0.5, 1.0))
    assert np.corrcoef(soft.ravel(), loud.ravel())[0, 1] > 0.97


def test_target_units_are_whole_and_decode_to_the_frames(make_run, speech) -> None:
    run = make_run({"speak": SPEAK})
    example = run.encode("speak", {"wav": speech["hello-world"], "text": "hello world"})
    (segment,) = example.target
    assert segment.frames.shape == (29, 80)
    assert segment.stop.tolist() == [0.0] * 28 + [1.0]
    assert np.abs(segment.frames.mean()) < 1
    line = run.encoder.line("speak", run.tasks[0].instructions[0].target[0])
    audio = run.encoder.decode(line, segment.frames, example)
    assert isinstance(audio, Audio)
    assert audio.mel.shape == (116, 20)
    assert audio.waveform.shape == (11_600,)
    assert audio.sample_rate_hz == 8000
    assert audio.duration_s == 1.45
    again = run.encode("speak", {"wav": audio, "text": "hello world"}).target[0].frames
    assert np.corrcoef(again.ravel(), segment.frames.ravel())[0, 1] > 0.97


def test_frames_per_step_by_its_old_name(make_run, speech) -> None:
    run = make_run({"hear": HEAR.replace("]", ",n_frames_per_step=3]", 1)})
    assert source(run, "hear", {"wav": speech["hello-world"], "text": "x"}).units.shape == (38, 60)


def test_units_that_no_model_should_answer_are_sound_all_the_same(make_run) -> None:
    run = make_run({"speak": SPEAK})
    line = run.encoder.line("speak", run.tasks[0].instructions[0].target[0])
    units = np.zeros((3, 80), np.float32)
    units[0], units[1, 0], units[2, 0] = np.nan, np.inf, -1e30
    audio = run.encoder.decode(line, units)
    assert audio.mel.min() >= -5
    assert audio.mel.max() <= 3
    assert np.isfinite(audio.waveform).all()


def test_masks_hold_in_every_split_where_the_column_is_a_target(make_run, speech) -> None:
    run = make_run({"masked": MASKED, "hear": HEAR.replace("]", ",mask_ratio=0.5]", 1)})
    row = {"wav": speech["hello-world"], "text": "x"}
    for split in ("train", "valid", "infer"):
        hidden = (source(run, "masked", row, split=split).units == 0).all(1)
        assert hidden.sum() == 57
        example = run.encode("masked", row, split=split)
        assert not (example.target[0].frames == 0).all(1).any()
    assert (source(run, "hear", row).units == 0).all(1).sum() == 57
    assert not (source(run, "hear", row, split="valid").units == 0).all(1).any()


@settings(max_examples=50)
@given(count=st.integers(1, 200), ratio=st.floats(0.01, 1), span=st.integers(1, 50), seed=st.integers(0, 9))
def test_masks_hide_exactly_their_share(count: int, ratio: float, span: int, seed: int) -> None:
    units = np.ones((count, 3), np.float32)
    masked = encoding.mask_spans(units, ratio, span, np.random.default_rng(seed))
    hidden = (masked == 0).all(1)
    assert hidden.sum() == min(count, int(np.ceil(ratio * count - 1e-9)))
    assert (masked[~hidden] == 1).all()
    assert (units == 1).all()


@pytest.mark.parametrize("policy", ["mild", "strong"])
def test_spec_augment_hides_bands_and_times_in_training_alone(make_run, speech, policy) -> None:
    run = make_run({"hear": HEAR.replace("]", f",spec_augment={policy}]", 1)})
    row = {"wav": speech["agent-loginok"], "text": "x"}
    plain = source(run, "hear", row, split="valid").units
    shares = []
    for seed in range(20):
        units = source(run, "hear", row, rng=np.random.default_rng(seed)).units
        changed = units != plain
        assert (units[changed] == 0).all()
        bands, times = changed.all(0), changed.all(1)
        assert (changed <= (bands[None] | times[:, None])).all()
        assert bands.sum() <= {"mild": 2, "strong": 12}[policy]
        shares.append(changed.mean())
    assert 0 < np.mean(shares) < {"mild": 0.12, "strong": 0.4}[policy]


def test_the_same_seed_gives_the_same_units_in_another_process(make_run, speech) -> None:
    run = make_run({"masked": MASKED.replace("mask_span=4", "mask_span=4,spec_augment=mild")})
    row = {"wav": speech["hello-world"]}
    copy = pickle.loads(pickle.dumps(run.encoder))
    one, two = (
        encoder.encode("masked", row, split="train", rng=np.random.default_rng(5)).source[0].units
        for encoder in (run.encoder, copy)
    )
    np.testing.assert_array_equal(one, two)


def test_unpacking_shows_what_a_model_hears(make_run, speech) -> None:
    run = make_run({"hear": HEAR})
    batch = run.encoder.pack([run.encode("hear", {"wav": speech["hello-world"], "text": "hello world"})])
    shown = unpack(batch, run.encoder)[0].source[0].value
    assert isinstance(shown, Audio)
    assert shown.mel.shape == (113, 20)


def test_a_bad_row_names_its_column_and_address(make_run) -> None:
    run = make_run({"hear": HEAR})
    with pytest.raises(SampleError, match=r"my\.csv:row 3:wav: the audio has zero bytes"):
        run.encode("hear", {"wav": b"", "text": "x"}, address="my.csv:row 3")


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ("hop_ms=50,window_ms=20", "shorter than hop_ms"),
        ("min_hz=5000,sample_rate=8000", "leaves no room below 4000 Hz"),
        ("sample_rate=fast", "sample_rate"),
        ("num_mels=0", "num_mels"),
        ("spec_augment=wild", "spec_augment"),
    ],
)
def test_options_that_cannot_be(make_run, attributes, said) -> None:
    with pytest.raises(InstructionError, match=said):
        make_run({"hear": f"[AUDIO:wav,{attributes}] -> [TEXT:text]"})


@pytest.mark.parametrize(
    ("instruction", "said"),
    [
        ("[AUDIO:wav,num_mels=200,window_ms=25,sample_rate=8000] -> [TEXT:text]", "too narrow for window_ms=25 at 8000 Hz"),
        ("[TEXT:text] -> [AUDIO:wav,mask_ratio=0.5]", "for source slots"),
        ("[TEXT:text] -> [AUDIO:wav,spec_augment=mild]", "for source slots"),
    ],
)
def test_options_that_do_not_fit_the_slot(make_run, instruction, said) -> None:
    with pytest.raises(ValueError, match=said):
        make_run({"t": instruction})


def test_options_round_trip() -> None:
    options = AudioOptions(frames_per_step=2, max_duration_s=5)
    assert AudioOptions.model_validate(options.model_dump(mode="json")) == options
