"""Answers of the generalist and of transformers' T5 with its own ``generate``, on equal rows.

    # R rows, D model width, V vocabulary

Every open answer has exactly 32 tokens on both sides. A closed set is scored exactly by ours, while T5 walks it greedily
under ``prefix_allowed_tokens_fn``. Ours is timed from encoded rows to the texts of the answers, T5 from ready tensors to ids.
Rounds are interleaved; a ratio is the median over rounds. Below 1 ours is faster. Beside an open answer stand all its matrix
products alone, beside a closed set scoring all of its tree. Memory is the peak of a fresh process with one of the models.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import torch
from memory import peak_mb
from ofa_modalities.prefix_tree import PrefixTree
from ofa_models import GenerationOptions
from ofa_models.backend import DecoderState
from ofa_models.generalist.model import Generalist
from ofa_models.generation.closed import ClosedSetScorer, Scored
from ofa_models.generation.engine import num_copies
from ofa_models.plans import Precision
from ofa_models.precision import autocast_for, resolve_precision
from report import Value, parser, show
from t5_models import ANSWER_WORDS, NUM_ROWS, Pair, make_pair, make_rows, t5_inputs
from torch import Tensor
from torch.nn import functional as F

BEAMS = 5
SHARPNESS = {"flat": 1.0, "peaked": 60.0}
"""What the gain of the final norm is multiplied with: a fresh model is nearly undecided, a sharp one knows its answer."""
CLOSED_SET = tuple(f"w{first} w{second} w{third}" for first in range(10) for second in range(10, 20) for third in range(20, 30))
"""A thousand labels of three words that share their beginnings."""


@dataclass
class Counter:
    """Calls of the generalist's decoder and the rows that went through it."""

    calls: int = 0
    rows: int = 0

    @contextlib.contextmanager
    def watching(self, model: Generalist) -> Iterator[None]:
        """Count inside."""
        extend, extend_nodes = model.extend, model.extend_nodes

        def count_tokens(state: DecoderState, embedded: Tensor, coordinates: Tensor, counts: Tensor) -> Tensor:
            self.calls, self.rows = self.calls + 1, self.rows + int(counts.sum())
            return extend(state, embedded, coordinates, counts)

        def count_nodes(state: DecoderState, embedded: Tensor, *where: Any) -> Tensor:
            self.calls, self.rows = self.calls + 1, self.rows + len(embedded)
            return extend_nodes(state, embedded, *where)

        vars(model).update(extend=count_tokens, extend_nodes=count_nodes)
        yield
        del vars(model)["extend"], vars(model)["extend_nodes"]


@dataclass
class Cell:
    """One comparison. beside: what else is timed, under a name. seconds: of each round, by who ran."""

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    beside: tuple[str, Callable[[], object]]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def run(self, rounds: int, clock: Callable[[], float]) -> None:
        """Rounds of all three, one after the other, behind one that does not count."""
        sides = {"ours": self.ours, "T5": self.theirs, self.beside[0]: self.beside[1]}
        self.seconds = {name: [] for name in sides}
        for number in range(rounds + 1):
            for name, call in sides.items():
                started = clock()
                call()
                if number:
                    self.seconds[name].append(clock() - started)

    def ratio(self, other: str) -> float | None:
        """Median over rounds of (our seconds / theirs); None where ``other`` was not timed."""
        if other not in self.seconds:
            return None
        return float(statistics.median(a / b for a, b in zip(self.seconds["ours"], self.seconds[other], strict=True)))


def open_cell(pair: Pair, task: str, beams: int) -> Cell:
    """Greedy answers of 32 tokens, or by beams."""
    examples = pair.examples(task, make_rows(task), with_targets=False)
    resolved = pair.session.resolve(task)
    options = GenerationOptions(
        strategy="greedy" if beams == 1 else "beam", num_beams=beams, min_length=ANSWER_WORDS, max_length=ANSWER_WORDS
    )
    inputs = t5_inputs(examples, pair.prepared.vocabulary.id("pad"))

    def theirs() -> None:
        ids = t5_generate(pair, inputs, num_beams=beams, min_new_tokens=ANSWER_WORDS, max_new_tokens=ANSWER_WORDS)
        assert ids.shape == (NUM_ROWS, 1 + ANSWER_WORDS)

    return Cell(
        name=f"{'greedy' if beams == 1 else f'{beams} beams'}, {task}",
        ours=lambda: pair.session.answer(resolved, examples, generation=options),
        theirs=theirs,
        beside=("products", products(pair.ours, examples[0].num_source_tokens, num_copies(options))),
    )


def closed_cell(pair: Pair, sharpness: str) -> Cell:
    """A thousand labels, of a model that is undecided or that knows its answer."""
    examples = pair.examples("closed", make_rows("closed"), with_targets=False)
    resolved = pair.session.resolve("closed")
    with torch.no_grad():
        pair.ours.final_gain.fill_(SHARPNESS[sharpness])
    pad = pair.prepared.vocabulary.id("pad")
    inputs = t5_inputs(examples, pad)
    tree = _tree(pair)
    following: dict[tuple[int, ...], list[int]] = {}
    for candidate in range(len(tree.leaf)):
        path = tree.path(candidate)
        for depth, node in enumerate(path[:-1]):
            following[tuple(tree.token[path[1 : depth + 1]].tolist())] = tree.token[list(tree.children(node))].tolist()

    def allowed(row: int, ids: Tensor) -> list[int]:
        return following.get(tuple(ids.tolist()[1:]), [pad])

    def answer() -> None:
        pair.session.answer(resolved, examples, generation=GenerationOptions())

    def answer_by_all() -> None:
        with patch.object(ClosedSetScorer, "best", _best_of_all):
            answer()

    return Cell(
        name=f"closed set, {sharpness}",
        ours=answer,
        theirs=lambda: t5_generate(
            pair, inputs, num_beams=1, max_new_tokens=int(tree.depth[-1]), prefix_allowed_tokens_fn=allowed
        ),
        beside=("whole tree", answer_by_all),
    )


def _tree(pair: Pair) -> PrefixTree:
    """That of the closed set."""
    rules = (step.rule for step in pair.session.resolve("closed").program.slots.values())
    return next(rule.tree for rule in rules if rule is not None and rule.tree is not None)


def _best_of_all(scorer: ClosedSetScorer, n: int) -> list[list[Scored]]:
    """The best candidate of every row, found by scoring all."""
    return [[Scored(int(line.argmax()), float(line.max()))] for line in scorer.score_all()]


@torch.no_grad()
def t5_generate(pair: Pair, inputs: Mapping[str, Tensor], **options: Any) -> Tensor:
    """T5's own generation with our begin, end and pad."""
    vocabulary = pair.prepared.vocabulary
    with autocast_for(pair.theirs.precision, pair.theirs.t5.shared.weight):
        ids: Tensor = cast(Any, pair.theirs.t5).generate(
            **pair.theirs.embedded(inputs),
            do_sample=False,
            decoder_start_token_id=vocabulary.id("begin:TEXT"),
            eos_token_id=vocabulary.id("end"),
            pad_token_id=vocabulary.id("pad"),
            **options,
        )
    return ids


def products(model: Generalist, num_source: int, copies: int) -> Callable[[], object]:
    """All matrix products of an answer, and nothing else."""
    size = model.plan.architecture
    dtype = torch.bfloat16 if model.plan.precision == "bfloat16" else torch.float32
    inner, width = size.num_heads * size.head_width, size.width

    def matrix(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype) * 0.1

    block = [matrix(3 * inner, width), matrix(width, inner), matrix(2 * size.mlp_width, width), matrix(width, size.mlp_width)]
    cross = [matrix(inner, width), matrix(width, inner)]
    cross_kv = matrix(2 * inner, width)
    head = matrix(model.embedding.shape[0], width)
    layers = size.decoder_layers
    heads = [NUM_ROWS * copies * size.num_heads, 1, size.head_width]
    memory_heads = [NUM_ROWS * size.num_heads, copies, size.head_width]
    source = {width_: matrix(NUM_ROWS * num_source, width_) for width_ in {width, inner, size.mlp_width}}
    lane = {width_: matrix(NUM_ROWS * copies, width_) for width_ in {width, inner, size.mlp_width}}
    own_q, memory_q = matrix(*heads), matrix(*memory_heads)
    source_q = matrix(NUM_ROWS * size.num_heads, num_source, size.head_width)
    memory = matrix(NUM_ROWS * size.num_heads, num_source, size.head_width)
    own = matrix(heads[0], ANSWER_WORDS, size.head_width)

    @torch.no_grad()
    def run() -> None:
        for _ in range(size.encoder_layers):
            for weight in block:
                F.linear(source[weight.shape[1]], weight)
            torch.bmm(torch.bmm(source_q, memory.transpose(1, 2)), memory)
        for _ in range(layers):
            F.linear(source[width], cross_kv)
        for step in range(1, ANSWER_WORDS + 1):
            for _ in range(layers):
                for weight in (*block, *cross):
                    F.linear(lane[weight.shape[1]], weight)
                torch.bmm(torch.bmm(own_q, own[:, :step].transpose(1, 2)), own[:, :step])
                torch.bmm(torch.bmm(memory_q, memory.transpose(1, 2)), memory)
            F.linear(lane[width], head)

    return run


CELLS: Mapping[str, Callable[[Pair], Cell]] = {
    "greedy": lambda pair: open_cell(pair, "text", 1),
    "beams-text": lambda pair: open_cell(pair, "text", BEAMS),
    "beams-caption": lambda pair: open_cell(pair, "caption", BEAMS),
    "closed-flat": lambda pair: closed_cell(pair, "flat"),
    "closed-peaked": lambda pair: closed_cell(pair, "peaked"),
}


def compare(pair: Pair, name: str, rounds: int, clock: Callable[[], float]) -> dict[str, Value]:
    """One row of the table."""
    cell, counter = CELLS[name](pair), Counter()
    with counter.watching(pair.ours):
        cell.ours()
    cell.run(rounds, clock)
    plan = pair.ours.plan
    return {
        "size": plan.size,
        "precision": plan.precision,
        "answer": cell.name,
        "ours / T5": cell.ratio("T5"),
        "ours / products": cell.ratio("products"),
        "ours / whole tree": cell.ratio("whole tree"),
        "ours ms": 1000 * statistics.median(cell.seconds["ours"]),
        "decoder calls": counter.calls,
        "decoder rows": counter.rows,
    }


def peak_of(size: str, precision: Precision, name: str, side: str) -> float:
    """MB at most of a process that answers twice with one of the models; the other one has given its weights back."""
    pair = make_pair(size, precision, closed_set=CLOSED_SET)
    other = pair.theirs if side == "ours" else pair.ours
    cell = CELLS[name](pair)
    for parameter in other.parameters():
        parameter.data = torch.empty(0)
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system before counting starts
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    for _ in range(2):
        (cell.ours if side == "ours" else cell.theirs)()
    return float(peak_mb())


def memory_row(size: str, precision: Precision, name: str) -> dict[str, Value]:
    """Peaks of both models, each in a process of its own."""
    found: dict[str, float] = {}
    for side in ("ours", "T5"):
        command = [sys.executable, __file__, "--sizes", size, "--precisions", precision, "--cells", name, "--peak", side]
        found[side] = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {
        "size": size,
        "precision": precision,
        "answer": name,
        "ours MB": round(found["ours"]),
        "T5 MB": round(found["T5"]),
        "ours / T5": found["ours"] / found["T5"],
    }


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--sizes", nargs="+", default=["tiny", "base"])
    made.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    made.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--threads", type=int, default=2)
    made.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall", help="cpu: of this process, for a machine that is shared"
    )
    made.add_argument("--peak", choices=["ours", "T5"], help="print the peak memory of one side here")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        print(peak_of(options.sizes[0], options.precisions[0], options.cells[0], options.peak))
        return
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    rows: list[dict[str, Value]] = []
    for size in options.sizes:
        for precision in options.precisions:
            pair = make_pair(size, precision, closed_set=CLOSED_SET)
            rows += [compare(pair, name, options.rounds, clock) for name in options.cells]
            del pair
    notes = [f"{NUM_ROWS} rows, {options.rounds} rounds, {torch.get_num_threads()} threads, {options.clock} clock"]
    notes.append("at most 1 is asked beside T5 and the whole tree, 1.5 beside T5 for a closed set on a peaked model")
    if resolve_precision("auto") != "bfloat16":
        notes.append("this processor has no bfloat16 products: those rows are emulated, on both sides alike")
    show("answers on rows of equal length", rows, as_json=options.json, notes=notes)
    peaks = [memory_row(size, precision, "greedy") for size in options.sizes for precision in options.precisions]
    show("peak memory of greedy answers", peaks, as_json=options.json, notes=["at most 1 is asked"])


if __name__ == "__main__":
    main()
