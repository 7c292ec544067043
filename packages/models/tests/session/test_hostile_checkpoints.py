"""Checkpoints that somebody made to do harm, or that came to harm: one short error that names the file, and nothing is built."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ofa_instruction import Catalog
from ofa_models import Checkpoint, GenerationOptions, Session
from ofa_models.checkpoint import CheckpointError, check_checkpoint, load_checkpoint, save_checkpoint
from ofa_models.generation.asked import check_asked
from ofa_models.generation.planning import plan_steps
from safetensors.numpy import load_file, save_file

FUZZED_PLANS = int(os.environ.get("OFA_FUZZ_ROUNDS", "60"))
FUZZED_TOKENIZERS = FUZZED_PLANS // 2


@pytest.fixture(scope="module")
def sound(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "run"
    save_checkpoint(
        folder,
        plan=checkpoint.plan,
        model=checkpoint.model,
        vocabulary=checkpoint.vocabulary,
        closed_sets=checkpoint.closed_sets,
        assets={},
    )
    return folder


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def told(folder: Path, catalog: Catalog) -> str:
    """What loading says, which is what checking says."""
    with pytest.raises(CheckpointError) as loading:
        Session.from_pretrained(folder, catalog=catalog)
    with pytest.raises(CheckpointError) as checking:
        check_checkpoint(folder, catalog=catalog)
    message = str(loading.value)
    assert str(checking.value) == message
    return short(message)


def short(message: str) -> str:
    assert message.count("\n") <= 1
    assert len(message) < 900
    assert not any(ord(character) < 32 for character in message.replace("\n", ""))
    assert "pydantic" not in message
    return message


def change(folder: Path, path: str, value: object) -> None:
    """Set one value of the plan by its dotted path."""
    file = folder / "plan.json"
    plan = json.loads(file.read_text(encoding="utf-8"))
    *above, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    here: Any = plan
    for key in above:
        here = here[key]
    here[last] = value
    file.write_text(json.dumps(plan), encoding="utf-8")


def test_a_sound_one_is_loaded_and_its_weights_are_those_of_the_file(sound: Path, catalog: Catalog) -> None:
    check_checkpoint(sound, catalog=catalog)
    stored = load_file(sound / "model.safetensors")
    model = load_checkpoint(sound, catalog=catalog).model
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == {k: v.shape for k, v in stored.items()}
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad
        assert np.array_equal(parameter.detach().numpy(), stored[name].astype(np.float32))
    before = (sound / "model.safetensors").read_bytes()
    model.get_parameter("embedding").data.add_(1)  # a page of its own: the file stays as it is
    assert (sound / "model.safetensors").read_bytes() == before


LIMITS: list[tuple[str, object]] = [
    ("model.architecture.width", 10**9),
    ("model.architecture.encoder_layers", 10**9),
    ("model.architecture.decoder_layers", 10**6),
    ("model.architecture.num_heads", 10**9),
    ("model.architecture.head_width", 10**9),
    ("model.architecture.mlp_width", 10**9),
    ("model.architecture.rotary_base", float("nan")),
    ("model.architecture.dropout", 1e308),
    ("model.vocabulary_size", 10**9),
    ("model.adaptors.image_patch.unit_features", 10**9),
    ("model.untied", [[0, 10**9]]),
    ("vocabulary.blocks.1.size", 10**9),
    ("generation.num_beams", 10**9),
    ("generation.num_return", 10**9),
    ("generation.max_length", 10**9),
    ("generation.max_items", 10**9),
    ("generation.temperature", 1e-300),
    ("generation.seed", 10**5000),
    ("tasks.0.instructions.0.target.0.generator.max_length", 10**9),
    ("tasks.1.closed_sets.0.size", 10**9),
    ("tasks.0.instructions.0.source.0.index", -1),
]


@pytest.mark.parametrize(("path", "value"), LIMITS, ids=[path for path, _ in LIMITS])
def test_a_number_beyond_its_limit_is_told_with_its_field(run: Path, catalog: Catalog, path: str, value: object) -> None:
    if isinstance(value, int) and value > 10**4000:
        text = (run / "plan.json").read_text(encoding="utf-8").replace('"seed": 0', '"seed": 1' + "0" * 5000)
        (run / "plan.json").write_text(text, encoding="utf-8")
    else:
        change(run, path, value)
    assert "plan.json` " in told(run, catalog)


ASKED: list[tuple[str, object, str]] = [
    ("generation", {"strategy": "beam", "num_beams": 1024}, "`generation` and `tasks.9` (`story`): 1,024 answers at once"),
    ("generation", {"strategy": "sample", "num_return": 1024}, "`generation` and `tasks.9` (`story`): 1,024 answers at once"),
    ("generation.max_length", 65_536, "`tasks.9` (`story`): an answer of up to 65,537 units"),
    ("tasks.9.instructions.0.target.0.generator.max_length", 65_536, "`tasks.9` (`story`): an answer of up to 65,537"),
]


@pytest.mark.parametrize(("path", "value", "what"), ASKED)
def test_a_plan_within_its_limits_that_asks_for_hours_of_answers(
    run: Path, catalog: Catalog, path: str, value: object, what: str
) -> None:
    change(run, path, value)
    session = Session.from_pretrained(run, catalog=catalog)
    with pytest.raises(CheckpointError) as error:
        session("story")
    assert what in short(str(error.value))
    assert "plan.json` " in str(error.value)
    own = GenerationOptions(strategy="beam", num_beams=2, max_length=3)
    assert isinstance(session("story", generation=own).text, str)


def test_what_answers_take_is_within_what_a_plan_may_ask(run: Path, catalog: Catalog) -> None:
    change(run, "generation", {"strategy": "beam", "num_beams": 8, "max_length": 500})
    session = Session.from_pretrained(run, catalog=catalog)
    resolved = session.resolve("story")
    plan = session.checkpoint.plan
    steps = plan_steps(resolved.encoder, resolved.program, plan.generation)
    check_asked(plan, "story", resolved.program, steps, plan.generation)
    repeats = session.resolve("describe")
    for asked in (GenerationOptions(max_items=4096), GenerationOptions(strategy="beam", num_beams=4, max_items=4096)):
        by_plan = plan.model_copy(update={"generation": asked})
        check_asked(by_plan, "describe", repeats.program, plan_steps(repeats.encoder, repeats.program, asked), asked)


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("tasks.3.instructions.0.target.0.refers_to", 9, "refers to slot 9, and there are 3"),
        ("tasks.3.instructions.0.target.0.refers_to", 2, "refers to itself"),
        ("tasks.3.instructions.0.target.0.refers_to", -1, "refers to slot -1"),
        ("tasks.3.instructions.0.source.0.refers_to", 2, "refers to itself, by way of slot 2"),
        ("tasks.3.instructions.0.target.0.no_loss", True, "has a generator"),
        ("tasks.3.instructions.0.target.0.processor.options.bins", 65_536, "it needs 65,536 ids `bin`"),
        ("tasks.3.instructions.0.target.0.processor.name", "unheard", "unknown processor `unheard`"),
        ("tasks.1.closed_sets", [], "no closed set `answer`"),
        ("tasks.0.name", "vqa", "two tasks have one name: `vqa`"),
        ("tasks.0.backend", "other", "it is of the backend `other`"),
        ("model.architecture.mlp_width", 64, "mis-shaped: encoder.0.mlp.gate"),
        ("model.architecture.decoder_layers", 1, "unexpected: decoder.1"),
        ("model.backend", "unheard", "of the backend `generalist`, the model of `unheard`"),
    ],
)
def test_parts_that_do_not_fit_each_other(run: Path, catalog: Catalog, path: str, value: object, what: str) -> None:
    change(run, path, value)
    assert what in told(run, catalog)


def _link(to: str) -> Callable[[Path], None]:
    def link(file: Path) -> None:
        file.unlink()
        file.symlink_to(to)

    return link


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _huge(file: Path) -> None:
    with file.open("r+b") as handle:
        handle.truncate(3 << 30)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "random": lambda file: file.write_bytes(random.Random(0).randbytes(3000)),
    "deep": lambda file: file.write_bytes(b"[" * 100_000 + b"]" * 100_000),
    "pickled": lambda file: file.write_bytes(pickle.dumps({"a": 1})),
    "not UTF-8": lambda file: file.write_bytes(b'{"a": "\xe9"}'),
    "other keys": lambda file: file.write_bytes(b'{"other": 1}'),
    "other kind": lambda file: file.write_bytes(b"[7]"),
    "other tensors": lambda file: save_file({"x": np.zeros(3, np.float32)}, file),
    "a folder": _folder,
    "a pipe": _fifo,
    "a device": _link("/dev/zero"),
    "a secret": _link("/etc/passwd"),
    "a circle": lambda file: _link(file.name)(file),
    "huge": _huge,
}
FILES = ["plan.json", "model.safetensors", "tokenizer.json", "closed_sets/answer-*.json"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pattern", FILES)
def test_a_damaged_file_is_named(run: Path, catalog: Catalog, pattern: str, damage: str) -> None:
    (file,) = run.glob(pattern)
    DAMAGES[damage](file)
    message = told(run, catalog)
    assert file.name in message
    assert "root:" not in message


def test_a_link_inside_the_folder_is_followed_and_one_out_of_it_is_not(run: Path, catalog: Catalog, tmp_path: Path) -> None:
    (run / "plan.json").rename(run / "other.json")
    (run / "plan.json").symlink_to("other.json")
    load_checkpoint(run, catalog=catalog)
    (run / "closed_sets").rename(tmp_path / "elsewhere")
    (run / "closed_sets").symlink_to(tmp_path / "elsewhere")
    assert "is a link out of its folder" in told(run, catalog)


# Fuzzing: OFA_FUZZ_ROUNDS says how often

NUMBERS = [-1, 0, 1, 2, 7, 255, 10**6, 10**9, 1 << 31, -(1 << 63), 10**30, 0.5, 1e308, -1e308, float("nan"), float("inf")]
TEXTS = ["", "x", "x" * 9000, "\x1b[31m\x00\n\r", "\u202e", "\ud800", "TEXT", "text", "source", "../../etc/passwd", "0" * 64]
OTHERS: list[Any] = [None, True, {}, [], [[]], {"a": 1}, [1] * 1000]


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from _paths(value, (*path, key))


def mutated(tree: Any, paths: list[tuple[Any, ...]], rng: random.Random) -> Any:
    """The tree with one to three values changed, removed, doubled, or moved to where others belong."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice([1, 1, 2, 3])):
        *above, key = rng.choice(paths)
        here = tree
        try:
            for step in above:
                here = here[step]
            old = here[key]
        except (KeyError, IndexError, TypeError):
            continue
        if not isinstance(here, dict | list):
            continue
        match rng.choice(["number", "text", "other", "remove", "double", "move", "deep"]):
            case "number":
                here[key] = rng.choice([*NUMBERS, old * 2 if isinstance(old, int) else 3])
            case "text":
                here[key] = rng.choice(TEXTS)
            case "other":
                here[key] = copy.copy(rng.choice(OTHERS))
            case "remove":
                del here[key]
            case "double" if isinstance(here, list):
                here.insert(key, copy.deepcopy(old))
            case "move":
                value = tree
                for step in rng.choice(paths):
                    value = value[step] if isinstance(value, dict) and step in value else 7
                here[key] = copy.deepcopy(value)
            case _:
                value = old
                for _ in range(rng.choice([3, 70])):
                    value = [value]
                here[key] = value
    return tree


@pytest.mark.parametrize(("pattern", "rounds"), [("plan.json", FUZZED_PLANS), ("tokenizer.json", FUZZED_TOKENIZERS)])
def test_whatever_is_changed_it_is_loaded_or_told(run: Path, catalog: Catalog, pattern: str, rounds: int) -> None:
    (file,) = run.glob(pattern)
    whole = json.loads(file.read_text(encoding="utf-8"))
    paths = list(_paths(whole))
    refused = 0
    for seed in range(rounds):
        rng = random.Random(seed)
        data = bytearray(json.dumps(mutated(whole, paths, rng)).encode("utf-8", "surrogatepass"))
        if rng.random() < 0.1:
            data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(data)
        message = what_it_says(run, catalog)
        assert message is None or str(run) in short(message), f"seed {seed}"
        refused += message is not None
    assert refused > rounds // 2


def what_it_says(folder: Path, catalog: Catalog) -> str | None:
    try:
        Session.from_pretrained(folder, catalog=catalog)
    except CheckpointError as error:
        return str(error)
    return None
