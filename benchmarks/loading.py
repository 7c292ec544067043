"""Loading a session beside loading transformers' T5 with its tokenizer: equal sizes, one vocabulary of 51 k words.

Ours is ``Session.from_pretrained`` of a checkpoint directory, theirs ``T5ForConditionalGeneration.from_pretrained`` and
``PreTrainedTokenizerFast.from_pretrained`` of what ``save_pretrained`` wrote. Files are in the system's cache, modules imported.
With a first text, each side also splits one into tokens, which makes the tokenizer. Rounds are interleaved; a ratio is the median
over rounds of (our seconds / theirs), of processor time and of wall time. Below 1 ours is faster.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from ofa_models import Session, save_checkpoint
from report import Value, parser, show
from t5_models import Pair, make_pair, make_rows, word_tokenizer
from transformers import PreTrainedTokenizerFast, T5ForConditionalGeneration

SIZES = ("tiny", "base")
MOST = 1.0
"""Ratio that is asked for."""


def save_both(pair: Pair, folder: Path) -> tuple[Path, Path]:
    """Write both models, each as its own library does; the two folders."""
    checkpoint, parts = pair.session.checkpoint, folder / "words"
    save_checkpoint(
        folder / "ours",
        plan=checkpoint.plan,
        model=checkpoint.model,
        vocabulary=checkpoint.vocabulary,
        closed_sets=checkpoint.closed_sets,
        assets=checkpoint.assets,
    )
    pair.theirs.t5.save_pretrained(folder / "T5")
    parts.mkdir()
    word_tokenizer(parts)
    cast(Any, PreTrainedTokenizerFast)(tokenizer_file=str(parts / "tokenizer.json")).save_pretrained(folder / "T5")
    return folder / "ours", folder / "T5"


def sides(ours: Path, theirs: Path, text: str | None) -> Mapping[str, Callable[[], object]]:
    """What is timed, by who does it. text: the first that is split; None: none is."""

    def load_ours() -> object:
        session = Session.from_pretrained(ours)
        return session if text is None else session.checkpoint.vocabulary.tokenizer.encode(text)

    def load_theirs() -> object:
        model = T5ForConditionalGeneration.from_pretrained(theirs)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(theirs)
        return (model, tokenizer) if text is None else tokenizer(text)

    return {"ours": load_ours, "T5": load_theirs}


def measure(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Processor and wall seconds of every round, by who ran, behind a round that does not count."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = time.process_time(), time.perf_counter()
            call()
            if number:
                seconds[name].append((time.process_time() - started[0], time.perf_counter() - started[1]))
    return seconds


def row(what: str, seconds: Mapping[str, list[tuple[float, float]]]) -> dict[str, Value]:
    """Medians of one comparison."""
    cpu, wall = (
        statistics.median(a[clock] / b[clock] for a, b in zip(seconds["ours"], seconds["T5"], strict=True)) for clock in (0, 1)
    )
    milliseconds = {name: round(1000 * statistics.median(one[0] for one in found), 1) for name, found in seconds.items()}
    return {
        "loading": what,
        "ours, ms CPU": milliseconds["ours"],
        "T5, ms CPU": milliseconds["T5"],
        "ours / T5, CPU": cpu,
        "wall": wall,
        "at most": MOST,
        "within": cpu <= MOST,
    }


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=9)
    options = made.parse_args()
    torch.set_num_threads(1)
    cast(Any, transformers.utils.logging).disable_progress_bar()
    text = str(make_rows("text", 1)[0]["src"])
    rows: list[dict[str, Value]] = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folders = save_both(make_pair(size, "float32"), Path(name))
            for what, first in ((size, None), (f"{size}, first text", text)):
                rows.append(row(what, measure(sides(*folders, first), options.rounds)))
    show("loading beside T5", rows, as_json=options.json)


if __name__ == "__main__":
    main()
