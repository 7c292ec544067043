"""Installs a source tree for tests without pip: writes the ``.dist-info`` that entry points are read from.

python tests/third_party/install.py tests/third_party/ofa_series DIR      then put DIR on PYTHONPATH
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

OFA_SERIES = Path(__file__).parent / "ofa_series"


def install(project: Path, into: Path) -> Path:
    """Make the project at ``project`` importable, with its entry points, through ``into`` on ``sys.path``; returns ``into``."""
    table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = table["name"], table["version"]
    info = into / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    groups = (
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in table.get("entry-points", {}).items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")
    for package in (project / "src").iterdir():
        link = into / package.name
        if package.is_dir() and package.suffix != ".egg-info" and not link.exists():
            link.symlink_to(package.resolve(), target_is_directory=True)
    return into


if __name__ == "__main__":
    print(install(Path(sys.argv[1]), Path(sys.argv[2])))
