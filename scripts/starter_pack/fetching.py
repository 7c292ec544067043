"""Packages of npm, PyPI and Debian, each fetched once into a cache folder, and the hash that everything is chosen by."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

DEBIAN_VERSION = "12.15"
SPLIT_SALT = "3"  # a new one gives a fresh test split, once an old one has been looked at


def hash_int(*parts: str) -> int:
    """A 64-bit integer that depends on the parts alone, on every machine."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")


def fetch_npm(package: str, cache: Path) -> Path:
    """Folder of the unpacked npm package ``@scope/name@version``."""
    folder = cache / package.replace("/", "-").lstrip("@")
    if not folder.exists():
        done = subprocess.run(["npm", "pack", "--silent", package], cwd=cache, check=True, capture_output=True, text=True)
        with tarfile.open(cache / done.stdout.split()[-1]) as archive:
            archive.extractall(folder, filter="data")
    return folder / "package"


def fetch_wheel(requirement: str, cache: Path) -> Path:
    """Folder of the unpacked wheel of ``name==version``."""
    folder = cache / requirement.replace("==", "-")
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
        subprocess.run([*command, requirement], check=True)
        for wheel in folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder)
    return folder


def fetch_deb(package: str, cache: Path) -> Path:
    """Folder of the unpacked Debian package ``name=version``."""
    folder = cache / package.replace("=", "-")
    if not folder.exists():
        folder.mkdir()
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        for deb in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(deb), str(folder)], check=True)
    return folder


def fetch_package_lists(cache: Path) -> tuple[str, str]:
    """Debian's list of packages and the English texts of their descriptions (release ``DEBIAN_VERSION``)."""
    lists = (cache / "debian-lists").resolve()
    if not lists.exists():
        (lists / "partial").mkdir(parents=True)
        options = ["-o", f"Dir::State::lists={lists}", "-o", "Acquire::Languages=en", "-o", "APT::Sandbox::User="]
        subprocess.run(["apt-get", *options, "update"], check=True)
    (release,) = lists.glob("*_dists_bookworm_InRelease")
    version = re.search(r"^Version: (\S+)", release.read_text(), re.MULTILINE)
    if version is None or version[1] != DEBIAN_VERSION:
        raise SystemExit(f"the package lists are of Debian {version and version[1]}, the pack is of {DEBIAN_VERSION}")
    texts = []
    for pattern in ("*_dists_bookworm_main_binary-amd64_Packages*", "*_dists_bookworm_main_i18n_Translation-en*"):
        (path,) = lists.glob(pattern)
        command = ["/usr/lib/apt/apt-helper", "cat-file", str(path)]
        texts.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return texts[0], texts[1]
