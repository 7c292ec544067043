"""What every modality must hold, as one call: the built-in ones pass it, and a package that adds one calls it in its tests.

    >>> from ofa_instruction import default_catalog
    >>> from ofa_modalities.testing import Sample, check_modality
    >>> report = check_modality("TEXT", [Sample("a red cat")], distance=lambda one, other: float(one != other), tolerance=0)
    >>> report.num_encoded, report.num_decoded
    (1, 1)

The catalog must know adaptors and a backend, so ``ofa-models`` is installed, or stand-ins are given.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from ofa_instruction import Catalog, PluginChoice, SlotPlan, TaskPlan, compile, default_catalog
from ofa_instruction.binding import is_empty
from ofa_instruction.specs import AdaptorSpec, BackendSpec, ModalitySpec

from ofa_modalities.encoder import TaskEncoder
from ofa_modalities.fitting import fit_assets, fit_vocabulary
from ofa_modalities.processor import NoAnswerError, SampleError
from ofa_modalities.program import Assets
from ofa_modalities.segment import EncodedSegment, Example
from ofa_modalities.tokenizer import train_tokenizer
from ofa_modalities.vocabulary import Vocabulary

T = TypeVar("T")

COLUMN = "sample"
_WORDS = "some words"
_READ, _ANSWER = "read", "answer"

Distance = Callable[[Any, Any], float]
"""Raw value, decoded value → how far they are apart."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A raw value, and what it belongs to: modality and raw value by column (``{"img": ("IMAGE", picture)}`` of a box)."""

    value: object
    given: Mapping[str, tuple[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was looked at: samples encoded, samples decoded again, the largest distance, values refused."""

    num_encoded: int
    num_decoded: int
    largest_distance: float
    num_refused: int


def check_modality(
    spec: ModalitySpec | str,
    samples: Sequence[Sample],
    *,
    attributes: str = "",
    target_attributes: str | None = None,
    broken: Iterable[object] = (),
    distance: Distance | None = None,
    tolerance: float = 0.0,
    candidates: Sequence[str] | None = None,
    answers: bool = True,
    catalog: Catalog | None = None,
    backend: str = "generalist",
    seed: int = 0,
) -> Report:
    """Hold a modality to the seam. Raises AssertionError that says which part does not hold.

    - the options of its slots come back from JSON as they were, and the catalog takes them;
    - encoding is the same under one seed, and the same by an encoder that was pickled (into a loader worker);
    - a row has as many tokens as its specs say, packed as well as alone, and as many as the adaptor makes;
    - ``distance(value, decode(encode(value)))`` is at most ``tolerance``, where ``distance`` is given;
    - a missing column and each of ``broken`` is a SampleError that names the column; an empty value is read as nothing, one
      token, and is no answer.

    attributes: of the slot as an instruction writes them (``max_length=8,uncased``); target_attributes: of the answered one,
    the same unless given. candidates: of its closed set. answers: it can stand on the target side.
    """
    known = catalog or default_catalog()
    spec = known.modality(spec).spec if isinstance(spec, str) else spec
    _hold(samples, "give at least one sample")
    sides = _sides(spec, samples[0], attributes, attributes if target_attributes is None else target_attributes, answers)
    profile = known.backend(backend).spec
    tasks = [compile(line, known, profile, name=name, with_criteria=False) for name, line in sides.items()]
    _check_options(tasks, known)
    assets = fit_assets(tasks, known, lambda task, column: _column(samples, column), seed=seed)
    again = fit_assets(tasks, known, lambda task, column: _column(samples, column), seed=seed)
    _hold(_same_assets(assets, again), "what is fitted to the rows differs from one time to the next under one seed")
    encoder = _encoder(tasks, known, assets, candidates, profile)
    largest, decoded = 0.0, 0
    for sample in samples:
        for task in tasks:
            example = _check_encoding(encoder, task, sample, seed)
            _check_tokens(encoder, task, example, known)
        if answers and distance is not None:
            value = _decoded(encoder, tasks[-1], sample, seed)
            apart = distance(sample.value, value)
            _hold(apart <= tolerance, f"decode(encode(x)) is {apart:.6g} from {_short(sample.value)}, more than {tolerance:.6g}")
            largest, decoded = max(largest, apart), decoded + 1
    _check_empty(encoder, tasks, samples[0], seed)
    refused = _check_refusals(encoder, tasks[0], samples[0], broken, seed)
    return Report(num_encoded=len(samples), num_decoded=decoded, largest_distance=largest, num_refused=refused)


def _hold(condition: object, otherwise: str) -> None:
    """Raise AssertionError with what does not hold: a statement would be left out by ``python -O``."""
    if not condition:
        raise AssertionError(otherwise)


def _pickled(value: T) -> T:
    copy: T = pickle.loads(pickle.dumps(value))  # noqa: S301  (our own bytes, as a loader worker is given them)
    return copy


def _sides(spec: ModalitySpec, sample: Sample, read: str, answered: str, answers: bool) -> dict[str, str]:
    """The instructions that have the modality on either side."""
    given = " ".join(f"[{modality}:{column}]" for column, (modality, _) in sample.given.items())
    found = {_READ: f"{given} [{spec.name}:{COLUMN}{',' if read else ''}{read}] -> [TEXT:words]"}
    if answers:
        found[_ANSWER] = f"{given} [TEXT:words] -> [{spec.name}:{COLUMN}{',' if answered else ''}{answered}]"
    return found


def _row(sample: Sample, value: object) -> dict[str, object]:
    return {"words": _WORDS, COLUMN: value, **{column: given for column, (_, given) in sample.given.items()}}


def _column(samples: Sequence[Sample], column: str) -> list[tuple[object, Path | None]]:
    return [(_row(sample, sample.value)[column], None) for sample in samples]


def _check_options(tasks: Sequence[TaskPlan], catalog: Catalog) -> None:
    for task in tasks:
        _hold(TaskPlan.model_validate_json(task.model_dump_json()) == task, "the plan does not come back from JSON as it was")
        for slot in task.instructions[0].slots:
            _check_choice(slot.processor, "ofa.processors", catalog)
            _check_choice(slot.adaptor, "ofa.adaptors", catalog)


def _check_choice(choice: PluginChoice, group: Literal["ofa.processors", "ofa.adaptors"], catalog: Catalog) -> None:
    options = catalog.validate(choice, group)
    back = json.loads(json.dumps(options.model_dump(mode="json")))
    _hold(back == choice.options, f"the options of `{choice.name}` come back from JSON as {back}, not as {choice.options}")
    again = catalog.validate(choice.model_copy(update={"options": back}), group)
    _hold(again == options, f"the options of `{choice.name}` are {again} after a round trip, not {options}")


def _encoder(
    tasks: Sequence[TaskPlan], catalog: Catalog, assets: Assets, candidates: Sequence[str] | None, profile: BackendSpec
) -> TaskEncoder:
    names = {slot.closed_set for task in tasks for slot in task.instructions[0].slots if slot.closed_set is not None}
    _hold(not names or candidates, f"{profile.name}: its slots have the closed set {sorted(names)}; give `candidates`")
    sets = {task.name: {name: tuple(candidates or ()) for name in names} for task in tasks}
    tokenizer = train_tokenizer([_WORDS, *(candidates or ())], 300)
    vocabulary = Vocabulary(fit_vocabulary(tasks, catalog, sets, tokenizer), tokenizer)
    return TaskEncoder(tasks, catalog, vocabulary, sets, assets=assets)


def _encode(encoder: TaskEncoder, task: TaskPlan, row: Mapping[str, object], seed: int) -> Example:
    return encoder.encode(task.name, row, split="train", rng=np.random.default_rng(seed), address="conformance:row 0")


def _check_encoding(encoder: TaskEncoder, task: TaskPlan, sample: Sample, seed: int) -> Example:
    row = _row(sample, sample.value)
    example = _encode(encoder, task, row, seed)
    for other, what in ((encoder, "the second time"), (_pickled(encoder), "after pickling the encoder")):
        _hold(_same(example, _encode(other, task, row, seed)), f"{_short(sample.value)} is encoded otherwise {what}")
    _hold(_same(example, _pickled(example)), "an encoded row is another one after pickling")
    return example


def _check_tokens(encoder: TaskEncoder, task: TaskPlan, example: Example, catalog: Catalog) -> None:
    for side, segments, total in (
        ("source", example.source, example.num_source_tokens),
        ("target", example.target, example.num_target_tokens),
    ):
        _hold(total == sum(segment.num_tokens for segment in segments), f"the {side} side counts {total} tokens")
        for segment in segments:
            _hold(math.prod(segment.shape) == len(segment.units), f"units of `{segment.adaptor}` do not fill their shape")
    batch = encoder.pack([example, example])
    _hold(batch.source.num_tokens == 2 * example.num_source_tokens, "a packed row has another number of source tokens")
    _hold(batch.target.num_tokens == 2 * example.num_target_tokens, "a packed row has another number of target tokens")
    for slot in task.instructions[0].slots:
        if slot.column == COLUMN and slot.side == "source":
            (segment,) = [one for one in example.source if one.slot == encoder.line(task.name, slot)]
            _check_adaptor(segment, slot, catalog)


def _check_adaptor(segment: EncodedSegment, slot: SlotPlan, catalog: Catalog) -> None:
    """An adaptor of floats makes as many tokens as its spec says (where it is installed: a stand-in has no implementation)."""
    spec: AdaptorSpec = catalog.adaptor(slot.adaptor.name).spec
    if spec.units == "ids" or not spec.implementation:
        return
    import torch

    width = 32
    adaptor = spec.load()(catalog.validate(slot.adaptor, "ofa.adaptors"), segment.units.shape[1], width).eval()
    with torch.no_grad():
        made = adaptor.embed(torch.from_numpy(segment.units), torch.tensor([segment.shape]))
    _hold(
        tuple(made.shape) == (segment.num_tokens, width),
        f"the adaptor `{spec.name}` makes {list(made.shape)} of an item of {segment.shape},"
        f" its spec says {segment.num_tokens} tokens",
    )


def _decoded(encoder: TaskEncoder, task: TaskPlan, sample: Sample, seed: int) -> object:
    """The value of the answer that training asks for; encoded as held-out rows are, so that nothing is augmented."""
    row = _row(sample, sample.value)
    example = encoder.encode(task.name, row, split="valid", rng=np.random.default_rng(seed))
    slot = next(slot for slot in task.instructions[0].slots if slot.side == "target")
    line = encoder.line(task.name, slot)
    (segment,) = [one for one in example.target if one.slot == line]
    if segment.frames is not None:
        return encoder.decode(line, segment.frames, example)
    rule = encoder.rule(line)
    if segment.labels is None or rule is None:
        raise AssertionError("an answer of ids has no labels, or no token rule")
    units = segment.labels if rule.length is not None else segment.labels[:-1]
    allowed = {index for block in rule.blocks for index in encoder.vocabulary.block(block)}
    _hold(set(units.tolist()) <= allowed, "an answer holds ids outside of the blocks that its token rule names")
    _hold(rule.shape is None or math.prod(rule.shape) == rule.length, "a grid has as many places as the answer has units")
    return encoder.decode(line, units, example)


def _check_empty(encoder: TaskEncoder, tasks: Sequence[TaskPlan], sample: Sample, seed: int) -> None:
    """An empty value: what is read holds nothing and packs, what is answered is no row to learn from."""
    whole, empty = (_encode(encoder, tasks[0], _row(sample, value), seed) for value in (sample.value, None))
    _hold(empty.empty == (COLUMN,), f"an empty value is told as {empty.empty}")
    slot = next(slot for slot in tasks[0].instructions[0].slots if slot.column == COLUMN)
    line = encoder.line(tasks[0].name, slot)
    _hold([segment.num_tokens for segment in empty.source if segment.slot == line] == [1], "an empty value is not one token")
    batch = encoder.pack([empty, whole])
    _hold(batch.source.num_tokens == empty.num_source_tokens + whole.num_source_tokens, "an empty value does not pack")
    for task in tasks[1:]:
        try:
            _encode(encoder, task, _row(sample, None), seed)
        except NoAnswerError as error:
            _hold(error.column == COLUMN, f"an empty answer is told of the column `{error.column}`")
        else:
            raise AssertionError("an empty answer is learnt")


def _check_refusals(encoder: TaskEncoder, task: TaskPlan, sample: Sample, broken: Iterable[object], seed: int) -> int:
    count = 0
    for value in broken:
        if is_empty(value):
            continue  # It is held to what an empty value is.
        try:
            _encode(encoder, task, _row(sample, value), seed)
        except SampleError as error:
            _hold(error.column == COLUMN, f"the error of {_short(value)} names the column `{error.column}`, not `{COLUMN}`")
            _hold(error.address == "conformance:row 0", f"the error of {_short(value)} lost the row's address")
            count += 1
        else:
            raise AssertionError(f"{_short(value)} is taken without an error")
    row = _row(sample, sample.value)
    del row[COLUMN]
    try:
        encoder.encode(task.name, row, split="infer", rng=np.random.default_rng(seed), with_targets=False)
    except SampleError as error:
        _hold(error.column == COLUMN, f"a missing column is told as `{error.column}`")
        return count + 1
    raise AssertionError("a question without the column is taken without an error")


def _same(one: Example, other: Example) -> bool:
    pairs = zip((*one.source, *one.target), (*other.source, *other.target), strict=True)
    return all(_same_segment(*pair) for pair in pairs)


def _same_segment(one: EncodedSegment, other: EncodedSegment) -> bool:
    for name in EncodedSegment.__slots__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray):
            if not np.array_equal(mine, theirs):
                return False
        elif mine != theirs:
            return False
    return True


def _same_assets(one: Assets, other: Assets) -> bool:
    return one.keys() == other.keys() and all(
        one[name].keys() == other[name].keys() and all(np.array_equal(one[name][key], other[name][key]) for key in one[name])
        for name in one
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
