"""Assets beside a checkpoint: arrays that come back as they were, or an error that names what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ofa_models.assets import asset_digests, load_assets, save_assets

ASSETS = {
    "image_code:32/4": {"book": np.arange(6, dtype=np.float32).reshape(2, 3), "size": np.array([32])},
    "motion": {"mean": np.zeros(3), "names": np.frombuffer(b"hips", np.uint8)},
}


def test_arrays_come_back_with_their_types_and_shapes(tmp_path: Path) -> None:
    save_assets(tmp_path, ASSETS)
    found = load_assets(tmp_path, asset_digests(ASSETS))
    assert list(found) == sorted(ASSETS)
    for name, arrays in ASSETS.items():
        assert set(found[name]) == set(arrays)
        for key, array in arrays.items():
            assert found[name][key].dtype == array.dtype
            assert np.array_equal(found[name][key], array)


def test_without_assets_nothing_is_written(tmp_path: Path) -> None:
    save_assets(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_the_digest_follows_values_names_types_and_shapes() -> None:
    base = {"a": np.zeros((2, 3), np.float32)}
    others = [
        {"a": np.ones((2, 3), np.float32)},
        {"b": np.zeros((2, 3), np.float32)},
        {"a": np.zeros((2, 3), np.int32)},
        {"a": np.zeros((3, 2), np.float32)},
    ]
    digests = {asset_digests({"x": arrays})["x"] for arrays in (base, *others)}
    assert len(digests) == 5
    assert asset_digests({"x": base}) == asset_digests({"x": {"a": np.zeros((3, 2), np.float32).T.copy().reshape(2, 3)}})


def test_a_changed_or_missing_file_is_an_error(tmp_path: Path) -> None:
    save_assets(tmp_path, ASSETS)
    digests = asset_digests(ASSETS)
    with pytest.raises(ValueError, match=r"motion-0{12}\.safetensors` is missing"):
        load_assets(tmp_path, digests | {"motion": "0" * 64})
    (path,) = (tmp_path / "assets").glob("motion-*")
    changed = {"motion": ASSETS["motion"] | {"mean": np.ones(3)}}
    save_assets(tmp_path, changed)
    (other,) = set((tmp_path / "assets").glob("motion-*")) - {path}
    other.replace(path)
    with pytest.raises(ValueError, match="not the asset `motion` that the plan names"):
        load_assets(tmp_path, digests)
