"""The committed pack: small, licensed, whole, and split so that no test row has a twin in training."""

from __future__ import annotations

from collections import Counter, defaultdict
from importlib.resources import files

import numpy as np
import pyarrow.parquet as pq
import pytest
from ofa_trainer.starter import _pack, starter_source
from ofa_trainer.starter._augment import on_white
from ofa_trainer.starter._pack import SPLITS
from ofa_trainer.starter._sentences import sentences

MAX_PACK_BYTES = 6_000_000
TWIN_DISTANCE = 0.045


def test_the_pack_holds_at_most_six_megabytes() -> None:
    data = files("ofa_trainer.starter") / "data"
    assert sum(len(path.read_bytes()) for path in data.iterdir() if path.is_file()) <= MAX_PACK_BYTES


def test_every_picture_opens_at_its_size() -> None:
    assert {drawing.image.size for drawing in _pack.drawings()} == {(32, 32)}
    assert {ground.image.size for split in SPLITS for ground in _pack.backgrounds(split)} == {(96, 96)}


def test_the_licence_file_names_every_style_and_background_source() -> None:
    text = (files("ofa_trainer.starter") / "data" / "LICENSES.md").read_text()
    for drawing in _pack.drawings():
        assert f"| `{drawing.set}` | `{drawing.style}` |" in text
    for split in SPLITS:
        for ground in _pack.backgrounds(split):
            assert f"| `{ground.photograph.split('/')[0]}/` |" in text
            assert ground.attribution
    for name in (path.name for path in (files("ofa_trainer.starter") / "data").iterdir()):
        assert not name.endswith(".parquet") or f"## {name}" in text


def test_names_are_one_or_two_lower_case_words() -> None:
    for drawing in _pack.drawings():
        words = drawing.name.split(" ")
        assert 1 <= len(words) <= 2
        assert all(word.isalpha() and word.islower() for word in words) or drawing.name in {"t shirt", "x ray"}


def drawings_by_concept() -> dict[str, list[_pack.Drawing]]:
    by_concept: dict[str, list[_pack.Drawing]] = defaultdict(list)
    for drawing in _pack.drawings():
        by_concept[drawing.concept].append(drawing)
    return by_concept


def test_a_concept_holds_out_one_whole_style_for_one_split_and_trains_in_others() -> None:
    for group in drawings_by_concept().values():
        assert len({drawing.set for drawing in group}) == len(group)
        held = [drawing for drawing in group if drawing.split != "train"]
        assert len({(drawing.split, drawing.style) for drawing in held}) <= 1
        trained = {drawing.style for drawing in group if drawing.split == "train"}
        assert len(trained) >= 2
        assert not trained & {drawing.style for drawing in held}


def test_two_versions_of_a_set_are_one_style() -> None:
    styles = {drawing.set: drawing.style for drawing in _pack.drawings()}
    assert len(styles) == 9
    assert len(set(styles.values())) == 6
    assert styles["noto"] == styles["noto-v1"]
    assert styles["emojitwo"] == styles["emojione-v1"]
    assert styles["fluent-flat"] == styles["fluent-colour"]


def test_a_fifth_of_the_concepts_holds_out_a_style_for_each_split() -> None:
    rows = Counter(drawing.split for drawing in _pack.drawings())
    groups = drawings_by_concept().values()
    concepts = Counter(split for group in groups for split in {drawing.split for drawing in group} - {"train"})
    for split in ("valid", "test"):
        assert rows[split] >= 200
        assert 0.18 < concepts[split] / len(groups) <= 0.202


def test_no_held_out_drawing_nearly_equals_another() -> None:
    records = _pack.drawings()
    features = np.stack([_coarse(record) for record in records])
    for row, record in enumerate(records):
        if record.split != "train":
            distances = np.abs(features - features[row]).mean(1)
            distances[row] = np.inf
            assert distances.min() > TWIN_DISTANCE - 0.004, record.name  # WebP moves a pixel a little


def _coarse(record: _pack.Drawing) -> np.ndarray:
    return np.asarray(on_white(record.image).resize((12, 12), 4), np.float32).reshape(-1) / 255


def test_only_trained_drawings_are_sprites() -> None:
    assert {drawing.split for group in _pack.sprites() for drawing in group} == {"train"}
    names = [group[0].name for group in _pack.sprites()]
    assert 50 <= len(names) == len(set(names))
    assert all(" " not in name for name in names)


def test_photographs_are_in_one_split_each() -> None:
    seen = [{ground.photograph for ground in _pack.backgrounds(split)} for split in SPLITS]
    assert all(len(photographs) >= 5 for photographs in seen)
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


@pytest.mark.parametrize("column", ["source", "summary", "description"])
def test_descriptions_do_not_repeat(column: str) -> None:
    values = [getattr(record, column).lower() for record in _pack.descriptions()]
    assert len(values) == len(set(values))


def test_descriptions_are_of_the_stated_lengths() -> None:
    for record in _pack.descriptions():
        assert 18 <= len(record.description.split()) <= 80
        assert 3 <= len(record.summary.split()) <= 12


def test_no_sentence_of_a_later_split_stands_in_an_earlier_one() -> None:
    texts = {split: {item.text.lower() for item in sentences(split)} for split in SPLITS}
    assert not texts["test"] & texts["train"]
    assert not texts["test"] & texts["valid"]
    assert not texts["valid"] & texts["train"]
    rows = [item.row for item in sentences("test")]
    assert len(rows) == len(set(rows)) >= 200
    assert all(6 <= len(item.text.split()) <= 24 for split in SPLITS for item in sentences(split))


def test_the_files_hold_no_machine_paths() -> None:
    for name in ("drawings", "backgrounds", "descriptions"):
        metadata = pq.read_schema(str(files("ofa_trainer.starter") / "data" / f"{name}.parquet")).metadata
        assert not metadata


@pytest.mark.parametrize("task", ["classify", "caption", "vqa", "ground", "summary", "infill"])
def test_every_task_has_at_least_two_hundred_rows_to_choose_and_to_test_on(task: str) -> None:
    assert len(starter_source(task, "valid")) >= 200
    assert len(starter_source(task, "test")) >= 200
