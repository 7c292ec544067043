"""What tests across packages share: the third party's modality, and one small model that knows its rows by heart."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from ofa_instruction import Catalog
from ofa_models import Session
from ofa_trainer import Task, Trainer
from ofa_trainer.reporting import Event, StepDone
from PIL import Image

THIRD_PARTY = Path(__file__).parent / "third_party"
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
WORDS = ("red", "green", "blue", "big", "small", "old", "cat", "dog", "house", "tree")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Small products are slower on several threads, most of all beside other programs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that makes SERIES installed for whoever has it on their path."""
    spec = importlib.util.spec_from_file_location("install", THIRD_PARTY / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder: Path = module.install(THIRD_PARTY / "ofa_series", tmp_path_factory.mktemp("site"))
    return folder


@pytest.fixture(scope="session")
def catalog(third_party: Path) -> Iterator[Catalog]:
    """Every installed plugin, SERIES among them."""
    sys.path.insert(0, str(third_party))
    yield Catalog.from_entry_points()
    sys.path.remove(str(third_party))


def picture(*things: tuple[tuple[int, int, int, int], str], size: tuple[int, int] = (32, 32)) -> Image.Image:
    """Coloured rectangles on white."""
    drawn = Image.new("RGB", size, "white")
    for box, colour in things:
        drawn.paste(COLOURS[colour], box)
    return drawn


def detection(*things: tuple[tuple[int, int, int, int], str]) -> dict[str, object]:
    """A picture with what is on it."""
    return {"img": picture(*things), "box": [list(box) for box, _ in things], "label": [colour for _, colour in things]}


def thousand_names() -> tuple[str, ...]:
    """Candidates that share prefixes, many being a prefix of others."""
    ones = list(WORDS)
    twos = [f"{one} {two}" for one in ones for two in WORDS]
    return tuple([*ones, *twos, *(f"{two} {three}" for two in twos for three in WORDS)][:1000])


INSTRUCTIONS = {
    "speak": "[TEXT:x] -> [TEXT:a] [SERIES:b]",
    "mirror": "[SERIES:x] -> [SERIES:y]",
    "detect": "[IMAGE:img] what are the objects? -> ([BOX:box] [TEXT:label])*",
    "tell": "[TEXT:topic] -> [TEXT:story]",
    "recite": "-> [TEXT:poem]",
    "name": "what is [TEXT:thing] ? -> [TEXT:name,closed_set]",
}
ROWS: dict[str, list[dict[str, object]]] = {
    "speak": [
        {"x": "up", "a": "it rises", "b": [0.0, 0.25, 0.5, 0.75, 1.0]},
        {"x": "down", "a": "it falls", "b": [1.0, 0.5, 0.0]},
        {"x": "flat", "a": "nothing happens", "b": [0.5]},
    ],
    "mirror": [
        {"x": [0.0, 0.5, 1.0], "y": [1.0, 0.5, 0.0]},
        {"x": [1.0, 0.0], "y": [0.0, 1.0]},
        {"x": [0.2, 0.2, 0.2, 0.2], "y": [0.8]},
    ],
    "detect": [
        detection(((0, 0, 16, 16), "red"), ((16, 16, 32, 32), "blue")),
        detection(((8, 8, 24, 24), "green")),
        detection(),
    ],
    "tell": [
        {"topic": "cat", "story": "a cat sat on the mat and slept"},
        {"topic": "dog", "story": "the dog barked at a bird"},
        {"topic": "sun", "story": "it shone"},
    ],
    "recite": [{"poem": "once upon a time there was a small model"}],
    "name": [
        {"thing": "a tomcat", "name": "red cat"},
        {"thing": "a hut", "name": "small old house"},
        {"thing": "an oak", "name": "tree"},
    ],
}


class Recorder:
    """Keeps what a run reports."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def report(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass

    @property
    def steps(self) -> list[StepDone]:
        return [event for event in self.events if isinstance(event, StepDone)]


@dataclass(frozen=True)
class Remembered:
    """A checkpoint that was trained on :data:`ROWS` until it knew them, and how its losses went."""

    checkpoint: Path
    steps: list[StepDone]
    instructions: dict[str, str]
    rows: dict[str, list[dict[str, object]]]
    catalog: Catalog

    def session(self) -> Session:
        return Session.from_pretrained(self.checkpoint, catalog=self.catalog)

    def questions(self, task: str) -> list[dict[str, object]]:
        """The rows without their answers."""
        session = self.session()
        reads = {slot.column for slot in session.resolve(task).plan.slots if slot.side == "source"}
        return [{column: value for column, value in row.items() if column in reads} for row in self.rows[task]]


@pytest.fixture(scope="session")
def remembered(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Remembered:
    """One nano model, six tasks of every shape at once."""
    recorder = Recorder()
    options: dict[str, Any] = {"steps": 160, "batch_tokens": 700, "tokenizer_size": 300, "valid_metrics": False}
    trainer = Trainer(catalog=catalog, reporters=[recorder], log_every=1, precision="float32", **options)
    tasks = [
        Task(
            name,
            INSTRUCTIONS[name],
            train=rows * 6,
            valid=False,
            weight=1.0,
            closed_sets={"name": thousand_names()} if name == "name" else None,
        )
        for name, rows in ROWS.items()
    ]
    trained = trainer.fit("nano", tasks)
    checkpoint = trained.save(tmp_path_factory.mktemp("remembered") / "checkpoint")
    return Remembered(checkpoint, recorder.steps, INSTRUCTIONS, ROWS, catalog)


@pytest.fixture(scope="session")
def draw() -> Callable[..., Image.Image]:
    """:func:`picture`."""
    return picture


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def ofa(tmp_path: Path) -> Callable[..., Done]:
    """The console script, in a process of its own, in the test's folder."""
    script = Path(sys.executable).parent / "ofa"

    def call(*arguments: object, cwd: Path = tmp_path, path: Path | None = None) -> Done:
        environment = os.environ | {"COLUMNS": "120", "OMP_NUM_THREADS": "1"}
        if path is not None:
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH")]))
        done = subprocess.run([script, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True)
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def noise() -> Callable[[torch.nn.Module], torch.nn.Module]:
    """Moves every parameter a little: a fresh model adds nothing to its residual stream, so nothing of it would show."""

    def shake(model: torch.nn.Module, seed: int = 7) -> torch.nn.Module:
        with torch.no_grad():
            for name, parameter in model.named_parameters():  # by name: what one part draws does not depend on the others
                generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{name}".encode()))
                parameter += torch.randn(parameter.shape, generator=generator) * 0.1
        return model.eval()

    return shake
