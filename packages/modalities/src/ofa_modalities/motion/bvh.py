"""BVH files: a hierarchy of joints with Euler angles, frame by frame (Biovision; Meredith and Maddock 2001).

Read: any order of channels, one to three turns a joint, positions of the root, tips of bones, keywords in any case, and a
header that miscounts its frames by one. Positions of other joints must stay as they are, since bones keep their length.
Written: position and Z, X, Y turns of the root, Z, X, Y turns of all others.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ofa_modalities.motion.output import Motion, Up
from ofa_modalities.motion.rotations import Float64, euler_to_matrices, matrices_to_euler_zxy
from ofa_modalities.motion.skeleton import MAX_JOINTS, Skeleton

MAX_NUMBERS = 4_000_000
"""Frames times channels of a file: over five minutes of a body at 120 frames a second."""

_HEADER = re.compile(rb"[\r\n}][ \t]*MOTION\s+Frames[ \t]*+:?+[ \t]*+(\S+)\s+Frame[ \t]*+Time[ \t]*+:?+[ \t]*+(\S+)", re.I)
"""Blanks are taken once and for all (``*+``): a run of them is not split in every way there is."""
_BLANK = re.compile(rb"\s")
_LONGEST_NUMBER = 1000
"""Bytes of a number."""
_MAX_HEADER_BYTES = 4_000_000
_CHUNK = 1 << 22
_CHANNELS = {f"{axis}{kind}".lower(): (kind, number) for number, axis in enumerate("XYZ") for kind in ("position", "rotation")}


class BvhError(ValueError):
    """What is wrong with a file."""


@dataclass(slots=True)
class _Joint:
    name: str
    parent: int
    offset: tuple[float, float, float] | None = None
    channels: list[tuple[str, int]] | None = None


@dataclass(slots=True)
class _Hierarchy:
    joints: list[_Joint] = field(default_factory=list)
    ends: list[tuple[int, tuple[float, float, float]]] = field(default_factory=list)


def is_bvh(head: bytes) -> bool:
    """Whether the first bytes are those of a BVH file."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:9].upper() == b"HIERARCHY"


def read_bvh(content: bytes, *, up: Up = "y", max_numbers: int = MAX_NUMBERS) -> Motion:
    """The motion in a file. Raises BvhError, in time and memory that ``max_numbers`` and the length of the file bound."""
    if not is_bvh(content):
        raise BvhError("it does not begin with HIERARCHY")
    found = _HEADER.search(content)
    if found is None:
        raise BvhError("it has no MOTION part with `Frames:` and `Frame Time:`")
    if found.start() > _MAX_HEADER_BYTES:
        raise BvhError(f"its hierarchy has {found.start():,} bytes")
    hierarchy = _read_hierarchy(content[: found.start() + 1].decode("utf-8-sig", "replace"))
    channels = sum(len(joint.channels or ()) for joint in hierarchy.joints)
    if not channels:
        raise BvhError("no joint has channels")
    num_frames, frame_time_s = _counts(found.group(1), found.group(2))
    if num_frames * channels > max_numbers:
        raise BvhError(f"it says {num_frames:,} frames of {channels} channels; at most {max_numbers:,} numbers are read")
    numbers = _read_numbers(content, found.end(), (num_frames + 1) * channels)
    frames, rest = divmod(len(numbers), channels)
    if rest or abs(frames - num_frames) > 1 or not frames:
        extra = f" and {rest} numbers" if rest else ""
        raise BvhError(
            f"it says {num_frames:,} frames of {channels} channels and holds {frames:,}{extra}: it is cut off or broken"
        )
    if not np.isfinite(numbers).all():
        bad = int(np.flatnonzero(~np.isfinite(numbers))[0]) // channels
        raise BvhError(f"frame {bad} holds a number that is not finite")
    return _motion(hierarchy, numbers.reshape(frames, channels), 1 / frame_time_s, up)


def _counts(frames: bytes, frame_time: bytes) -> tuple[int, float]:
    try:
        count, seconds = int(frames[:20]), float(frame_time)
    except ValueError:
        raise BvhError(f"`Frames: {frames[:20]!r}` and `Frame Time: {frame_time[:20]!r}` are not both numbers") from None
    if count < 0 or not 1e-5 <= seconds <= 1e4:
        raise BvhError(f"{count} frames of {seconds} seconds are no motion")
    rate = max(1, round(1 / seconds))
    return count, 1 / rate if abs(rate * seconds - 1) < 1e-4 else seconds  # .0083333 is 1 / 120


def _read_numbers(content: bytes, start: int, most: int) -> Float64:
    """All numbers behind ``start``, or an error as soon as there are more than ``most``."""
    parts: list[Float64] = []
    total = 0
    while start < len(content):
        stop = min(len(content), start + _CHUNK)
        if stop < len(content):
            blank = _BLANK.search(content, stop, stop + _LONGEST_NUMBER)
            if blank is None and stop + _LONGEST_NUMBER < len(content):
                raise BvhError(f"over {_LONGEST_NUMBER:,} bytes without a blank stand among its frames")
            stop = len(content) if blank is None else blank.start()
        chunk = content[start:stop]
        start = stop
        if not chunk.strip():
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                values = np.fromstring(chunk.decode("latin-1"), np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            raise BvhError("something other than numbers stands among its frames") from None
        parts.append(values)
        total += len(values)
        if total > most:
            raise BvhError(f"it holds more numbers than its header says: over {most:,}")
    return np.concatenate(parts) if parts else np.zeros(0)


# The hierarchy


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """(keyword, rest) of every line, which some writers end at a lone CR; braces are lines of their own."""
    for line in text.replace("\r", "\n").replace("{", "\n{\n").replace("}", "\n}\n").split("\n"):
        words = line.split(None, 1)
        if words:
            yield words[0].upper(), words[1].strip() if len(words) > 1 else ""


def _read_hierarchy(text: str) -> _Hierarchy:
    found = _Hierarchy()
    open_: list[int] = []  # joints whose brace is open; -1: the tip of a bone
    waiting: int | None = None  # a joint or tip whose brace is to come
    tip: tuple[float, float, float] | None = None
    for keyword, rest in _lines(text):
        match keyword:
            case "HIERARCHY" if not found.joints:
                continue
            case "{" if waiting is not None:
                open_.append(waiting)
                waiting = None
            case "}" if open_ and waiting is None:
                if open_.pop() < 0:
                    if tip is not None and any(tip):
                        found.ends.append((open_[-1], tip))
                    tip = None
            case "ROOT" | "JOINT" if waiting is None and (keyword == "ROOT") == (not found.joints) and -1 not in open_:
                if keyword == "JOINT" and not open_:
                    raise BvhError(f"the joint `{rest}` hangs on nothing")
                if len(found.joints) == MAX_JOINTS:
                    raise BvhError(f"it has more than {MAX_JOINTS} joints")
                waiting = len(found.joints)
                found.joints.append(_Joint(rest, open_[-1] if open_ else -1))
            case "ROOT":
                raise BvhError(f"it has a second root, `{rest}`")
            case "END" if open_ and waiting is None and open_[-1] >= 0:
                waiting = -1
            case "OFFSET" if open_ and waiting is None:
                offset = _offset(rest)
                if open_[-1] < 0:
                    tip = offset
                else:
                    found.joints[open_[-1]].offset = offset
            case "CHANNELS" if open_ and waiting is None and open_[-1] >= 0:
                joint = found.joints[open_[-1]]
                if joint.channels is not None:
                    raise BvhError(f"the joint `{joint.name}` has two lists of channels")
                joint.channels = _channels(rest, joint.name)
            case _:
                raise BvhError(f"`{keyword[:20]} {rest[:40]}` is out of place in its hierarchy")
    if open_ or waiting is not None or not found.joints:
        raise BvhError("its hierarchy is not closed" if found.joints else "it has no root")
    for joint in found.joints:
        if joint.offset is None or joint.channels is None:
            raise BvhError(f"the joint `{joint.name}` has no {'OFFSET' if joint.offset is None else 'CHANNELS'}")
    return found


def _offset(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = map(float, text.split())
    except ValueError:
        raise BvhError(f"`OFFSET {text[:40]}` is not three numbers") from None
    return x, y, z


def _channels(text: str, name: str) -> list[tuple[str, int]]:
    count, *names = text.split()[:8] or [""]
    channels = [_CHANNELS.get(word.lower()) for word in names]
    known = [channel for channel in channels if channel is not None]
    if not count.isdecimal() or int(count) != len(names) or len(known) != len(names):
        raise BvhError(f"`CHANNELS {text[:80]}` of `{name}` is not a number and so many of Xposition … Zrotation")
    if len(set(known)) != len(known):
        raise BvhError(f"the joint `{name}` has a channel twice: {' '.join(names)}")
    if not any(kind == "rotation" for kind, _ in known):
        raise BvhError(f"the joint `{name}` has no channel that turns it")
    return known


# Numbers to motion


def _motion(hierarchy: _Hierarchy, numbers: Float64, fps: float, up: Up) -> Motion:
    joints = hierarchy.joints
    offsets = np.array([joint.offset for joint in joints], np.float64)
    rotations = np.empty((len(numbers), len(joints), 3, 3))
    moved: dict[int, Float64] = {}
    column = 0
    for number, joint in enumerate(joints):
        channels = joint.channels or []
        mine = numbers[:, column : column + len(channels)]
        column += len(channels)
        turns = [place for place, (kind, _) in enumerate(channels) if kind == "rotation"]
        axes = tuple(channels[place][1] for place in turns)
        rotations[:, number] = euler_to_matrices(axes, np.radians(mine[:, turns]))
        position = np.tile(offsets[number], (len(numbers), 1))
        for place, (kind, axis) in enumerate(channels):
            if kind == "position":
                position[:, axis] = mine[:, place]
                moved[number] = position
    root = moved.pop(0, np.tile(offsets[0], (len(numbers), 1)))
    for number, position in moved.items():
        offsets[number] = position.mean(0)
    try:
        skeleton = Skeleton(
            names=tuple(joint.name for joint in joints),
            parents=np.array([joint.parent for joint in joints], np.int64),
            offsets=offsets,
            end_parents=np.array([parent for parent, _ in hierarchy.ends], np.int64),
            end_offsets=np.array([offset for _, offset in hierarchy.ends], np.float64).reshape(-1, 3),
        )
        size = skeleton.size
        for number, position in moved.items():
            stray = float(np.abs(position - offsets[number]).max())
            if stray > 1e-3 * size:
                raise BvhError(
                    f"the joint `{joints[number].name}` moves against its parent by {stray:.3g}: bones must keep their length"
                )
        return Motion(rotations=rotations, root_position=root, skeleton=skeleton, fps=fps, up=up)
    except BvhError:
        raise
    except ValueError as error:
        raise BvhError(str(error)) from error


# Writing


def write_bvh(motion: Motion) -> str:
    """The text of a file: positions exact, angles to 9 digits. A file does not say which axis points up.

    Joints come in the order of their branches, which need not be that of the skeleton's arrays.
    """
    skeleton = motion.skeleton
    children: list[list[int]] = [[] for _ in skeleton.names]
    for joint, parent in enumerate(skeleton.parents.tolist()):
        if parent >= 0:
            children[parent].append(joint)
    tips: list[list[Float64]] = [[] for _ in skeleton.names]
    for parent, offset in zip(skeleton.end_parents.tolist(), skeleton.end_offsets, strict=True):
        tips[parent].append(offset)
    lines, order = ["HIERARCHY"], []
    todo: list[tuple[int, int]] = [(0, 0)]  # joint, depth; ~joint closes it
    while todo:
        joint, depth = todo.pop()
        blank = "\t" * depth
        if joint < 0:
            lines.append(f"{blank}}}")
            continue
        order.append(joint)
        turns = "Zrotation Xrotation Yrotation"
        lines += [
            f"{blank}{'JOINT' if depth else 'ROOT'} {skeleton.names[joint]}",
            f"{blank}{{",
            f"{blank}\tOFFSET {_exactly(skeleton.offsets[joint])}",
            f"{blank}\tCHANNELS {f'3 {turns}' if depth else f'6 Xposition Yposition Zposition {turns}'}",
        ]
        for offset in tips[joint] or ([] if children[joint] else [np.zeros(3)]):
            lines += [f"{blank}\tEnd Site", f"{blank}\t{{", f"{blank}\t\tOFFSET {_exactly(offset)}", f"{blank}\t}}"]
        todo.append((~joint, depth))
        todo += [(child, depth + 1) for child in reversed(children[joint])]
    lines += ["MOTION", f"Frames: {motion.num_frames}", f"Frame Time: {1 / motion.fps:.12g}"]
    angles = np.degrees(matrices_to_euler_zxy(motion.rotations[:, order])).reshape(motion.num_frames, -1)
    lines += [f"{_exactly(root)} {_spell(row)}" for root, row in zip(motion.root_position, angles, strict=True)]
    return "\n".join(lines) + "\n"


def _exactly(numbers: Float64) -> str:
    """Positions in the fewest digits that read back the same: far from the origin, fewer would move the whole skeleton."""
    return " ".join(repr(number).removesuffix(".0") for number in (numbers + 0.0).tolist())


def _spell(numbers: Float64) -> str:
    return " ".join(f"{number:.9g}" for number in (numbers + 0.0).tolist())
