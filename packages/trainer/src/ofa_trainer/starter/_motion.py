"""Motions made of the pack's clips: a window at a speed, once or twice, straight or along a curve, mirrored, and what to call it.

The text is computed with the motion. What is held out are combinations of clip, speed and variant, so a test row is for example
a slow walk along a curve, where slow walks and quick curves have been trained; a mirrored motion is of the same combination as
its twin.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypedDict, get_args

import numpy as np
from numpy.typing import NDArray

from ofa_trainer.starter._extension_pack import Float32, MotionClip, motion_clips, skeleton
from ofa_trainer.starter._pack import Split
from ofa_trainer.starter._quaternions import about_y, between, multiply, turn

FPS = 20
MAX_FRAMES = 100

Speed = Literal["slowly", "", "quickly"]
Variant = Literal["", "curve", "twice"]
SPEEDS: tuple[Speed, ...] = get_args(Speed)

_FACTORS: dict[Speed, tuple[float, float]] = {"slowly": (0.72, 0.85), "": (0.95, 1.1), "quickly": (1.35, 1.6)}
_WALKS = {"walk": "walks", "run": "runs", "crawl": "crawls"}
_REPEATED = {"jump": "jumps", "backflip": "does a backflip", "roll": "rolls over"}
_SIDED = {
    "kick": "kicks with the {side} leg",
    "punch": "punches with the {side} hand",
    "spinkick": "does a spin kick with the {side} leg",
    "cartwheel": "does a cartwheel to the {side}",
}
_OTHER = {
    "dance_a": "dances with a turn",
    "dance_b": "dances in place",
    "getup_facedown": "gets up from the belly",
    "getup_faceup": "gets up from the back",
}
_RECORDED_SIDE = {"kick": "right", "punch": "right", "spinkick": "right", "cartwheel": "left"}
_ACTIONS = {
    **{"walk": "walk", "run": "run", "crawl": "crawl", "jump": "jump", "backflip": "backflip", "roll": "roll", "kick": "kick"},
    **{"punch": "punch", "spinkick": "spin kick", "cartwheel": "cartwheel", "dance_a": "dance", "dance_b": "dance"},
    **{"getup_facedown": "get up", "getup_faceup": "get up"},
}
_NUM_HELD_OUT: dict[Split, int] = {"test": 12, "valid": 6}
_WALK_FRAMES = (36, 60)
_CURVE_RAD = (1.2, 2.0)  # in all, to either side


class MotionArrays(TypedDict):
    """A motion as the MOTION modality reads it.

    rotations: unit quaternions (w, x, y, z) relative to the parent, float32 ``[T, J, 4]``; root_position: metres, float32
    ``[T, 3]``; offsets: float32 ``[J, 3]``; parents: int64 ``[J]``, -1 for the root; y is up.
    """

    rotations: Float32
    root_position: Float32
    parents: NDArray[np.int64]
    offsets: Float32
    names: list[str]
    fps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """What is held out together: a clip at a speed in a variant, in either mirror image."""

    clip: str
    speed: Speed
    variant: Variant


@cache
def combinations(split: Split) -> tuple[Combination, ...]:
    """The combinations of a split: of each clip at most a third is held out."""
    every = [
        Combination(clip=clip, speed=speed, variant=variant)
        for clip in _ACTIONS
        for speed in SPEEDS
        for variant in _variants(clip)
    ]
    every.sort(key=lambda item: hashlib.sha256(f"motion {item.clip} {item.speed} {item.variant}".encode()).digest())
    held: dict[Split, list[Combination]] = {"test": [], "valid": []}
    seen: Counter[str] = Counter()
    for item in every:
        part: Split = "test" if len(held["test"]) < _NUM_HELD_OUT["test"] else "valid"
        if len(held[part]) < _NUM_HELD_OUT[part] and seen[item.clip] < len(_variants(item.clip)):
            held[part].append(item)
            seen[item.clip] += 1
    if split == "train":
        return tuple(item for item in every if item not in held["test"] and item not in held["valid"])
    return tuple(held[split])


def _variants(clip: str) -> tuple[Variant, ...]:
    if clip in _WALKS:
        return ("", "curve")
    return ("", "twice") if clip in _REPEATED else ("",)


def action_of(clip: str) -> str:
    """One or two words for what is done in a clip."""
    return _ACTIONS[clip]


def perform(rng: np.random.Generator, item: Combination) -> tuple[MotionArrays, str]:
    """A motion of a combination and its description; 9 to ``MAX_FRAMES`` frames at ``FPS``, from the origin, any heading."""
    clip = next(clip for clip in motion_clips() if clip.name == item.clip)
    rotations, positions = _resample(clip, _times(rng, clip, item))
    side = 0
    if item.variant == "curve":
        side = int(rng.choice((-1, 1)))
        rotations, positions = _bend(rotations, positions, side * float(rng.uniform(*_CURVE_RAD)))
    mirrored = bool(rng.integers(2))
    if mirrored:
        rotations, positions = mirror(rotations, positions)
    rotations, positions = _face(rotations, positions, float(rng.uniform(-np.pi, np.pi)))
    body = skeleton()
    motion: MotionArrays = {
        "rotations": rotations,
        "root_position": positions,
        "parents": np.asarray(body.parents, np.int64),
        "offsets": body.offsets,
        "names": list(body.names),
        "fps": float(FPS),
    }
    return motion, describe(item, -side if mirrored else side, mirrored=mirrored)


def describe(item: Combination, side: int, *, mirrored: bool) -> str:
    """What a motion is called; side: 1 for a curve to the left, -1 for one to the right.

    Example:
        >>> describe(Combination(clip="walk", speed="slowly", variant="curve"), 1, mirrored=False)
        'a person walks slowly in a curve to the left'
    """
    text = {**_WALKS, **_REPEATED, **_SIDED, **_OTHER}[item.clip]
    if item.clip in _SIDED:
        recorded = _RECORDED_SIDE[item.clip]
        other = "left" if recorded == "right" else "right"
        text = text.format(side=other if mirrored else recorded)
    parts = ["a person", text, "twice" if item.variant == "twice" else "", item.speed]
    if side:
        parts.append(f"in a curve to the {'left' if side > 0 else 'right'}")
    return " ".join(part for part in parts if part)


def mirror(rotations: Float32, positions: Float32) -> tuple[Float32, Float32]:
    """The mirror image in the plane of x and y, left joints and right ones exchanged; ``[T, J, 4]`` and ``[T, 3]``."""
    names = skeleton().names
    swapped = {"left": "right", "right": "left"}
    order = []
    for name in names:
        side, _, part = name.partition("_")
        order.append(names.index(f"{swapped[side]}_{part}") if side in swapped else names.index(name))
    flips = np.array((1, -1, -1, 1), np.float32)
    return rotations[:, order] * flips, positions * np.array((1, 1, -1), np.float32)


def _times(rng: np.random.Generator, clip: MotionClip, item: Combination) -> Float32:
    """When each frame shows the clip, in frames of the clip ``[T]``; beyond its end it begins again."""
    step = float(rng.uniform(*_FACTORS[item.speed])) * clip.fps / FPS
    length = len(clip.rotations)
    if item.clip in _WALKS:
        count = int(rng.integers(_WALK_FRAMES[0], _WALK_FRAMES[1] + 1))
        start = float(rng.uniform(0, length))
    else:
        start = float(rng.uniform(0, 0.05)) * length
        stop = float(rng.uniform(0.95, 1)) * (length - 1) + (length if item.variant == "twice" else 0)
        count = min(MAX_FRAMES, int((stop - start) / step))
    return (start + step * np.arange(count)).astype(np.float32)


def _resample(clip: MotionClip, times: Float32) -> tuple[Float32, Float32]:
    """Rotations ``[T, J, 4]`` and positions ``[T, 3]`` at those times; each new round goes on from where the last one ended."""
    length = len(clip.rotations)
    path = clip.root_position
    step = path[-1] - path[-2]
    round_trip = (path[-1] - path[0] + step) * np.array((1, 0, 1), np.float32)
    before = np.floor(times).astype(int)
    share = (times - before).astype(np.float32)[:, None]
    ends = []
    for frames in (before, before + 1):
        rounds, places = np.divmod(frames, length)
        ends.append((clip.rotations[places], path[places] + rounds[:, None].astype(np.float32) * round_trip))
    rotations = between(ends[0][0], ends[1][0], share[..., None])
    positions = ends[0][1] * (1 - share) + ends[1][1] * share
    return rotations.astype(np.float32), positions.astype(np.float32)


def _bend(rotations: Float32, positions: Float32, angle_rad: float) -> tuple[Float32, Float32]:
    """Lead the motion along a curve that turns by so much in all, to the left where positive."""
    angles = np.linspace(0, angle_rad, len(rotations), dtype=np.float32)
    turns = about_y(angles)
    steps = np.diff(positions, axis=0, prepend=positions[:1])
    bent = positions[:1] + np.cumsum(turn(turns, steps), axis=0)
    rotations = rotations.copy()
    rotations[:, 0] = multiply(turns, rotations[:, 0])
    return rotations, bent.astype(np.float32)


def _face(rotations: Float32, positions: Float32, angle_rad: float) -> tuple[Float32, Float32]:
    """Begin over the origin, turned about the vertical."""
    heading = about_y(np.full(len(rotations), angle_rad, np.float32))
    rotations = rotations.copy()
    rotations[:, 0] = multiply(heading, rotations[:, 0])
    start = positions[:1] * np.array((1, 0, 1), np.float32)
    return rotations, turn(heading, positions - start).astype(np.float32)
