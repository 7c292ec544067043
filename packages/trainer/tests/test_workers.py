"""Workers run ahead of the main process, and their end is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path

import pytest
from ofa_models import GeneralistModel
from ofa_trainer import Task, Trainer
from ofa_trainer.mixture import Draw
from ofa_trainer.trainer import row_stream
from ofa_trainer.workers import LEAST_CHUNKS_AHEAD, RowReader, encode_in_order

WORDS = "a row of many words " * 2000
"""A chunk of such rows is larger than what a pipe holds."""
PATIENCE_S = 60


class Noted:
    """Long rows; each read leaves a file, so that another process can count them."""

    def __init__(self, folder: Path, dies_at: int | None = None) -> None:
        self.folder, self.dies_at = folder, dies_at

    def __len__(self) -> int:
        return 10_000

    def address(self, index: int) -> str:
        return f"noted:row {index}"

    def fingerprint(self) -> str:
        return "noted"

    def read(self, index: int, epoch: int) -> Mapping[str, object]:
        if index == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / str(index)).touch()
        return {"text": WORDS, "first": "a"}


def reader_of(source: object) -> RowReader:
    tasks = [Task("first", "[TEXT:text] -> [TEXT:first]", train=[{"text": WORDS, "first": "a"}], valid=False)]
    trainer = Trainer(batch_tokens=30_000, tokenizer_size=300, max_row_tokens=30_000)
    prepared = trainer.prepare(GeneralistModel("nano"), tasks)
    reader = row_stream(prepared, trainer.options).reader
    return RowReader(
        encoder=reader.encoder,
        names=reader.names,
        sources=(source,),  # type: ignore[arg-type]
        transforms=(None,),
        split="train",
        seed=0,
    )


def draws() -> Iterator[Draw]:
    return (Draw(task=0, index=index, epoch=0) for index in count())


def test_a_worker_goes_on_while_nobody_takes_its_rows(tmp_path: Path) -> None:
    results = encode_in_order(reader_of(Noted(tmp_path)), draws(), 2, ahead_tokens=1)
    next(results)
    asked = 16 * LEAST_CHUNKS_AHEAD * 2
    end = time.monotonic() + PATIENCE_S
    while len(list(tmp_path.iterdir())) < asked and time.monotonic() < end:
        time.sleep(0.05)
    assert len(list(tmp_path.iterdir())) == asked
    results.close()


def test_rows_ahead_hold_about_as_many_tokens_as_asked(tmp_path: Path) -> None:
    reader = reader_of(Noted(tmp_path))
    tokens = next(encode_in_order(reader, draws(), 0, ahead_tokens=1))[1].num_tokens  # type: ignore[union-attr]
    results = encode_in_order(reader, draws(), 1, ahead_tokens=200 * tokens)
    taken = list(islice(results, 17))
    end = time.monotonic() + PATIENCE_S
    while len(list(tmp_path.iterdir())) < 16 + 192 and time.monotonic() < end:
        time.sleep(0.05)
    assert [draw.index for draw, _ in taken] == list(range(17))
    assert len(list(tmp_path.iterdir())) == 16 + 192
    results.close()


def test_a_worker_that_is_killed_is_an_error_with_its_exit_code(tmp_path: Path) -> None:
    results = encode_in_order(reader_of(Noted(tmp_path, dies_at=40)), draws(), 2, ahead_tokens=1)
    with pytest.raises(RuntimeError, match="exit code -9"):
        list(islice(results, 200))


PARENT = """
    import os, sys, time
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    import test_workers
    from test_workers import Noted, draws, encode_in_order, reader_of

    class Busy(Noted):
        def read(self, index, epoch):
            (self.folder / f"pid-{{os.getpid()}}").touch()
            time.sleep(600)

    next(encode_in_order(reader_of(Busy(Path(sys.argv[1]))), draws(), 2, ahead_tokens=1))
"""


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_workers_end_with_a_parent_that_is_killed_whatever_they_are_busy_with(tmp_path: Path) -> None:
    program = textwrap.dedent(PARENT.format(tests=str(Path(__file__).parent)))
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    end = time.monotonic() + PATIENCE_S
    while len(list(tmp_path.glob("pid-*"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    workers = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    assert len(workers) == 2
    assert all(map(_is_running, workers))
    parent.kill()
    parent.wait()
    end = time.monotonic() + 2
    while any(map(_is_running, workers)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(_is_running, workers))
