"""The Session: a checkpoint that answers instructions.

    1  the instruction is parsed and compiled, once per text           _resolving.py
    2  each row is encoded                                             ofa_modalities.encoder
    3  rows of like length are packed to a token budget and encoded    backend.encode
    4  the target side is walked, slot by slot                         generation/
    5  what came out is decoded, column by column                      _output.py

A session holds no state but what it has compiled. It is used by one thread at a time.
"""

from __future__ import annotations

import difflib
import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from ofa_instruction import Catalog, OFAWarning, default_catalog
from ofa_instruction.plans import SlotPlan
from ofa_modalities.processor import SampleError, Split
from ofa_modalities.segment import Example
from ofa_modalities.text.equality import canonical

from ofa_models._output import Candidate, Output, OutputSlot
from ofa_models._resolving import Candidates, Resolved, Resolver, SessionError
from ofa_models.checkpoint import PLAN, Checkpoint, load_checkpoint
from ofa_models.devices import resolve_device
from ofa_models.files import file_error
from ofa_models.generation.asked import check_asked
from ofa_models.generation.diffusion import answer_by_diffusion, answer_size, diffusion_step
from ofa_models.generation.engine import generate, lane_capacity, num_copies
from ofa_models.generation.planning import answered_slots, controls_of, forced_of, plan_steps
from ofa_models.generation.steps import Hypothesis, RepeatStep, RowAnswer, Step, repeat_numbers
from ofa_models.generation.steps import Path as Place
from ofa_models.generation.unused import unused_options
from ofa_models.plans import GenerationOptions
from ofa_models.zoo import as_backend

__all__ = ["Candidate", "Output", "OutputSlot", "Session", "SessionError"]

_CACHE_TOKENS = 1 << 17
"""Places of the decoder's cache that one batch may ask for, unless one row alone needs more: rows · lanes · their capacity."""

_MOST_RESOLVED = 256
"""Instructions, each with its candidates, that stay compiled; the oldest goes first."""


class Session:
    """Answers instructions with a trained model.

    >>> session = Session.from_pretrained("checkpoint")                                             # doctest: +SKIP
    >>> session("[IMAGE:img] what does the image describe? -> [TEXT:cap]", img="photo.jpg").text    # doctest: +SKIP
    'a red umbrella'
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        catalog: Catalog | None = None,
        batch_tokens: int = 16_384,
        hosts: Iterable[str] = (),
    ) -> None:
        """batch_tokens: source tokens that are encoded together. hosts: names that URLs may be fetched from; no others are."""
        self.checkpoint = checkpoint
        self.catalog = catalog or default_catalog()
        self.batch_tokens = batch_tokens
        self._resolver = Resolver(checkpoint, self.catalog, frozenset(hosts))
        self._resolved: dict[tuple[str, object], Resolved] = {}

    def __repr__(self) -> str:
        return f"Session{repr(self.checkpoint).removeprefix('Checkpoint')}"

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        *,
        catalog: Catalog | None = None,
        device: torch.device | str = "cpu",
        batch_tokens: int = 16_384,
        hosts: Iterable[str] = (),
    ) -> Session:
        """Load a checkpoint directory.

        device: ``auto`` is a GPU where there is one. Raises CheckpointError where there is no checkpoint or its parts do not fit,
        ValueError for a device that is not there.
        """
        catalog = catalog or default_catalog()
        checkpoint = load_checkpoint(directory, catalog=catalog, device=resolve_device(device))
        return cls(checkpoint, catalog=catalog, batch_tokens=batch_tokens, hosts=hosts)

    @property
    def instructions(self) -> dict[str, tuple[str, ...]]:
        """The instructions that the checkpoint was trained with, by task."""
        return {task.name: tuple(plan.text for plan in task.instructions) for task in self.checkpoint.plan.tasks}

    def resolve(self, instruction: str, candidates: Candidates | None = None) -> Resolved:
        """The task that answers an instruction (its text, or a trained task's name), compiled once.

        Raises InstructionError for a text that is no instruction, SessionError for what the checkpoint cannot answer.
        """
        key = (instruction, _frozen(candidates))
        if key not in self._resolved:
            resolved = self._resolver.resolve(instruction, candidates)
            if len(self._resolved) >= _MOST_RESOLVED:
                del self._resolved[next(iter(self._resolved))]
            self._resolved[key] = resolved
        return self._resolved[key]

    def __call__(
        self,
        instruction: str,
        row: Mapping[str, object] | None = None,
        /,
        *,
        candidates: Candidates | None = None,
        generation: GenerationOptions | None = None,
        **columns: object,
    ) -> Output:
        """Answer one row, given as a mapping, as keywords, or both.

        candidates: of the only closed set, or by column. generation: how to answer; the checkpoint's defaults otherwise.
        Raises SessionError for columns that do not fit, SampleError for a value that cannot be used.
        """
        _check_generation(generation)
        twice = [column for column in columns if column in (row or {})]
        if twice:
            raise SessionError(f"column `{twice[0]}` is given twice, in the row and by its name")
        values = {**(row or {}), **columns}
        _check_columns(self.resolve(instruction, candidates), values)
        (output,) = self.batch(instruction, [values], candidates=candidates, generation=generation)
        return output

    @overload
    def batch(
        self,
        instruction: str,
        rows: Sequence[Mapping[str, object]],
        *,
        candidates: Candidates | None = None,
        generation: GenerationOptions | None = None,
        on_error: Literal["raise"] = "raise",
        addresses: Sequence[str] | None = None,
        rngs: Callable[[int], np.random.Generator] | None = None,
        split: Split = "infer",
        root: Path | None = None,
    ) -> list[Output]: ...

    @overload
    def batch(
        self,
        instruction: str,
        rows: Sequence[Mapping[str, object]],
        *,
        candidates: Candidates | None = None,
        generation: GenerationOptions | None = None,
        on_error: Literal["collect"],
        addresses: Sequence[str] | None = None,
        rngs: Callable[[int], np.random.Generator] | None = None,
        split: Split = "infer",
        root: Path | None = None,
    ) -> list[Output | SampleError]: ...

    def batch(
        self,
        instruction: str,
        rows: Sequence[Mapping[str, object]],
        *,
        candidates: Candidates | None = None,
        generation: GenerationOptions | None = None,
        on_error: Literal["raise", "collect"] = "raise",
        addresses: Sequence[str] | None = None,
        rngs: Callable[[int], np.random.Generator] | None = None,
        split: Split = "infer",
        root: Path | None = None,
    ) -> list[Output] | list[Output | SampleError]:
        """Answer rows, in order. Columns that the instruction does not read (its answers, for one) are left alone.

        on_error: ``collect`` puts a row's SampleError at its place. addresses: of the rows, for errors. rngs: by row number,
        what encoding draws from (masked words); drawn from the address or the row's number otherwise. root: what paths
        in the rows are relative to and must stay inside; None: they are the user's own.
        """
        resolved = self.resolve(instruction, candidates)
        self._tell_unused(resolved, generation)
        encoded: list[Example | SampleError] = []
        for number, row in enumerate(rows):
            given = addresses[number] if addresses is not None else ""
            address = given or (f"row {number + 1}" if len(rows) > 1 else "")
            rng = rngs(number) if rngs is not None else _rng(given or str(number))
            try:
                encoded.append(
                    resolved.encoder.encode(
                        resolved.task,
                        row,
                        split=split,
                        rng=rng,
                        address=address,
                        with_targets=False,
                        alternative=resolved.alternative,
                        root=root,
                    )
                )
            except SampleError as error:
                if on_error == "raise":
                    raise
                encoded.append(error)
        good = [number for number, example in enumerate(encoded) if isinstance(example, Example)]
        examples = [example for example in encoded if isinstance(example, Example)]
        answered = self.answer(resolved, examples, generation=generation, rows=[rows[number] for number in good], root=root)
        outputs = dict(zip(good, answered, strict=True))
        return [outputs[number] if number in outputs else _error(example) for number, example in enumerate(encoded)]

    def _tell_unused(self, resolved: Resolved, generation: GenerationOptions | None) -> None:
        if generation is not None:
            for message in unused_options(generation, [resolved.program], self.checkpoint.plan.generation):
                warnings.warn(f"{message} (of `{resolved.plan.text}`)", OFAWarning, stacklevel=4)

    def answer(
        self,
        resolved: Resolved,
        examples: Sequence[Example],
        *,
        generation: GenerationOptions | None = None,
        rows: Sequence[Mapping[str, object]] | None = None,
        root: Path | None = None,
    ) -> list[Output]:
        """Answer rows that are encoded already (of the resolved instruction), in order.

        rows: their raw values, kept where boxes belong to a picture so that an output can draw them.
        Raises UnsupportedGeneration for an instruction without an answer, or one generated in a way that is yet to come,
        CheckpointError where a checkpoint's own plan asks for more than a file may.
        """
        options = generation or self.checkpoint.plan.generation
        steps = plan_steps(resolved.encoder, resolved.program, options)
        self._check_asked(resolved, steps, options)
        repeats = repeat_numbers(steps)
        model = self.checkpoint.model
        was_training = model.training
        model.eval()
        outputs: list[Output | None] = [None] * len(examples)
        try:
            for chunk in self._chunks(resolved, examples, steps, options):
                answers = self._generate(resolved, [examples[number] for number in chunk], steps, options)
                for number, answer in zip(chunk, answers, strict=True):
                    row = rows[number] if rows is not None else {}
                    more = partial(self._more, resolved, examples[number], options)
                    outputs[number] = _Assembly(resolved, steps, repeats, examples[number], answer).output(row, root, more)
        finally:
            model.train(was_training)
        return [output for output in outputs if output is not None]

    def _check_asked(self, resolved: Resolved, steps: tuple[Step, ...], options: GenerationOptions) -> None:
        if self.checkpoint.folder is not None:
            weights = sum(parameter.nbytes for parameter in self.checkpoint.model.parameters())
            try:
                check_asked(self.checkpoint.plan, resolved.task, resolved.program, steps, options, weights_bytes=weights)
            except ValueError as error:
                raise file_error(self.checkpoint.folder / PLAN, str(error)) from error

    def _more(
        self, resolved: Resolved, example: Example, options: GenerationOptions, column: str, count: int
    ) -> tuple[Candidate, ...]:
        """The best candidates of one closed set, everything before it answered as it was."""
        if options.strategy != "greedy" and len(answered_slots(resolved.plan)) > 1:
            raise ValueError(
                f"`{column}` is answered behind others by `{options.strategy}`, where another number of answers may change them;"
                f" ask with GenerationOptions(num_return={count}) in the first place"
            )
        (output,) = self.answer(
            resolved, [example], generation=options.model_copy(update={"strategy": "greedy", "num_return": count})
        )
        return tuple(next(slot.candidates for slot in output.slots if slot.column == column))

    def _chunks(
        self, resolved: Resolved, examples: Sequence[Example], steps: tuple[Step, ...], options: GenerationOptions
    ) -> Iterator[list[int]]:
        """Numbers of examples that are answered together: of like length, within the budgets."""
        by_diffusion = diffusion_step(steps)
        if by_diffusion is not None:
            sizes = [answer_size(by_diffusion, resolved.program, example, options) for example in examples]
            most_rows = max(1, len(examples))
        else:
            sizes = [example.num_source_tokens for example in examples]
            forced = [forced_of(resolved.program, example) for example in examples]
            capacity = lane_capacity(steps, forced, options.max_items)
            most_rows = max(1, _CACHE_TOKENS // (num_copies(options) * capacity))
        chunk: list[int] = []
        used = 0
        for number in sorted(range(len(examples)), key=sizes.__getitem__):
            if chunk and (used + sizes[number] > self.batch_tokens or len(chunk) == most_rows):
                yield chunk
                chunk, used = [], 0
            chunk.append(number)
            used += sizes[number]
        if chunk:
            yield chunk

    @torch.no_grad()
    def _generate(
        self, resolved: Resolved, examples: Sequence[Example], steps: tuple[Step, ...], options: GenerationOptions
    ) -> list[RowAnswer]:
        backend = as_backend(self.checkpoint.model)
        row_keys = [_row_key(example) for example in examples]
        by_diffusion = diffusion_step(steps)
        if by_diffusion is not None:
            return answer_by_diffusion(
                backend, resolved.encoder, resolved.program, by_diffusion, examples, options=options, row_keys=row_keys
            )
        device = backend.token_weight().device
        memory = backend.encode(resolved.encoder.pack(examples).to(device))
        return generate(
            backend,
            memory,
            steps,
            controls=controls_of(resolved.encoder),
            options=options,
            forced=[forced_of(resolved.program, example) for example in examples],
            row_keys=row_keys,
        )


@dataclass(frozen=True, slots=True)
class _Assembly:
    """Puts the answers of one row together, column by column. repeats: their numbers, see :func:`repeat_numbers`."""

    resolved: Resolved
    steps: tuple[Step, ...]
    repeats: Mapping[int, int]
    example: Example
    answer: RowAnswer

    def output(self, row: Mapping[str, object], root: Path | None, more: Callable[[str, int], tuple[Candidate, ...]]) -> Output:
        """The row's Output."""
        plan = self.resolved.plan
        slots = [self._slot(slot) for slot in answered_slots(plan)]
        pictures = {slot.picture for slot in slots if slot.picture is not None}
        inputs = {column: row[column] for column in pictures if column in row}
        return Output(slots, log_probability=self.answer.log_probability, inputs=inputs, read_picture=_reader(root), more=more)

    def _slot(self, slot: SlotPlan) -> OutputSlot:
        depth = self.resolved.program.slots[slot.index].depth
        rule = self.resolved.program.slots[slot.index].rule
        picture = None
        if slot.refers_to is not None:
            referred = self.resolved.plan.slots[slot.refers_to]
            picture = referred.column if referred.side == "source" else None
        candidates = self._nested(slot, lambda place: self._candidates(slot, place))
        return OutputSlot(
            column=slot.column,
            modality=slot.modality,
            depth=depth,
            value=_best(candidates, depth),
            candidates=candidates,
            closed=rule is not None and rule.tree is not None,
            picture=picture,
            finished=self._ended(slot),
        )

    def _ended(self, slot: SlotPlan) -> bool:
        """Whether every answer of a slot, and the repeats around it, ended by themselves."""
        around = _repeats_around(self.steps, slot.index) or []
        if any(self.repeats[id(step)] in self.answer.stopped for step in around):
            return False
        return all(found[0].finished for (index, _), found in self.answer.slots.items() if index == slot.index)

    def _nested(self, slot: SlotPlan, make: Callable[[Place], Any]) -> Any:
        """``make`` at every place of a slot, in lists as its repeats are nested."""

        def below(repeats: Sequence[RepeatStep], place: Place) -> Any:
            if not repeats:
                return make(place)
            count = self.answer.counts.get((self.repeats[id(repeats[0])], place), 0)
            return [below(repeats[1:], (*place, item)) for item in range(count)]

        return below(_repeats_around(self.steps, slot.index) or [], ())

    def _candidates(self, slot: SlotPlan, place: Place) -> tuple[Candidate, ...]:
        """The answers found, best first; texts that are equal once."""
        found: dict[object, Candidate] = {}
        for number, hypothesis in enumerate(self.answer.slots[slot.index, place]):
            value = self._decode(slot, hypothesis, place)
            key: object = canonical(value) if hypothesis.candidate is None and isinstance(value, str) else number
            found.setdefault(key, Candidate(value, hypothesis.log_probability))
        return tuple(found.values())

    def _decode(self, slot: SlotPlan, hypothesis: Hypothesis, place: Place) -> object:
        rule = self.resolved.program.slots[slot.index].rule
        if hypothesis.candidate is not None and rule is not None and rule.answers:
            return rule.answers[hypothesis.candidate]
        encoder = self.resolved.encoder
        line = encoder.line(self.resolved.task, slot)
        item, is_cut = self._referred_item(slot, place), not hypothesis.finished
        return encoder.decode(line, hypothesis.units, self.example, item=item, is_cut=is_cut)

    def _referred_item(self, slot: SlotPlan, place: Place) -> int:
        """Which item of the slot that ``slot`` refers to: it stands outside of their repeats, or inside the same ones."""
        if slot.refers_to is None:
            return 0
        depth = self.resolved.program.slots[slot.refers_to].depth
        return place[depth - 1] if depth else 0


def _best(candidates: Any, depth: int) -> Any:
    """The value of the first candidate, in lists as the candidates are."""
    return [_best(item, depth - 1) for item in candidates] if depth else candidates[0].value


def _repeats_around(steps: Sequence[Step], slot: int) -> list[RepeatStep] | None:
    """The repeats around a slot, outermost first; None where it is not below ``steps``."""
    for step in steps:
        if isinstance(step, RepeatStep):
            inner = _repeats_around(step.body, slot)
            if inner is not None:
                return [step, *inner]
        elif getattr(step, "slot", None) == slot:
            return []
    return None


def _check_generation(generation: object) -> None:
    """Raises SessionError for what was meant as another argument."""
    if generation is not None and not isinstance(generation, GenerationOptions):
        raise SessionError(
            f"`generation` is GenerationOptions(…), not {type(generation).__name__};"
            ' a column of that name is given in a row: session(instruction, {"generation": …})'
        )


def _check_columns(resolved: Resolved, given: Mapping[str, object]) -> None:
    """Raises SessionError where a column is missing or is not one that the instruction reads."""
    slots = resolved.plan.slots
    reads = {slot.column: slot for slot in slots if slot.side == "source" or slot.no_loss}
    answers = {slot.column: slot for slot in answered_slots(resolved.plan)}
    asks = f"the instruction reads {_spell(reads)} and answers {_spell(answers)}"
    for column in given:
        if column in reads:
            continue
        if column in answers:
            raise SessionError(f"column `{column}` is what the instruction answers, so it is not given; {asks}")
        hint = _near(column, reads)
        if column in GenerationOptions.model_fields:
            hint = f"; it is an option of how to answer: generation=GenerationOptions({column}=…)"
        raise SessionError(f"the instruction has no column `{column}`{hint}; {asks}")
    for column, slot in reads.items():
        if column not in given:
            hint = " (an unnamed slot is named by its number; give it a name)" if column.isdecimal() else ""
            raise SessionError(f"the column `{column}` of [{slot.modality}:{column}] is missing{hint}; {asks}")


def _spell(slots: Mapping[str, SlotPlan]) -> str:
    return " ".join(f"[{slot.modality}:{column}]" for column, slot in slots.items()) or "nothing"


def _near(column: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(column, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _error(value: Example | SampleError) -> SampleError:
    assert isinstance(value, SampleError)
    return value


def _frozen(candidates: Candidates | None) -> object:
    if candidates is None or isinstance(candidates, str):
        return candidates
    if isinstance(candidates, Mapping):
        return tuple((column, tuple(values)) for column, values in candidates.items())
    return tuple(candidates)


def _rng(key: str) -> np.random.Generator:
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, np.uint64)))


def _row_key(example: Example) -> int:
    """A number that follows from what the model reads of a row."""
    digest = hashlib.blake2b(digest_size=8)
    for segment in example.source:
        digest.update(np.ascontiguousarray(segment.units).tobytes())
    for items in example.forced.values():
        for item in items:
            digest.update(np.ascontiguousarray(item.units).tobytes())
    return int.from_bytes(digest.digest(), "big")


def _reader(root: Path | None) -> Callable[[object, str], Any]:
    def read(value: object, column: str) -> Any:
        from ofa_modalities.image.reading import read_image

        return read_image(value, column, root=root)[0]

    return read
