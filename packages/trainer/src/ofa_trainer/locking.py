"""One run, one folder: a lock of the operating system, which ends with the process that holds it, however that ends.

The file says who holds it, for the message to the second one; what it says is no lock, and an old one is in nobody's way.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

logger = logging.getLogger(__name__)

LOCK_FILE = ".lock"
PATIENCE_S = 1.0
"""Loader processes of a killed run hold its lock until they end, which is at once, but not before the next command may start."""
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_PLACE = 1 << 20
"""Of the locked byte, where the file is locked by bytes: behind what it says."""


class RunFolderError(ValueError):
    """The folder of a run cannot be used: another run writes there, or nothing can be written."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder and hold it alone. Raises RunFolderError."""
    with _opened(folder) as file:
        if not _wait(file):
            file.seek(0)
            holder = file.read(200).strip() or "another process"
            raise RunFolderError(
                f"`{folder}` is in use by another run ({holder}): wait until it ends or stop it, or choose another output folder"
            )
        _sign(folder, file)
        yield


def _opened(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / LOCK_FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise _unwritable(folder, error) from error


def _sign(folder: Path, file: IO[str]) -> None:
    try:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        file.flush()
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> RunFolderError:
    return RunFolderError(f"`{folder}` cannot be written to: {error.strerror or error}; choose another output folder")


def _wait(file: IO[str]) -> bool:
    """Take the lock; False: another process has it. A file system without locks is told of and taken as it is."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        try:
            _lock(file)
        except OSError as error:
            if error.errno not in _TAKEN:
                logger.warning("`%s` cannot be locked (%s): see to it that no second run writes there", file.name, error.strerror)
                return True
            if time.monotonic() >= give_up:
                return False
            time.sleep(0.05)
        else:
            return True


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        file.seek(_PLACE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
