"""A motion as an animated picture of its skeleton.

# P points (joints and tips of bones), B bones
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from ofa_modalities.motion.output import Motion
from ofa_modalities.motion.rotations import Float64, turn

_SCALE = 2
_MAX_FPS = 33.0
_SIDES = {0: "#1f2937", 1: "#2563eb", 2: "#dc2626"}
_GROUND, _GRID = "#f8fafc", "#cbd5e1"


def draw_gif(motion: Motion, *, size_px: int = 256, azimuth_deg: float = 35.0, elevation_deg: float = 12.0) -> bytes:
    """An endless GIF that lasts as long as the motion: the left side blue, the right side red, on a grid of the ground.

    A motion that goes far is followed. At most 33 frames a second are drawn, as viewers show no more.
    """
    pictures, shown = [], _shown(motion)
    points, bones = motion.positions(with_ends=True)[shown], _bones(motion)
    view = turn(0, np.radians(elevation_deg)) @ turn(1, np.radians(azimuth_deg)) @ _upright(motion.up_axis)
    points = points @ view.T
    floor = float(motion.positions(with_ends=True)[..., motion.up_axis].min())
    middles, reach = _camera(points, motion.skeleton.size)
    for frame, middle in zip(points, middles, strict=True):
        pictures.append(_draw(frame, bones, middle, reach, view, floor, motion, size_px))
    content = io.BytesIO()
    durations_ms = np.diff(np.rint(np.append(shown, motion.num_frames) / motion.fps * 100).astype(int)) * 10
    palette = pictures[0].quantize(128)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    frames[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=np.maximum(durations_ms, 20).tolist(),
        loop=0,
        optimize=False,
    )
    return content.getvalue()


def _shown(motion: Motion) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Numbers of the frames that are drawn."""
    step = max(1.0, motion.fps / _MAX_FPS)
    return np.unique(np.floor(np.arange(0, motion.num_frames, step)).astype(np.int64))


def _upright(up: int) -> Float64:
    """To a frame whose second axis points up."""
    return np.eye(3) if up == 1 else turn(0, -np.pi / 2)


def _camera(points: Float64, size: float) -> tuple[Float64, float]:
    """The point in the middle of each frame's picture, and half of what a picture shows."""
    low, high = points.min((0, 1)), points.max((0, 1))
    if float((high - low)[:2].max()) <= 1.6 * size:
        middle = np.broadcast_to((low + high) / 2, (len(points), 3))
        return middle, 0.55 * float((high - low)[:2].max()) + 0.05 * size
    middle = (points.min(1) + points.max(1)) / 2
    return middle, 0.8 * size


def _bones(motion: Motion) -> list[tuple[int, int, int]]:
    """(from, to, side) of each bone; side 1 left, 2 right, 0 neither."""
    skeleton = motion.skeleton
    sides = skeleton.sides()
    joints = [(parent, joint, sides[joint]) for joint, parent in enumerate(skeleton.parents.tolist()) if parent >= 0]
    tips = [(parent, skeleton.num_joints + tip, sides[parent]) for tip, parent in enumerate(skeleton.end_parents.tolist())]
    return joints + tips


def _draw(
    points: Float64,
    bones: list[tuple[int, int, int]],
    middle: Float64,
    reach: float,
    view: Float64,
    floor: float,
    motion: Motion,
    size_px: int,
) -> Image.Image:
    side = size_px * _SCALE
    picture = Image.new("RGB", (side, side), _GROUND)
    pen = ImageDraw.Draw(picture)

    def pixels(places: Float64) -> list[tuple[float, float]]:
        seen = (places - middle)[:, :2] / reach
        return [(side / 2 * (1 + x), side / 2 * (1 - y)) for x, y in seen.tolist()]

    for line in _grid(middle @ view, floor, motion.skeleton.size, motion.up_axis):
        pen.line(pixels(line @ view.T), fill=_GRID, width=_SCALE)
    at = pixels(points)
    width = max(_SCALE, side // 90)
    depth = [float(points[first, 2] + points[last, 2]) for first, last, _ in bones]
    for number in np.argsort(depth).tolist():
        first, last, which = bones[number]
        pen.line([at[first], at[last]], fill=_SIDES[which], width=width)
    for x, y in at:
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=_SIDES[0])
    return picture.resize((size_px, size_px), Image.Resampling.LANCZOS)


def _grid(middle: Float64, floor: float, size: float, up: int) -> list[Float64]:
    """Lines of the ground around a point of the world, in world places."""
    first, second = (axis for axis in range(3) if axis != up)
    cell, lines = size / 3, []
    for along, across in ((first, second), (second, first)):
        origin = np.round(middle[across] / cell) * cell
        for number in range(-4, 5):
            line = np.zeros((2, 3))
            line[:, up] = floor
            line[:, across] = origin + number * cell
            line[:, along] = np.round(middle[along] / cell) * cell + np.array([-4, 4]) * cell
            lines.append(line)
    return lines
