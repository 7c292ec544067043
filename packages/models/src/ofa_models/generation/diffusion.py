"""Answers of a slot of float rows that are denoised together.

    # R rows, C copies of each, U units of all of them, F unit features

The rows of a batch, each as often as answers are asked of it, are packed once with targets of the right lengths; each step only
puts other units into the target's stream. Under guidance the same rows follow once more without a source (Ho and Salimans
2022, arXiv 2207.12598). Frames that are given are put back into every prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from ofa_modalities.batch import PackedBatch, Stream
from ofa_modalities.encoder import TaskEncoder
from ofa_modalities.processor import Item
from ofa_modalities.program import Program, SlotStep, TextStep
from ofa_modalities.segment import EncodedSegment, Example
from torch import Tensor

from ofa_models.backend import Memory, ModelBackend
from ofa_models.generation.planning import UnsupportedGeneration
from ofa_models.generation.scores import Draws
from ofa_models.generation.steps import DiffusionStep, Hypothesis, RowAnswer, Step
from ofa_models.noise import Noise, sampling_scheduler
from ofa_models.plans import GenerationOptions


def diffusion_step(steps: Sequence[Step]) -> DiffusionStep | None:
    """The step that is answered by diffusion, where there is one."""
    return next((step for step in steps if isinstance(step, DiffusionStep)), None)


def answer_length(step: DiffusionStep, program: Program, example: Example) -> int:
    """Units of the answer to one row: as asked, else of the item it refers to, else as is usual.

    Raises UnsupportedGeneration where nothing says it, or where some units are given and another length is asked for.
    """
    slot = program.slots[step.slot].slot
    item = _referred(step, program, example)
    if item is not None and item.known is not None and step.length not in (None, len(item.known)):
        raise UnsupportedGeneration(
            f"slot `{slot.column}`: some of its {len(item.known)} frames are given, so it cannot have {step.length}"
        )
    length = step.length or (item.shape[0] if item is not None else program.slots[step.slot].processor.default_length())
    if length is None:
        raise UnsupportedGeneration(f"slot `{slot.column}`: nothing says how long the answer is; ask with `length`")
    return length


def answer_size(step: DiffusionStep, program: Program, example: Example, options: GenerationOptions) -> int:
    """Tokens that the row adds to a batch, all its copies together."""
    length = answer_length(step, program, example)
    guided = length if step.guidance != 1 else 0
    return options.num_return * (example.num_source_tokens + length + guided)


@torch.no_grad()
def answer_by_diffusion(
    backend: ModelBackend,
    encoder: TaskEncoder,
    program: Program,
    step: DiffusionStep,
    examples: Sequence[Example],
    *,
    options: GenerationOptions,
    row_keys: Sequence[int],
) -> list[RowAnswer]:
    """Answer every row, ``num_return`` times.

    row_keys: int of each row that its noise is drawn by together with ``options.seed``; what else is in the batch does not
    matter. Diffusion says no probability: that of an answer is 1.
    """
    features = program.slots[step.slot].processor.unit_features
    assert features is not None, "an answer by diffusion has float units"
    lengths: list[int] = []
    copies: list[Example] = []
    noise: list[NDArray[np.float32]] = []
    for example, key in zip(examples, row_keys, strict=True):
        length = answer_length(step, program, example)
        for copy in range(options.num_return):
            lengths.append(length)
            copies.append(_with_target(program, example, length, features))
            noise.append(Draws(options.seed, key, copy).normal((length, features)))
    weight = backend.token_weight()
    known, given = _known_units(step, program, examples, lengths, options.num_return, features)
    denoiser = _Denoiser(backend, encoder, step, copies)
    units = denoiser.run(
        torch.from_numpy(np.concatenate(noise)).to(weight.device, weight.dtype),
        torch.from_numpy(known).to(weight.device),
        torch.from_numpy(given).to(weight.device, weight.dtype),
    )
    answers = [part.float().cpu().numpy() for part in torch.split(units, lengths)]
    found = [Hypothesis(units=answer, log_probability=0.0, score=0.0) for answer in answers]
    return [
        RowAnswer(slots={(step.slot, ()): tuple(found[start : start + options.num_return])}, counts={})
        for start in range(0, len(found), options.num_return)
    ]


def _referred(step: DiffusionStep, program: Program, example: Example) -> Item | None:
    index = program.slots[step.slot].slot.refers_to
    items = example.referred.get(index, ()) if index is not None else ()
    return items[0] if items and not items[0].is_nothing else None


def _with_target(program: Program, example: Example, length: int, features: int) -> Example:
    """The example with a target whose units are to be filled in."""
    target: list[EncodedSegment] = []
    for part in program.target:
        match part:
            case TextStep():
                target.append(part.segment)
            case SlotStep():
                target.append(
                    EncodedSegment(
                        slot=part.line,
                        adaptor=part.adaptor,
                        units=np.zeros((length, features), np.float32),
                        shape=(length,),
                        layout=part.adaptor_spec.layout(part.adaptor_options, (length,)).shape,
                        time=0.0,
                    )
                )
            case _:
                raise UnsupportedGeneration(f"`{program.plan.text}`: a repeat beside an answer by diffusion")
    count = sum(segment.num_tokens for segment in target)
    return replace(example, target=tuple(target), num_target_tokens=count, causal=False)


def _known_units(
    step: DiffusionStep, program: Program, examples: Sequence[Example], lengths: Sequence[int], copies: int, features: int
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Bool ``[U, 1]`` and float32 ``[U, F]``: units that a source slot of the same column gives to the answer."""
    known = np.zeros((sum(lengths), 1), np.bool_)
    given = np.zeros((sum(lengths), features), np.float32)
    slot = program.slots[step.slot].slot
    if slot.refers_to is None or program.slots[slot.refers_to].slot.column != slot.column:
        return known, given
    start = 0
    for number, length in enumerate(lengths):
        item = _referred(step, program, examples[number // copies])
        if item is not None and item.known is not None:
            known[start : start + length, 0], given[start : start + length] = item.known, item.units
        start += length
    return known, given


@dataclass(slots=True)
class _Denoiser:
    """Takes noise to units, step by step, for one packed batch."""

    backend: ModelBackend
    encoder: TaskEncoder
    step: DiffusionStep
    copies: Sequence[Example]

    def run(self, x_UF: Tensor, known_U1: Tensor, given_UF: Tensor) -> Tensor:
        """Noise ``[U, F]`` → units ``[U, F]``; ``given`` where ``known``."""
        batch, guided = self._batch(x_UF.device)
        memory = self.backend.encode(batch)
        noise, scheduler = Noise(self.step.noise), sampling_scheduler(self.step.noise, self.step.num_steps)
        clean = x_UF
        for level in scheduler.timesteps.tolist():
            clean = self._predict(batch, memory, x_UF, noise.time_of(level), guided=guided)
            clean = torch.where(known_U1, given_UF, clean.to(x_UF.dtype))
            x_UF = scheduler.step(clean, level, x_UF, return_dict=False)[0]
        return clean

    def _batch(self, device: torch.device) -> tuple[PackedBatch, bool]:
        """All copies, behind them under guidance the same without a source."""
        guided = self.step.guidance != 1
        without = [replace(copy, source=(), num_source_tokens=0) for copy in self.copies] if guided else []
        return self.encoder.pack([*self.copies, *without]).to(device), guided

    def _predict(self, batch: PackedBatch, memory: Memory, x_UF: Tensor, time: float, *, guided: bool) -> Tensor:
        """The clean units as the model sees them through the noise."""
        units = torch.cat([x_UF, x_UF]) if guided else x_UF
        batch, stream = _with_units(batch, self.step.adaptor, units, time)
        hidden = self.backend.decode(batch, memory, stream.token_positions)
        frames = self.backend.read_frames(self.step.adaptor, hidden).frames
        if not guided:
            return frames
        with_source, without = frames.chunk(2)
        return without + self.step.guidance * (with_source - without)


def _with_units(batch: PackedBatch, adaptor: str, units: Tensor, time: float) -> tuple[PackedBatch, Stream]:
    """The batch with other units in the answer's stream, and that stream."""
    number = next(number for number, stream in enumerate(batch.target.streams) if stream.adaptor == adaptor)
    old = batch.target.streams[number]
    assert old.times is not None
    stream = replace(old, units=units, times=torch.full_like(old.times, time))
    streams = (*batch.target.streams[:number], stream, *batch.target.streams[number + 1 :])
    return replace(batch, target=replace(batch.target, streams=streams)), stream
