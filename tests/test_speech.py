"""Speech, from file to model and back: utterances learnt by heart, as text and as sound that stops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ofa_modalities.audio.mel import waveform_to_mel
from ofa_modalities.audio.output import Audio
from ofa_modalities.audio.reading import read_audio
from ofa_models import Session
from ofa_trainer import Task, Trainer
from ofa_trainer.reporting import Event, RowSkipped, StepDone

FIXTURES = Path(__file__).parents[1] / "packages/modalities/tests/fixtures/audio"
SAID = {"hello-world": "hello world", "activated": "activated", "vm-goodbye": "goodbye"}
PHONES = {"hello world": "HH AH0 L OW1 | W ER1 L D", "activated": "AE1 K T AH0 V EY2 T IH0 D", "goodbye": "G UH2 D B AY1"}
SMALL = "sample_rate=8000,num_mels=20"
HEAR = f"[AUDIO:wav,{SMALL}] what is the text corresponding to the voice? -> [TEXT:text]"
SPEAK = f'what is the voice of " [PHONE:text] "? -> [AUDIO:wav,{SMALL},max_frames=40]'
SPELL = 'how is " [TEXT:text] " said? -> [PHONE:phones]'


class Recorder:
    """Keeps what a run reports."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def report(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A nano model that knows three utterances by heart."""
    rows = [{"wav": str(FIXTURES / f"{name}.wav"), "text": text, "phones": text} for name, text in SAID.items()]
    tasks = [
        Task(name, instruction, train=rows * 6, valid=False, weight=1.0)
        for name, instruction in (("hear", HEAR), ("speak", SPEAK), ("spell", SPELL))
    ]
    trainer = Trainer(steps=130, batch_tokens=450, tokenizer_size=300, valid_metrics=False, precision="float32", reporters=[])
    return trainer.fit("nano", tasks).save(tmp_path_factory.mktemp("speech") / "checkpoint")


@pytest.fixture(scope="module")
def session(checkpoint: Path) -> Session:
    return Session.from_pretrained(checkpoint)


def test_voices_become_texts(session: Session) -> None:
    for name, text in SAID.items():
        assert session(HEAR, wav=FIXTURES / f"{name}.wav").text == text


def test_a_voice_is_heard_as_file_bytes_and_samples_alike(session: Session) -> None:
    path = FIXTURES / "vm-goodbye.wav"
    samples = read_audio(path, sample_rate=8000)
    for value in (str(path), path.read_bytes(), (samples, 8000), {"array": samples, "sampling_rate": 8000}):
        assert session(HEAR, wav=value).text == "goodbye"


def test_texts_become_voices_that_end_where_they_should(session: Session) -> None:
    for name, text in SAID.items():
        output = session(SPEAK, text=text)
        assert output.slots[0].finished
        assert isinstance(output.audio, Audio)
        samples = read_audio(FIXTURES / f"{name}.wav", sample_rate=8000)
        wanted = waveform_to_mel(np.pad(samples, (0, -len(samples) % 400)), output.audio.settings)
        assert abs(len(output.mel) - len(wanted)) <= 4, "at most a unit off"
        assert output.waveform.shape == (100 * len(output.mel),)
        heard = waveform_to_mel(output.waveform, output.audio.settings)
        for found in (output.mel, heard):
            length = min(len(found), len(wanted))
            assert np.corrcoef(found[:length].ravel(), wanted[:length].ravel())[0, 1] > 0.9


def test_phones_say_as_much_as_the_words(session: Session) -> None:
    spoken, spelled = session(SPEAK, text="goodbye"), session(SPEAK, text="G UH2 D B AY1")
    np.testing.assert_array_equal(spoken.mel, spelled.mel)


def test_a_voice_is_answered_the_same_beside_others(session: Session) -> None:
    together = session.batch(SPEAK, [{"text": text} for text in SAID.values()])
    for text, output in zip(SAID.values(), together, strict=True):
        np.testing.assert_allclose(output.mel, session(SPEAK, text=text).mel, atol=1e-3)


def test_words_become_phones(session: Session) -> None:
    for text, phones in PHONES.items():
        assert session(SPELL, text=text).text == phones


def test_a_spoken_answer_is_heard_again(session: Session) -> None:
    for text in SAID.values():
        assert session(HEAR, wav=session(SPEAK, text=text)["wav"]).text == text


def test_the_command_line_writes_what_can_be_heard(ofa, checkpoint: Path, session: Session, tmp_path: Path) -> None:
    done = ofa("infer", checkpoint, SPEAK, "--text", "goodbye", "--save", "x.wav", "--json")
    assert done.code == 0, done.err
    for voice in (tmp_path / "x.wav", json.loads(done.out)["answer"]["wav"]):
        assert session(HEAR, wav=voice).text == "goodbye"


def test_broken_voices_are_skipped_and_named(tmp_path: Path) -> None:
    """One row in twenty, of every sort that a file can be broken in."""
    voices = [FIXTURES / f"{name}.wav" for name in SAID]
    content = voices[0].read_bytes()
    broken = {
        5: content[:9000],
        25: b"",
        45: b"GIF89a" + bytes(100),
        65: (np.full(8000, np.nan, np.float32), 8000),
        85: content[:40] + (36_000 * 16_000).to_bytes(4, "little") + content[44:],
    }
    rows = [{"wav": broken.get(number, voices[number % 3]), "text": "hello"} for number in range(100)]
    recorder = Recorder()
    trainer = Trainer(steps=8, batch_tokens=1200, tokenizer_size=300, valid_metrics=False, log_every=1, reporters=[recorder])
    trainer.fit("nano", [Task("hear", HEAR, train=rows, valid=False)])
    skipped = {event.address: event.column for event in recorder.events if isinstance(event, RowSkipped)}
    assert skipped == {f"hear/train:row {number + 1}": "wav" for number in broken}
    assert len([event for event in recorder.events if isinstance(event, StepDone)]) == 8
