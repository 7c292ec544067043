"""Every stored value of the starter pack's extension is read by its modality."""

from __future__ import annotations

import numpy as np
import pytest
from ofa_modalities.audio.reading import read_audio
from ofa_modalities.motion.reading import read_motion
from ofa_modalities.phone.reading import read_phones
from ofa_modalities.phone.spec import PhoneOptions
from ofa_modalities.struct.query import check_query, normalise_query
from ofa_modalities.struct.reading import TableReader
from ofa_modalities.video.reading import read_video
from ofa_trainer.starter import starter_source
from ofa_trainer.starter._extension_pack import utterances

SPLITS = ("train", "valid", "test")


@pytest.mark.parametrize("split", SPLITS)
def test_all_speech_is_heard_for_as_long_as_it_says(split: str) -> None:
    for said in utterances():
        if said.split == split:
            samples = read_audio(said.ogg, sample_rate=8000)
            assert len(samples) / 8000 == pytest.approx(said.seconds, abs=0.06)
            assert np.abs(samples).max() > 0.05


@pytest.mark.parametrize("split", SPLITS)
def test_all_clips_are_read_in_eight_frames(split: str) -> None:
    source = starter_source("clip", split)
    for index in range(len(source)):
        clip = read_video(
            source.read(index)["video"],
            times=lambda duration: np.arange(8) * duration / 8 + duration / 16,
            shrink=lambda width, height: (width, height),
        )
        assert clip.frames.shape == (8, 32, 32, 3)
        assert 0.6 < clip.duration_s < 1.5


@pytest.mark.parametrize("split", SPLITS)
def test_all_pronunciations_are_phones(split: str) -> None:
    source = starter_source("phones", split)
    options = PhoneOptions()
    for index in range(len(source)):
        phones = str(source.read(index)["phones"])
        assert read_phones(phones, "phones", options) == phones.split()


@pytest.mark.parametrize("split", SPLITS)
def test_motions_are_read_with_all_their_frames(split: str) -> None:
    source = starter_source("move", split)
    for index in range(60):
        value = source.read(index)["motion"]
        assert len(read_motion(value).root_position) == len(value["rotations"])  # type: ignore[index]


@pytest.mark.parametrize("split", SPLITS)
def test_tables_are_read_and_queries_stay_what_they_are(split: str) -> None:
    source = starter_source("sql", split)
    for index in range(100):
        row = source.read(index)
        table = row["table"]
        read = TableReader(column="table").read(table)
        assert list(read.columns) == table["columns"]  # type: ignore[index]
        assert len(read.rows) == len(table["rows"])  # type: ignore[index]
        check_query(str(row["sql"]))
        assert normalise_query(str(row["sql"])) == row["sql"]
