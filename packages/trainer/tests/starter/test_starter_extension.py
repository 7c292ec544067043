"""The extension of the pack: small, licensed, whole, split by concept, equal every time it is read."""

from __future__ import annotations

import io
import pickle
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from importlib.resources import files

import numpy as np
import pyarrow.parquet as pq
import pytest
from ofa_trainer.starter import EXTENSION_TASKS, starter_source
from ofa_trainer.starter import _extension_pack as pack
from ofa_trainer.starter._pack import SPLITS
from PIL import Image

MAX_WHOLE_PACK_BYTES = 12_000_000
MAX_EXTENSION_BYTES = 5_500_000
DATA = files("ofa_trainer.starter") / "data"
COLUMNS = {
    "speech": {"audio", "text", "kind", "voice"},
    "speak": {"text", "audio"},
    "phones": {"word", "phones"},
    "motion_caption": {"motion", "cap", "action"},
    "move": {"motion", "cap", "action"},
    "clip": {"video", "label", "cap", "question", "answer"},
    "table_qa": {"table", "question", "answer", "kind"},
    "sql": {"table", "question", "sql", "answer", "kind"},
    "draw": {"cap", "style", "img"},
}


def plain(value: object) -> object:
    """Pictures and arrays as bytes, so that rows compare."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, Image.Image | np.ndarray):
        return value.tobytes()
    return value


def rows_of(task: str, split: str) -> list[dict[str, object]]:
    source = starter_source(task, split)
    return [source.read(index, epoch=0) for index in range(len(source))]


def sizes(folder: object) -> Iterable[int]:
    for path in folder.iterdir():  # type: ignore[attr-defined]
        yield from sizes(path) if path.is_dir() else [len(path.read_bytes())]


def test_the_extension_and_the_whole_pack_stay_small() -> None:
    assert sum(sizes(DATA / "extension")) <= MAX_EXTENSION_BYTES
    assert sum(sizes(DATA)) <= MAX_WHOLE_PACK_BYTES


def test_the_licence_file_names_every_file_voice_and_table() -> None:
    text = (DATA / "LICENSES-EXTENSION.md").read_text()
    for path in (DATA / "extension").iterdir():
        assert f"## {path.name}" in text
    for voice in {said.voice for said in pack.utterances()}:
        assert f"| `{voice}` |" in text
    for table in pack.tables():
        assert f"| `{table.name}` | {table.source} | {table.licence} | {table.credit} |" in text
    for name in re.findall(r"`(licenses/[^`]+)`", text):
        assert (DATA / name).is_file()


def test_the_files_hold_no_paths_of_a_machine() -> None:
    for name in pack.FILES:
        content = (DATA / "extension" / f"{name}.parquet").read_bytes()
        assert b"/tmp/" not in content
        assert b"/home/" not in content
        assert pq.read_metadata(io.BytesIO(content)).num_rows > 0


@pytest.mark.parametrize("task", EXTENSION_TASKS)
@pytest.mark.parametrize("split", SPLITS)
def test_rows_have_the_columns_of_their_task(task: str, split: str) -> None:
    source = starter_source(task, split)
    for index in (0, len(source) // 2, len(source) - 1):
        assert set(source.read(index, epoch=0)) == COLUMNS[task]
        assert source.address(index).startswith("starter/")


@pytest.mark.parametrize("task", EXTENSION_TASKS)
def test_a_copy_of_a_source_reads_the_same_rows(task: str) -> None:
    source = starter_source(task, "train", seed=3)
    copy = pickle.loads(pickle.dumps(source))
    assert plain(source.read(5, epoch=2)) == plain(copy.read(5, epoch=2))
    assert source.fingerprint() == copy.fingerprint()


@pytest.mark.parametrize("task", EXTENSION_TASKS)
@pytest.mark.parametrize("split", ["valid", "test"])
def test_valid_and_test_never_change(task: str, split: str) -> None:
    first, second = starter_source(task, split, seed=0), starter_source(task, split, seed=9)
    assert first.fingerprint() == second.fingerprint()
    for index in range(5):
        assert plain(first.read(index, epoch=0)) == plain(second.read(index, epoch=4))


@pytest.mark.parametrize("task", ["motion_caption", "move", "table_qa", "sql"])
def test_every_epoch_and_seed_of_training_composes_anew(task: str) -> None:
    source, other = starter_source(task, "train"), starter_source(task, "train", seed=1)
    rows = [plain(row) for row in (source.read(0, epoch=0), source.read(0, epoch=1), other.read(0, epoch=0))]
    assert rows[0] != rows[1]
    assert rows[0] != rows[2]
    assert source.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("task", EXTENSION_TASKS)
def test_a_row_out_of_range_and_a_negative_seed_are_errors(task: str) -> None:
    source = starter_source(task, "test")
    with pytest.raises(IndexError, match=f"row {len(source)} of {len(source)}"):
        source.read(len(source), epoch=0)
    with pytest.raises(ValueError, match="negative"):
        starter_source(task, "train", seed=-1)


def test_no_sentence_is_spoken_in_two_splits_and_the_words_of_test_are_trained() -> None:
    said = defaultdict(set)
    for utterance in pack.utterances():
        said[utterance.text].add(utterance.split)
    assert {len(splits) for splits in said.values()} == {1}
    trained = {word for text, splits in said.items() if splits == {"train"} for word in text.split()}
    for utterance in pack.utterances():
        if utterance.kind == "phrase":
            assert set(utterance.text.split()) <= trained
            assert len(utterance.text.split()) <= 3


def test_one_voice_is_heard_in_test_alone() -> None:
    by_voice = defaultdict(set)
    for utterance in pack.utterances():
        by_voice[utterance.voice].add(utterance.split)
    assert by_voice["rms"] == {"test"}
    assert all(splits == set(SPLITS) for voice, splits in by_voice.items() if voice != "rms")


def test_every_utterance_is_a_short_file_of_one_channel_at_8_khz() -> None:
    for utterance in pack.utterances():
        start = utterance.ogg.index(b"OpusHead")
        assert utterance.ogg[start + 9] == 1
        assert int.from_bytes(utterance.ogg[start + 12 : start + 16], "little") == 8000
        assert 0.1 < utterance.seconds <= 4.0


def test_clips_have_eight_frames_and_are_held_out_by_what_they_show() -> None:
    held = defaultdict(set)
    for clip in pack.clips():
        with Image.open(io.BytesIO(clip.webp)) as picture:
            assert (picture.n_frames, picture.size) == (8, (32, 32))
        assert clip.cap.endswith(clip.label)
        held[clip.view].add(clip.split)
    assert {len(splits) for splits in held.values()} == {1}
    by_split = {split: [clip for clip in pack.clips() if clip.split == split] for split in SPLITS}
    for column in ("label", "kind"):
        assert {getattr(clip, column) for clip in by_split["test"]} <= {getattr(clip, column) for clip in by_split["train"]}
    counts = Counter(clip.label for clip in by_split["test"])
    assert max(counts.values()) < 0.2 * len(by_split["test"])


def test_a_table_is_of_one_split_and_tells_its_rows_apart_by_words() -> None:
    names = [table.name for table in pack.tables()]
    assert len(names) == len(set(names)) >= 15
    for table in pack.tables():
        assert all(re.fullmatch("[a-z]+", column) for column in (table.name, *table.columns))
        assert set(table.groups) <= set(table.columns[1:])
        assert all(len(row) == len(table.columns) and None not in row for row in table.rows)
        assert len({row[0] for row in table.rows}) >= 5
        assert table.licence in {"public domain", "MIT", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0"}


def test_words_are_in_one_split_with_their_inflections() -> None:
    splits = {item.word: item.split for item in pack.words()}
    assert len(splits) == len(pack.words())
    for word, split in splits.items():
        for other in (word + "s", word + "ed", word + "ing", word + "ly"):
            assert splits.get(other, split) == split
    assert all(re.fullmatch("[A-Z]{1,2}[0-2]?( [A-Z]{1,2}[0-2]?)*", item.phones) for item in pack.words())


def test_draw_asks_for_unseen_drawings_of_trained_names() -> None:
    train, test = rows_of("draw", "train"), rows_of("draw", "test")
    assert {row["cap"] for row in test} <= {row["cap"] for row in train}
    assert not {(row["cap"], row["style"]) for row in test} & {(row["cap"], row["style"]) for row in train}
