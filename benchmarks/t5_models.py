"""The generalist beside transformers' T5: two models of equal sizes, and the same rows for both.

    # R rows, U patches of a picture, F floats of a patch, P tokens of a source, D model width

T5 has the generalist's width, depth, heads, head width and vocabulary, and an MLP as wide as equal parameters ask for. Rows
are of one length, so that nothing is padded: packing has nothing to win. A word is one token, so lengths are exact.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ofa_instruction import default_catalog
from ofa_modalities.processor import Split
from ofa_modalities.segment import EncodedSegment, Example
from ofa_models import Session
from ofa_models.checkpoint import Checkpoint
from ofa_models.generalist.model import Generalist
from ofa_models.plans import InferPlan, ModelPlan, Precision
from ofa_models.precision import autocast_for
from ofa_models.zoo import build_model
from ofa_trainer import Task
from ofa_trainer.plans import TrainerOptions
from ofa_trainer.preparing import Prepared, prepare
from padded import IGNORED
from PIL import Image
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration

PARAMETER_TOLERANCE = 0.05
NUM_WORDS = 51_200
"""Words of the tokenizer, each one token; control tokens come on top."""
NUM_ROWS, SOURCE_WORDS, ANSWER_WORDS, PICTURE_PX = 8, 64, 32, 224
LINES = {
    "text": "[TEXT:src] -> [TEXT:tgt]",
    "caption": "[IMAGE:img] what does the image describe? -> [TEXT:tgt]",
    "closed": "[TEXT:src] -> [TEXT:tgt,closed_set]",
}
"""Instructions by the name of their task."""


class EqualT5(nn.Module):
    """A T5 of the generalist's sizes, with a linear map for the patches of pictures.

    It is fed what the generalist is fed: the ids of words, and the same patches in front of them.
    """

    def __init__(self, reference: Generalist) -> None:
        super().__init__()
        self.t5 = equal_t5(reference)
        self.precision = reference.plan.precision
        streams = reference.plan.adaptors
        picture = streams.get("image_patch")
        self.patch = nn.Linear(picture.unit_features or 1, reference.plan.architecture.width) if picture else None

    def loss(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Mean cross entropy of the labels, under the generalist's precision."""
        with autocast_for(self.precision, self.t5.shared.weight):
            loss: Tensor = self.t5(**self.embedded(inputs), use_cache=False).loss
        return loss

    def embedded(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs as T5 takes them: ids as they are, or with pictures embeddings ``[R, U + P, D]``."""
        rest = dict(inputs)
        patches = rest.pop("patches", None)
        if patches is None:
            return rest
        assert self.patch is not None
        words = self.t5.shared(rest.pop("input_ids"))
        return {"inputs_embeds": torch.cat([self.patch(patches).to(words.dtype), words], 1), **rest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both models. prepared: what encodes the rows. session: answers with ours."""

    ours: Generalist
    theirs: EqualT5
    prepared: Prepared
    session: Session

    def examples(self, task: str, rows: Sequence[Mapping[str, object]], *, with_targets: bool) -> list[Example]:
        """Rows of a task, encoded: for training with their targets, else to be answered."""
        rng = np.random.default_rng(0)
        encoder = self.prepared.encoder if with_targets else self.session.resolve(task).encoder
        split: Split = "train" if with_targets else "infer"
        return [encoder.encode(task, row, split=split, rng=rng, with_targets=with_targets) for row in rows]


def make_pair(size: str, precision: Precision, *, closed_set: Sequence[str] = ("w0", "w1"), seed: int = 0) -> Pair:
    """Both models with random weights, for the tasks of LINES. closed_set: what ``closed`` may answer."""
    tasks = [
        Task(name, line, train=make_rows(name, 1), valid=False, closed_sets={"tgt": closed_set} if name == "closed" else None)
        for name, line in LINES.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        word_tokenizer(Path(folder))
        options = TrainerOptions(tokenizer=folder, precision=precision)
        prepared = prepare(tasks, ModelPlan.of_size(size), options, default_catalog())
    ours = build_model(prepared.model_plan, seed=seed)
    assert isinstance(ours, Generalist)
    torch.manual_seed(seed)
    with torch.no_grad():
        for layer in (*ours.encoder, *ours.decoder):
            for name, matrix in layer.named_parameters():
                if name.endswith(("out", "down")):  # zero in a fresh model, which would then say the same of every row
                    matrix.copy_(torch.randn_like(matrix) * matrix.shape[1] ** -0.5)
    plan = InferPlan(model=prepared.model_plan, tasks=prepared.plans, vocabulary=prepared.vocabulary.plan)
    checkpoint = Checkpoint(
        plan=plan, model=ours.eval(), vocabulary=prepared.vocabulary, closed_sets=prepared.closed_sets, assets=prepared.assets
    )
    session = Session(checkpoint, catalog=prepared.catalog)
    return Pair(ours=ours, theirs=EqualT5(ours).eval(), prepared=prepared, session=session)


def make_rows(task: str, number: int = NUM_ROWS) -> list[dict[str, object]]:
    """Rows of a task of LINES, all of one length: random words, and a random picture for ``caption``."""
    rng = np.random.default_rng(0)

    def words(count: int) -> str:
        return " ".join(f"w{word}" for word in rng.integers(NUM_WORDS, size=count))

    rows: list[dict[str, object]] = []
    for _ in range(number):
        row: dict[str, object] = {"src": words(SOURCE_WORDS), "tgt": words(ANSWER_WORDS)}
        if task == "caption":
            row["img"] = Image.fromarray(rng.integers(256, size=(PICTURE_PX, PICTURE_PX, 3), dtype=np.uint8))
        rows.append(row)
    return rows


def word_tokenizer(folder: Path) -> None:
    """Write a ``tokenizer.json`` whose ids are the words ``w0``, ``w1``, …; what else a text holds is the word ``w0``."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({f"w{number}": number for number in range(NUM_WORDS)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))


def equal_t5(reference: Generalist) -> T5ForConditionalGeneration:
    """A T5 of the reference's width, depth, heads and vocabulary, its MLP as wide as equal parameters ask for."""
    size, wanted = reference.plan.architecture, num_parameters(reference)

    def build(mlp_width: int) -> T5ForConditionalGeneration:
        config = T5Config(
            vocab_size=reference.embedding.shape[0],
            d_model=size.width,
            d_kv=size.head_width,
            num_heads=size.num_heads,
            num_layers=size.encoder_layers,
            num_decoder_layers=size.decoder_layers,
            d_ff=mlp_width,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
        )
        return T5ForConditionalGeneration(config)

    with torch.device("meta"):
        counted = {width: num_parameters(build(width)) for width in (64, 128)}
    per_width = (counted[128] - counted[64]) / 64
    width = max(8, 8 * round((wanted - counted[64] + 64 * per_width) / per_width / 8))
    model = build(width)
    difference = abs(num_parameters(model) / wanted - 1)
    if difference > PARAMETER_TOLERANCE:
        raise ValueError(f"the T5 has {num_parameters(model):,} parameters, the generalist {wanted:,}")
    return model


def num_parameters(model: nn.Module) -> int:
    """Parameters, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def t5_inputs(examples: Sequence[Example], pad: int) -> dict[str, Tensor]:
    """The same ids, padded to the longest, and the same patches ``[R, U, F]`` in front of them; labels where there are some."""
    source = _stack([_ids(example.source) for example in examples], pad)
    inputs = {"input_ids": source}
    patches = [segment.units for example in examples for segment in example.source if segment.units.ndim == 2]
    if patches:
        inputs["patches"] = torch.from_numpy(np.stack(patches))
    else:
        inputs["attention_mask"] = (source != pad).long()
    if examples[0].target:
        inputs["decoder_input_ids"] = _stack([_ids(example.target) for example in examples], pad)
        inputs["labels"] = _stack([_labels(example.target) for example in examples], IGNORED)
    return inputs


def _ids(segments: Sequence[EncodedSegment]) -> Tensor:
    return torch.from_numpy(np.concatenate([segment.units for segment in segments if segment.units.ndim == 1]))


def _labels(segments: Sequence[EncodedSegment]) -> Tensor:
    parts = []
    for segment in segments:
        assert segment.labels is not None
        assert segment.weights is not None
        parts.append(np.where(segment.weights > 0, segment.labels, IGNORED))
    return torch.from_numpy(np.concatenate(parts))


def _stack(rows: list[Tensor], value: int) -> Tensor:
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
