"""Checkpoints: round trip, and every way in which a directory can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from ofa_instruction import Catalog
from ofa_instruction.plans import InstructionPlan, TaskPlan
from ofa_modalities.closed_set import closed_set_plan
from ofa_modalities.tokenizer import train_tokenizer
from ofa_modalities.vocabulary import Vocabulary, VocabularyPlan
from ofa_models.checkpoint import CheckpointError, load_checkpoint, load_plan, save_checkpoint
from ofa_models.plans import InferPlan
from ofa_models.specs import GENERALIST, IMAGE_PATCH, TEXT
from ofa_models.zoo import build_model
from safetensors.torch import load_file, save_file

CATALOG = Catalog.from_specs(TEXT, IMAGE_PATCH, GENERALIST, distribution="ofa-models")
CLOSED = {"t": {"label": ("cat", "dog"), "odd/../name": ("a", "b\nc")}}


@pytest.fixture
def parts(plan_of):
    tokenizer = train_tokenizer(["a cat"], size=260)
    vocabulary = Vocabulary(VocabularyPlan.lay_out(tokenizer, ["TEXT"]), tokenizer)
    plan = plan_of().model_copy(update={"vocabulary_size": vocabulary.size})
    instruction = InstructionPlan(text="", source=(), target=())
    sets = tuple(closed_set_plan(name, candidates) for name, candidates in CLOSED["t"].items())
    task = TaskPlan(name="t", backend="generalist", segment_layout="per_slot", instructions=(instruction,), closed_sets=sets)
    infer = InferPlan(model=plan, tasks=(task,), vocabulary=vocabulary.plan)
    return {"plan": infer, "model": build_model(plan, CATALOG), "vocabulary": vocabulary, "closed_sets": CLOSED}


def test_round_trip(tmp_path, parts):
    save_checkpoint(tmp_path / "deep" / "run", **parts)
    loaded = load_checkpoint(tmp_path / "deep" / "run", catalog=CATALOG)
    assert loaded.plan.model == parts["plan"].model
    assert loaded.plan.versions["torch"] == torch.__version__
    assert loaded.closed_sets == CLOSED
    assert not loaded.model.training
    for name, tensor in parts["model"].state_dict().items():
        assert torch.equal(tensor, loaded.model.state_dict()[name])
    assert loaded.vocabulary.tokenizer.encode("a cat") == parts["vocabulary"].tokenizer.encode("a cat")
    assert list(tmp_path.joinpath("deep").iterdir()) == [tmp_path / "deep" / "run"]


def test_saving_again_replaces_and_extra_files_come_along(tmp_path, parts):
    save_checkpoint(tmp_path / "run", **parts)
    with torch.no_grad():
        parts["model"].embedding += 1
    save_checkpoint(tmp_path / "run", **parts, extra=lambda directory: directory.joinpath("run.json").write_text("{}"))
    assert torch.equal(load_checkpoint(tmp_path / "run", catalog=CATALOG).model.embedding, parts["model"].embedding)
    assert (tmp_path / "run" / "run.json").read_text() == "{}"


def test_a_failed_save_leaves_the_old_one(tmp_path, parts):
    save_checkpoint(tmp_path / "run", **parts)
    before = load_file(tmp_path / "run" / "model.safetensors")["embedding"]
    with torch.no_grad():
        parts["model"].embedding += 1

    def fail(directory: Path) -> None:
        raise OSError("disk full")

    with pytest.raises(CheckpointError, match="run` cannot be written: disk full; what was there is unchanged"):
        save_checkpoint(tmp_path / "run", **parts, extra=fail)
    assert torch.equal(load_checkpoint(tmp_path / "run", catalog=CATALOG).model.embedding, before)
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def test_a_replacement_that_was_cut_off_is_put_back(tmp_path, parts):
    save_checkpoint(tmp_path / "run", **parts)
    (tmp_path / "run").rename(tmp_path / ".run.previous")
    assert load_plan(tmp_path / "run").model == parts["plan"].model


def test_tensors_that_share_memory_are_stored_once(tmp_path, parts):
    parts["model"].twin = parts["model"].embedding
    save_checkpoint(tmp_path / "run", **parts)
    assert "twin" not in load_file(tmp_path / "run" / "model.safetensors")


def test_weights_that_do_not_fit_are_all_listed(tmp_path, parts):
    save_checkpoint(tmp_path / "run", **parts)
    file = tmp_path / "run" / "model.safetensors"
    weights = load_file(file)
    weights["stray"] = weights.pop("final_gain")
    weights["encoder.0.mlp.up"] = torch.zeros(2, 3)
    save_file(weights, file)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "run", catalog=CATALOG)
    message = str(caught.value)
    assert "in 3 weights" in message
    assert "missing: final_gain 64" in message
    assert "unexpected: stray 64" in message
    assert "mis-shaped: encoder.0.mlp.up is 2×3, the model's 128×64" in message


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda run: shutil.rmtree(run), "there is no such directory"),
        (lambda run: run.joinpath("plan.json").unlink(), "it has no `plan.json`"),
        (lambda run: run.joinpath("plan.json").write_text("{"), "plan.json` is not JSON"),
        (lambda run: run.joinpath("plan.json").write_bytes(b"\xff\xfe"), "plan.json` is not UTF-8"),
        (lambda run: run.joinpath("model.safetensors").write_bytes(b"junk"), "model.safetensors` is no safetensors file"),
        (lambda run: run.joinpath("tokenizer.json").unlink(), "tokenizer.json` is missing"),
        (lambda run: shutil.rmtree(run / "closed_sets"), "closed_sets/.*` is missing"),
        (lambda run: [f.write_text('["x"]') for f in run.joinpath("closed_sets").iterdir()], "has 2 candidates, not 1"),
        (lambda run: [f.write_text('["x", "y"]') for f in run.joinpath("closed_sets").iterdir()], "its digest differs"),
    ],
)
def test_a_damaged_directory_is_one_clear_error(tmp_path, parts, damage, told):
    save_checkpoint(tmp_path / "run", **parts)
    damage(tmp_path / "run")
    with pytest.raises(CheckpointError, match=told):
        load_checkpoint(tmp_path / "run", catalog=CATALOG)


def test_a_directory_of_other_things_is_not_overwritten(tmp_path, parts):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(CheckpointError, match="is not a checkpoint; choose another"):
        save_checkpoint(tmp_path / "photos", **parts)


def test_missing_candidates_are_told_before_anything_is_written(tmp_path, parts):
    with pytest.raises(CheckpointError, match="closed set `label`"):
        save_checkpoint(tmp_path / "run", **parts | {"closed_sets": {}})
    assert list(tmp_path.iterdir()) == []
