"""A third party's modality comes in through entry points alone, and is small."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

PROGRAM = """
import sys
from ofa_instruction import Catalog
catalog = Catalog.from_entry_points()
plugin = catalog.modality("SERIES")
assert plugin.distribution == "ofa-series", plugin
assert catalog.processor("series").spec.load().__name__ == "SeriesProcessor"
assert catalog.adaptor("series").spec.load().__name__ == "SeriesAdaptor"
"""


def test_the_whole_package_is_under_100_lines() -> None:
    files = list((HERE / "ofa_series" / "src").rglob("*.py"))
    assert files
    assert sum(len(file.read_text().splitlines()) for file in files) < 100


def test_it_is_found_through_its_entry_points(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("install", HERE / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = module.install(HERE / "ofa_series", tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(path)!r})\n{PROGRAM}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
