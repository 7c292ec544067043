"""MOTION: a motion → frames of root velocity and 6-D rotations, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ofa_instruction.plans import SlotPlan

from ofa_modalities.motion.encoding import Scale, cut, mirrored, num_features, put_on, turned, upright
from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.reading import read_motion
from ofa_modalities.motion.rotations import Float64, headings
from ofa_modalities.motion.spec import MotionOptions
from ofa_modalities.processor import BaseProcessor, DecodeContext, EncodeContext, FitContext, Item, Resources, SampleError


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionView:
    """Which frames of a resampled motion are shown, and how they were changed."""

    start: int
    stop: int
    angle_rad: float = 0.0
    is_mirrored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionItem(Item):
    """A motion with what an answer that refers to it must share: how it was changed, and where its root is (``[T, 3]``)."""

    column: str
    view: MotionView
    root_position: Float64


class MotionProcessor(BaseProcessor):
    """Encodes a motion as float32 ``[T, 3 + 6 J]`` frames of mean 0 and spread 1 over the run, shape ``(T,)``.

    A frame that is not shown (``known``) is a row of zeros. Decodes to :class:`Motion`, whose first frame stands over the
    origin, or, between known frames, where those stand.
    """

    def __init__(self, slot: SlotPlan, options: MotionOptions, resources: Resources) -> None:
        super().__init__(slot, options, resources)
        self.options = options
        assert resources.asset is not None, "a motion needs its asset"
        self.scale = Scale.from_arrays(resources.asset)
        self.unit_features = num_features(self.scale.skeleton)
        if options.known is not None and slot.side == "target":
            raise ValueError(f"column `{slot.column}`: `known` says what a source slot shows; an answer keeps that by itself")
        if options.mirror:
            try:
                self.scale.skeleton.mirror_axis(1 if options.up == "y" else 2)
            except ValueError as error:
                raise ValueError(f"column `{slot.column}`: `mirror` cannot be used: {error}") from error

    @classmethod
    def asset(cls, slot: SlotPlan, options: MotionOptions) -> str | None:
        """The skeleton, mean and spread of all motions of the run at this rate."""
        return f"motion_{options.fps:g}fps" + ("" if options.up == "y" else "_z_up")

    @classmethod
    def fit(
        cls,
        slot: SlotPlan,
        options: MotionOptions,
        values: Iterable[tuple[object, Path | None]],
        context: FitContext,
    ) -> Mapping[str, NDArray[Any]]:
        """See :meth:`Scale.fitted`. A motion longer than ``max_frames`` or ``window`` counts with all its frames."""

        def motions() -> Iterator[Motion]:
            for value, root in values:
                try:
                    yield _read(value, slot.column, options, root, context.hosts)
                except SampleError:
                    continue

        try:
            scale = Scale.fitted(motions())
        except ValueError as error:
            raise ValueError(f"column `{slot.column}`: {error}") from error
        return scale.to_arrays()

    def encode(self, value: object, context: EncodeContext) -> MotionItem:
        """Read, resample, put on the run's skeleton, change as the options say. Raises SampleError."""
        motion, view = self._shown(value, context)
        units = self.scale.to_units(motion)
        known = None
        if self.options.known is not None:
            known = known_frames(self.options.known, len(units), context.rng)
            units[~known] = 0
        return MotionItem(
            units=units, shape=(len(units),), known=known, column=self.slot.column, view=view, root_position=motion.root_position
        )

    def reference(self, value: object, context: EncodeContext) -> Motion:
        """The frames that are learnt, on the run's skeleton."""
        return self._shown(value, context)[0]

    def _shown(self, value: object, context: EncodeContext) -> tuple[Motion, MotionView]:
        column = self.slot.column
        motion = _read(value, column, self.options, context.root, context.hosts)
        try:
            motion = put_on(motion, self.scale.skeleton)
        except ValueError as error:
            raise SampleError(column, str(error)) from error
        view = self._view(motion, context)
        motion = turned(cut(motion, view.start, view.stop), view.angle_rad)
        return (mirrored(motion) if view.is_mirrored else motion), view

    def _view(self, motion: Motion, context: EncodeContext) -> MotionView:
        """What is shown of a motion; as what it refers to is, where that is the same column."""
        other = context.referred if isinstance(context.referred, MotionItem) else None
        if other is not None and other.column == self.slot.column:
            return other.view
        start, stop = self._span(motion.num_frames, context)
        if other is not None:
            return MotionView(start=start, stop=stop, angle_rad=other.view.angle_rad, is_mirrored=other.view.is_mirrored)
        options, training = self.options, context.split == "train"
        angle, is_mirrored = 0.0, False
        if options.anchor_frame is not None:
            frame = min(max(options.anchor_frame + (stop if options.anchor_frame < 0 else start), start), stop - 1)
            angle = -float(headings(motion.rotations[frame, 0], motion.up_axis))
        elif options.turn and training:
            angle = float(context.rng.uniform(-np.pi, np.pi))
        if options.mirror and training:
            is_mirrored = bool(context.rng.random() < 0.5)
        return MotionView(start=start, stop=stop, angle_rad=angle, is_mirrored=is_mirrored)

    def _span(self, num_frames: int, context: EncodeContext) -> tuple[int, int]:
        options, training = self.options, context.split == "train"
        start, stop = 0, num_frames
        if options.soft_trim and training:
            spare = max(0, num_frames - options.min_length)
            before, after = (min(int(cut), spare // 2) for cut in context.rng.poisson(options.soft_trim * num_frames, 2))
            start, stop = before, num_frames - after
        if options.window is not None and stop - start > options.window:
            start += int(context.rng.integers(stop - start - options.window + 1)) if training else 0
            stop = start + options.window
        if not options.min_length <= stop - start <= options.max_frames:
            limit = f"at least {options.min_length}" if stop - start < options.min_length else f"at most {options.max_frames}"
            raise SampleError(
                self.slot.column, f"the motion has {stop - start} frames at {options.fps:g} a second; {limit} are taken"
            )
        return start, stop

    def decode(self, units: NDArray[Any], context: DecodeContext) -> Motion:
        """The motion that units ``[T, F]`` say."""
        motion = self.scale.to_motion(units, self.options.fps, self.options.up)
        other = context.referred
        if isinstance(other, MotionItem) and other.column == self.slot.column and other.known is not None:
            return _stand_on(motion, other)
        return motion

    def default_length(self) -> int | None:
        """The median length of the run's motions."""
        return min(self.scale.length, self.options.window or self.options.max_frames)


def known_frames(rule: str, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Bool ``[count]``: the frames that ``MotionOptions.known`` shows; at least one.

    >>> known_frames("ends:1", 4, np.random.default_rng(0)).tolist()
    [True, False, False, True]
    """
    place = np.arange(count)
    kind, _, number = rule.partition(":")
    if not number:
        known = rng.random(count) < float(rule)
        known[int(rng.integers(count))] = True
        return known
    n = int(number)
    match kind:
        case "ends":
            return (place < n) | (place >= count - n)
        case "start":
            return place < n
        case "end":
            return place >= count - n
        case _:
            return np.asarray(place % n == 0)


def _read(value: object, column: str, options: MotionOptions, root: Path | None, hosts: frozenset[str]) -> Motion:
    motion = read_motion(
        value, column, up=options.up, root=root, hosts=hosts, max_bytes=options.max_bytes, max_numbers=options.max_numbers
    )
    numbers = motion.num_frames / motion.fps * options.fps * 3 * motion.skeleton.num_joints
    if numbers > options.max_numbers + 3 * motion.num_frames * motion.skeleton.num_joints:
        raise SampleError(
            column,
            f"{motion.num_frames} frames at {motion.fps:g} a second are more than max_numbers={options.max_numbers:,} angles"
            f" at {options.fps:g} a second",
        )
    return upright(motion.resampled(options.fps), options.up)


def _stand_on(motion: Motion, other: MotionItem) -> Motion:
    """The motion moved over the ground so that it passes through the known places; between them it is moved evenly."""
    assert other.known is not None
    if len(other.known) != motion.num_frames:
        return motion
    known = np.flatnonzero(other.known)
    missed = other.root_position[known] - motion.root_position[known]
    missed[:, motion.up_axis] = 0
    frames = np.arange(motion.num_frames)
    moved = np.stack([np.interp(frames, known, missed[:, axis]) for axis in range(3)], 1)
    return Motion(
        rotations=motion.rotations,
        root_position=motion.root_position + moved,
        skeleton=motion.skeleton,
        fps=motion.fps,
        up=motion.up,
    )
