"""Plans of this package: the model, how it answers, and what a checkpoint's ``plan.json`` holds. No torch here.

>>> plan = ModelPlan.of_size("tiny", dropout=0.1)
>>> plan.architecture.width, plan.architecture.dropout, plan.is_complete
(128, 0.1, False)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self, get_args

from ofa_instruction.plans import LONGEST_ANSWER, MOST_IDS, Plan, PluginChoice, TaskPlan
from ofa_instruction.telling import named
from ofa_modalities.vocabulary_plan import VocabularyPlan
from pydantic import Field, model_validator

MOST_LANES = 1024
"""Most answers of one row that are on their way at once."""

Size = Literal["nano", "tiny", "small", "base", "large"]
AttentionKind = Literal["auto", "reference", "sdpa", "xformers"]
Precision = Literal["auto", "float32", "bfloat16"]


class Architecture(Plan):
    """Shape of the generalist."""

    width: int = Field(ge=8, le=32_768, multiple_of=8)
    encoder_layers: int = Field(ge=1, le=256)
    decoder_layers: int = Field(ge=1, le=256)
    num_heads: int = Field(ge=1, le=512)
    head_width: int = Field(ge=8, le=1024, multiple_of=8)
    """Channels of one head; a multiple of 8 keeps every attention kernel usable."""
    mlp_width: int = Field(ge=8, le=262_144, multiple_of=8)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    modality_experts: bool = False
    """One encoder MLP per modality with hard routing instead of one MLP for all."""
    rotary_base: float = Field(default=10_000.0, gt=1, le=1e12)
    """The slowest rotary channel turns once in about 2π · base positions."""


SIZES: Mapping[str, Architecture] = {
    "nano": Architecture(width=64, encoder_layers=2, decoder_layers=2, num_heads=2, head_width=32, mlp_width=128),
    "tiny": Architecture(width=128, encoder_layers=3, decoder_layers=2, num_heads=2, head_width=64, mlp_width=256),
    "small": Architecture(width=384, encoder_layers=6, decoder_layers=4, num_heads=6, head_width=64, mlp_width=1024),
    "base": Architecture(width=768, encoder_layers=8, decoder_layers=6, num_heads=12, head_width=64, mlp_width=2048),
    "large": Architecture(width=1024, encoder_layers=16, decoder_layers=12, num_heads=16, head_width=64, mlp_width=2816),
}


def resolve_architecture(size: str, /, **overrides: Any) -> Architecture:
    """The architecture of a named size with some fields changed. Raises ValueError for an unknown size or field."""
    if size not in SIZES:
        raise ValueError(f"unknown model size `{size}`; known: {' '.join(get_args(Size))}{_nearest(size, SIZES)}")
    for key in overrides:
        if key not in Architecture.model_fields:
            known = " ".join(Architecture.model_fields)
            raise ValueError(f"unknown architecture field `{key}`; known: {known}{_nearest(key, Architecture.model_fields)}")
    return Architecture.model_validate(SIZES[size].model_dump() | overrides)


def _nearest(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""


class StreamPlan(Plan):
    """A stream of the model and the adaptor that its units pass through."""

    adaptor: PluginChoice
    unit_features: int | None = Field(default=None, ge=1, le=1 << 20)
    """F, the width of a float unit; None where units are ids."""


class ModelPlan(Plan):
    """A model: complete once its vocabulary is known, partial before (``fit`` completes it)."""

    schema_version: Literal[1] = 1
    backend: str = "generalist"
    size: str = "tiny"
    """Name of the size that the architecture started from; a label only."""
    architecture: Architecture
    vocabulary_size: int | None = Field(default=None, ge=1, le=MOST_IDS)
    adaptors: dict[str, StreamPlan] = Field(default_factory=dict, max_length=256)
    """By the name a batch's streams carry."""
    modalities: tuple[str, ...] = Field(default=(), max_length=256)
    """Modalities of the run in sorted order; modality experts are made for these."""
    untied: tuple[tuple[int, int], ...] = Field(default=(), max_length=4096)
    """Sorted ranges (start, stop) of ids with output weights of their own; all others are scored with their embedding."""
    attention: AttentionKind = "auto"
    precision: Precision = "float32"
    """Autocast precision; parameters are float32 always. ``auto``: bfloat16 where the processor multiplies it natively."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.vocabulary_size is not None and "text" not in self.adaptors:
            raise ValueError("a complete model plan needs the stream `text`: fixed words and control tokens pass through it")
        before = 0
        for start, stop in self.untied:
            if not before <= start < stop or (self.vocabulary_size is not None and stop > self.vocabulary_size):
                raise ValueError(f"the untied ids {start} .. {stop - 1} overlap others, or lie outside of the vocabulary")
            before = stop
        return self

    @classmethod
    def of_size(
        cls,
        size: str = "tiny",
        *,
        backend: str = "generalist",
        attention: AttentionKind = "auto",
        precision: Precision = "float32",
        **overrides: Any,
    ) -> ModelPlan:
        """A partial plan of a named size; ``overrides`` are fields of :class:`Architecture`."""
        architecture = resolve_architecture(size, **overrides)
        return cls(backend=backend, size=size, architecture=architecture, attention=attention, precision=precision)

    @property
    def is_complete(self) -> bool:
        """Whether a model can be built from it."""
        return self.vocabulary_size is not None

    def complete(
        self,
        *,
        vocabulary_size: int,
        tasks: Iterable[TaskPlan],
        unit_features: Mapping[str, int | None] | None = None,
        untied: Iterable[tuple[int, int]] = (),
    ) -> ModelPlan:
        """The same plan with vocabulary, streams and modalities of ``tasks`` filled in.

        unit_features: F of each adaptor with float units, by adaptor name. untied: ranges of ids with a head of their own.
        Raises ValueError where two slots use one adaptor with different options.
        """
        adaptors = {"text": StreamPlan(adaptor=PluginChoice(name="text", distribution="ofa-models"))}
        modalities: set[str] = set()
        for task in tasks:
            for slot in (slot for instruction in task.instructions for slot in instruction.slots):
                modalities.add(slot.modality)
                name = slot.adaptor.name
                stream = StreamPlan(adaptor=slot.adaptor, unit_features=(unit_features or {}).get(name))
                if adaptors.setdefault(name, stream) != stream:
                    raise ValueError(
                        f"task `{task.name}`, slot `{slot.column}`: the adaptor `{name}` is used with other options elsewhere "
                        f"({adaptors[name].adaptor.options} and {slot.adaptor.options}); one model has one of each"
                    )
        ordered = dict(sorted(adaptors.items()))
        changes = {
            "vocabulary_size": vocabulary_size,
            "adaptors": ordered,
            "modalities": tuple(sorted(modalities)),
            "untied": tuple(sorted(untied)),
        }
        return self.model_copy(update=changes)


class GenerationOptions(Plan):
    """How target slots are answered; a slot's own generator plan gives the longest length."""

    strategy: Literal["greedy", "beam", "sample"] = "greedy"
    num_beams: int = Field(default=4, ge=1, le=MOST_LANES)
    """Beams of ``beam``; the other strategies ignore it."""
    temperature: float = Field(default=1.0, ge=1e-3, le=1e3)
    top_k: int | None = Field(default=None, ge=1, le=MOST_IDS)
    top_p: float | None = Field(default=None, gt=0, le=1)
    length_penalty: float = Field(default=1.0, ge=-20, le=20)
    """Scores of finished beams are divided by length ** length_penalty."""
    no_repeat_ngram_size: int | None = Field(default=None, ge=1, le=LONGEST_ANSWER)
    repetition_penalty: float | None = Field(default=None, ge=1e-2, le=1e2)
    """Logits of units already in the answer are divided by it (above 0) or multiplied with it (below 0)."""
    min_length: int | None = Field(default=None, ge=1, le=LONGEST_ANSWER)
    """Units of an open slot before ``<end>`` may come."""
    max_length: int | None = Field(default=None, ge=1, le=LONGEST_ANSWER)
    """Overrides the longest length of every open slot, in units."""
    length: int | None = Field(default=None, ge=1, le=LONGEST_ANSWER)
    """Frames of an answer by diffusion, in place of what its slot says."""
    guidance: float | None = Field(default=None, ge=0, le=1000)
    """Scale of classifier-free guidance of an answer by diffusion, in place of what its slot says; 1: none."""
    max_items: int = Field(default=32, ge=0, le=4096)
    """Items of a repeat after which no further one is asked for."""
    seed: int = Field(default=0, ge=-(2**63), lt=2**64)
    num_return: int = Field(default=1, ge=1, le=MOST_IDS)
    """Answers of each row, best first; of a closed set any number, else 1,024 at most."""

    @model_validator(mode="after")
    def _answers_have_room(self) -> Self:
        if self.strategy != "greedy" and self.num_return > MOST_LANES:
            raise ValueError(f"num_return is {self.num_return:,}: by `{self.strategy}` at most {MOST_LANES:,} are answered")
        if self.min_length is not None and self.max_length is not None and self.min_length > self.max_length:
            raise ValueError(f"min_length={self.min_length} is more than max_length={self.max_length}")
        return self


class DataReading(Plan):
    """How the files of a task were read, so that others are read alike.

    columns: column of the instruction → column of the data. delimiter, encoding: of CSV files; None: comma, UTF-8.
    """

    columns: dict[str, str] = Field(default_factory=dict)
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._:-]{1,40}$")


def without_effect(options: GenerationOptions) -> dict[str, str]:
    """Options that the strategy leaves unused whatever is answered, each with the reason."""
    found: dict[str, str] = {}
    if options.strategy != "beam" and options.num_beams > 1:
        found["num_beams"] = "it is for strategy=`beam`"
    if options.strategy != "beam":
        found["length_penalty"] = "it is for strategy=`beam`"
    if options.strategy != "sample":
        found |= dict.fromkeys(("temperature", "top_k", "top_p"), "it is for strategy=`sample`")
    return found


class InferPlan(Plan):
    """What inference needs, beside the weights: a checkpoint's ``plan.json``. Closed sets lie beside it as files."""

    schema_version: Literal[1] = 1
    model: ModelPlan
    tasks: tuple[TaskPlan, ...]
    vocabulary: VocabularyPlan
    generation: GenerationOptions = GenerationOptions()
    """Defaults of a Session; a call may say otherwise."""
    assets: dict[str, str] = Field(default_factory=dict)
    """What processors have fitted to the rows of the run: digests by name; the arrays lie beside the plan as files."""
    data: dict[str, DataReading] = Field(default_factory=dict)
    """By task, for those whose files are not read as they stand."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the distributions that wrote it, for reports."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.model.vocabulary_size != sum(block.size for block in self.vocabulary.blocks):
            raise ValueError("the model and the vocabulary of a checkpoint are of different sizes")
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError(f"two tasks have one name: {named(next(name for name in names if names.count(name) > 1))}")
        return self
