"""Workers: read and encode rows by address. What comes next is decided elsewhere; results come back in the order asked for.

main process                       worker k of W
chunk n of draws ──pipe (n mod W)──▶ read → transform → encode
results in order ◀──pipe (n mod W)── examples and bad rows

A pipe holds some tens of kilobytes, less than a chunk of pictures. So a thread of the main process takes results off each
pipe while the main thread computes: a worker never waits for the step to end before it goes on.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np
from ofa_modalities.copies import own_copy
from ofa_modalities.encoder import TaskEncoder
from ofa_modalities.processor import NoAnswerError, SampleError, Split
from ofa_modalities.segment import Example

from ofa_trainer.mixture import Draw, row_rng
from ofa_trainer.source import Source

CHUNK_ROWS = 16
_PR_SET_PDEATHSIG = 1
_HAS_PRCTL = platform.system() == "Linux"
LEAST_CHUNKS_AHEAD = 4
"""Of each worker, whatever the rows hold."""


class RowTransform(Protocol):
    """Changes several columns of a row at once, before encoding."""

    def __call__(self, row: Mapping[str, object], rng: np.random.Generator, /) -> Mapping[str, object]:
        """The row to encode; all chance comes from ``rng``."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was skipped: its task, address, column and what is wrong with it.

    no_answer: nothing is, but its answer is empty.
    """

    task: str
    address: str
    column: str
    message: str
    no_answer: bool = False

    def __str__(self) -> str:
        where = f"{self.address}:{self.column}" if self.column else self.address
        return f"{where}: {self.message}"


def bad_row(task: str, address: str, error: SampleError) -> BadRow:
    """What an error says of a row."""
    return BadRow(task, error.address or address, error.column, error.message, isinstance(error, NoAnswerError))


def tell_bad_rows(rows: Sequence[BadRow], what: str) -> Iterator[str]:
    """A sentence for each row that cannot be used, and one for all rows of a column that have no answer."""
    unanswered: dict[tuple[str, str], list[BadRow]] = {}
    for row in rows:
        if row.no_answer:
            unanswered.setdefault((row.task, row.column), []).append(row)
        else:
            yield f"{what} row skipped: {row}"
    for (task, column), found in unanswered.items():
        yield f"task `{task}`: {len(found):,} {what} rows have an empty `{column}` and are left out, the first {found[0].address}"


Result = Example | BadRow


@dataclass(frozen=True, slots=True)
class RowReader:
    """Everything a worker needs: sources and transforms by task number, and the encoder. Picklable."""

    encoder: TaskEncoder
    names: tuple[str, ...]
    sources: tuple[Source, ...]
    transforms: tuple[RowTransform | None, ...]
    split: Split
    seed: int

    def row(self, draw: Draw) -> Mapping[str, object]:
        """The row as it will be encoded; a transform gets its own copy. Raises SampleError, and what a transform raises."""
        row = self.sources[draw.task].read(draw.index, draw.epoch)
        transform = self.transforms[draw.task]
        if transform is None:
            return row
        rng = row_rng(self.seed, self.names[draw.task], draw.epoch, draw.index, "transform")
        changed = transform(own_copy(row), rng)
        if not isinstance(changed, Mapping):
            raise TypeError(f"a transform returns the row to encode, not {type(changed).__name__}")
        return changed

    def __call__(self, draw: Draw) -> Result:
        """Read and encode one row; a bad one comes back as what is wrong with it."""
        source, name = self.sources[draw.task], self.names[draw.task]
        address = source.address(draw.index)
        rng = row_rng(self.seed, name, draw.epoch, draw.index)
        try:
            root = getattr(source, "root", None)
            return self.encoder.encode(name, self.row(draw), split=self.split, rng=rng, address=address, root=root)
        except SampleError as error:
            return bad_row(name, address, error)
        except Exception as error:
            error.add_note(f"in task `{name}`, at {address}")
            raise


def encode_in_order(
    reader: RowReader, draws: Iterator[Draw], workers: int, ahead_tokens: int
) -> Generator[tuple[Draw, Result], None, None]:
    """Results of all draws in their order, by ``workers`` processes or here. Close the iterator to end the processes.

    ahead_tokens: workers run ahead by about so many tokens, which bounds the memory that waiting rows take.
    """
    if workers == 0:
        for draw in draws:
            yield draw, reader(draw)
        return
    pool = _Pool(reader, workers, ahead_tokens)
    try:
        yield from pool.run(draws)
    finally:
        pool.close()


class _Pool:
    def __init__(self, reader: RowReader, workers: int, ahead_tokens: int) -> None:
        kind = "fork" if sys.platform == "linux" else "spawn"
        context = multiprocessing.get_context(kind)
        self.ahead_tokens = ahead_tokens
        self.num_rows = self.num_tokens = 0
        self.pipes: list[Connection] = []
        self.processes: list[Any] = []
        before = os.environ.get("TOKENIZERS_PARALLELISM")
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        try:
            for _ in range(workers):
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(reader, theirs, os.getpid()), daemon=True)  # type: ignore[attr-defined]
                process.start()
                theirs.close()
                self.pipes.append(ours)
                self.processes.append(process)
        finally:
            if before is None:
                del os.environ["TOKENIZERS_PARALLELISM"]
            else:
                os.environ["TOKENIZERS_PARALLELISM"] = before
        self.received: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in self.pipes]
        self.threads = [
            threading.Thread(target=_receive, args=ends, daemon=True) for ends in zip(self.pipes, self.received, strict=True)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, draws: Iterator[Draw]) -> Iterator[tuple[Draw, Result]]:
        """Keep the workers ahead and take results in order."""
        asked: deque[tuple[int, list[Draw]]] = deque()
        number = 0
        while True:
            while len(asked) < self._chunks_ahead():
                chunk = list(islice(draws, CHUNK_ROWS))
                if not chunk:
                    break
                worker = number % len(self.pipes)
                self._send(worker, chunk)
                asked.append((worker, chunk))
                number += 1
            if not asked:
                return
            worker, chunk = asked.popleft()
            results = self._results(worker)
            self.num_rows += len(results)
            self.num_tokens += sum(result.num_tokens for result in results if isinstance(result, Example))
            yield from zip(chunk, results, strict=True)

    def _chunks_ahead(self) -> int:
        """Chunks whose rows hold ``ahead_tokens``, going by the rows so far."""
        least = LEAST_CHUNKS_AHEAD * len(self.pipes)
        rows = self.ahead_tokens * self.num_rows // max(1, self.num_tokens)
        return max(least, rows // CHUNK_ROWS) if self.num_tokens else least

    def _send(self, worker: int, chunk: Sequence[Draw]) -> None:
        try:
            self.pipes[worker].send(chunk)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._ended(worker) from error

    def _results(self, worker: int) -> Sequence[Result]:
        results = self.received[worker].get()
        if results is None:
            raise self._ended(worker)
        if isinstance(results, BaseException):
            raise RuntimeError(f"the rows of loader worker {worker} cannot be read") from results
        if isinstance(results, str):
            raise RuntimeError(f"a loader worker failed:\n{results}")
        return results  # type: ignore[no-any-return]

    def _ended(self, worker: int) -> RuntimeError:
        self.processes[worker].join(timeout=1)
        code = self.processes[worker].exitcode
        return RuntimeError(f"loader worker {worker} ended with exit code {code}; was it killed for memory?")

    def close(self) -> None:
        """End the processes; the threads end with them, and the pipes last, since the threads read them."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(timeout=5)
            if process.is_alive():
                process.kill()
                process.join()
        for thread in self.threads:
            thread.join()
        for pipe in self.pipes:
            pipe.close()


def _receive(pipe: Connection, received: queue.SimpleQueue[Any]) -> None:
    """Put what a worker sends, as it comes; None at its end, an error where that could not be unpickled."""
    while True:
        try:
            received.put(pipe.recv())
        except (EOFError, OSError):
            received.put(None)
            return
        except Exception as error:  # noqa: BLE001  (the main thread raises it)
            received.put(error)
            return


def _work(reader: RowReader, pipe: Connection, parent: int) -> None:
    _end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides when to stop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked worker would inherit a handler that goes on
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
    while True:
        try:
            chunk = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            answer: Any = [reader(draw) for draw in chunk]
        except Exception:  # noqa: BLE001  (a worker hands any failure to the main process, which raises it)
            answer = traceback.format_exc()
        try:
            pipe.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return


def _end_with(parent: int) -> None:
    """End this process when its parent ends, however that ends, and whatever this process is busy with.

    A pipe does not tell: other workers hold its far end too. Linux is asked for the signal; elsewhere a thread looks.
    """
    if _HAS_PRCTL:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before it was asked for
            os._exit(1)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
