"""video.parquet: clips of eight frames of 32 px, rendered with pybullet, with captions out of the simulator.

    things     a ball, a box or a can of one of six colours moves, bounces, falls, topples over, spins or stands still. What a
               clip is called is checked against the path that the simulator computed. Combinations of shape, colour and
               motion are held out.
    people     pybullet's humanoid repeats a clip of its motions before a camera that stands in one of eight directions. Two
               directions of each clip are held out for test, one for valid.

All are animated WebP, shown at a fifth of a second (things) or at the clip's own speed (people).
"""

from __future__ import annotations

import importlib
import io
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from starter_pack.fetching import fetch_wheel, hash_int

from starter_extension.motion import HINGES, JOINTS, METRES, PYBULLET, rotations_of

NUM_FRAMES = 8
CLIP_PX = 32
RENDER_PX = 96
WEBP_QUALITY = 60

COLOURS = {
    "red": (0.85, 0.12, 0.12),
    "green": (0.15, 0.65, 0.2),
    "blue": (0.15, 0.3, 0.9),
    "yellow": (0.95, 0.85, 0.15),
    "purple": (0.6, 0.2, 0.75),
    "black": (0.12, 0.12, 0.12),
}
GROUNDS = ((0.75, 0.78, 0.72), (0.6, 0.62, 0.66), (0.82, 0.76, 0.66), (0.66, 0.74, 0.8))
MOVES = ("moves to the left", "moves to the right", "moves away", "comes closer")
MOTIONS = {
    "ball": (*MOVES, "bounces", "stands still"),
    "box": (*MOVES, "falls down", "topples over", "spins", "stands still"),
    "can": (*MOVES, "falls down", "topples over", "stands still"),
}
CLIPS_OF_A_COMBINATION = {"train": 10, "valid": 5, "test": 6}

ACTIONS = {
    "backflip": "does a backflip",
    "cartwheel": "does a cartwheel",
    "crawl": "crawls",
    "dance_a": "dances",
    "dance_b": "dances",
    "getup_facedown": "gets up",
    "getup_faceup": "gets up",
    "jump": "jumps",
    "kick": "kicks",
    "punch": "punches",
    "roll": "rolls over",
    "run": "runs",
    "spinkick": "does a spin kick",
    "walk": "walks",
}
NUM_DIRECTIONS = 8
CLIPS_OF_A_DIRECTION = {"train": 7, "valid": 4, "test": 4}
WINDOW_S = 1.4

Float64 = NDArray[np.float64]
Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Where pictures are taken from; up is y."""

    target: Vector
    yaw_rad: float
    pitch_rad: float
    distance: float
    light: Vector

    @property
    def right(self) -> Float64:
        """The direction that is right in the picture."""
        return np.array([math.cos(self.yaw_rad), 0.0, -math.sin(self.yaw_rad)])

    @property
    def away(self) -> Float64:
        """The direction along the ground that leads away from the camera."""
        return np.array([-math.sin(self.yaw_rad), 0.0, -math.cos(self.yaw_rad)])

    @property
    def eye(self) -> Float64:
        """Its place."""
        flat = -self.away * math.cos(self.pitch_rad) + np.array([0.0, math.sin(self.pitch_rad), 0.0])
        return np.array(self.target) + self.distance * flat

    def shaken(self, sway_m: float, frame: int) -> Camera:
        """The camera as a hand holds it, so that no two frames are equal and none is merged with the one before it."""
        x, y, z = np.array(self.target) + sway_m * (math.sin(1.3 * frame) * self.right + [0, math.cos(1.7 * frame), 0])
        return replace(self, target=(float(x), float(y), float(z)))


def look_from(rng: np.random.Generator, target: Vector, yaw_rad: float, distance: float) -> Camera:
    """A camera of a given direction, its height and the light by chance."""
    light = (float(rng.uniform(-3, 3)), 5.0, float(rng.uniform(-3, 3)))
    pitch = float(rng.uniform(0.25, 0.5))
    return Camera(target=target, yaw_rad=yaw_rad, pitch_rad=pitch, distance=distance, light=light)


class Stage:
    """One simulation without a window, emptied for each clip."""

    def __init__(self, bullet: Any) -> None:
        self.bullet = bullet
        bullet.connect(bullet.DIRECT)

    def clear(self, ground: tuple[float, ...]) -> None:
        """Nothing but a ground at y = 0."""
        bullet = self.bullet
        bullet.resetSimulation()
        bullet.setGravity(0, -9.81, 0)
        bullet.setTimeStep(1 / 240)
        half = [30, 0.5, 30]
        body = bullet.createMultiBody(
            0,
            bullet.createCollisionShape(bullet.GEOM_BOX, halfExtents=half),
            bullet.createVisualShape(bullet.GEOM_BOX, halfExtents=half, rgbaColor=[*ground, 1]),
            [0, -0.5, 0],
        )
        bullet.changeDynamics(body, -1, lateralFriction=1.0, restitution=1.0)

    def picture(self, camera: Camera) -> Image.Image:
        """What the camera sees, RGB of 32 px."""
        bullet = self.bullet
        view = bullet.computeViewMatrix(camera.eye.tolist(), camera.target, [0, 1, 0])
        lens = bullet.computeProjectionMatrixFOV(45, 1.0, 0.1, 40)
        shot = bullet.getCameraImage(
            RENDER_PX, RENDER_PX, view, lens, lightDirection=camera.light, shadow=1, renderer=bullet.ER_TINY_RENDERER
        )
        pixels = np.asarray(shot[2], np.uint8).reshape(RENDER_PX, RENDER_PX, 4)[..., :3]
        return Image.fromarray(pixels).resize((CLIP_PX, CLIP_PX), Image.Resampling.BOX)


def encode_clip(frames: list[Image.Image], frame_ms: int) -> bytes:
    """The frames as an animated WebP."""
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=frame_ms,
        quality=WEBP_QUALITY,
        method=6,
        minimize_size=True,
    )
    return buffer.getvalue()


# --------------------------------------------------------------------------------------------------------- things


def place_thing(stage: Stage, camera: Camera, shape: str, colour: str, motion: str, rng: np.random.Generator) -> int:
    """Put the thing on the stage with the speed that should make it do what is asked."""
    bullet = stage.bullet
    size = float(rng.uniform(0.4, 0.54))
    tall = 2.2 if motion == "topples over" else 1.0
    upright = bullet.getQuaternionFromEuler([-math.pi / 2, 0, 0])
    match shape:
        case "ball":
            form, kind = {"radius": size}, bullet.GEOM_SPHERE
        case "box":
            form, kind = {"halfExtents": [0.8 * size, 0.8 * size * tall, 0.8 * size]}, bullet.GEOM_BOX
        case _:
            form, kind = {"radius": 0.75 * size}, bullet.GEOM_CYLINDER
    length = 1.7 * size * tall
    solid = {**form, "height": length} if shape == "can" else form
    shown = {**form, "length": length} if shape == "can" else form
    shade = np.clip(np.array(COLOURS[colour]) * rng.uniform(0.88, 1.12), 0, 1).tolist()
    height = {"ball": size, "box": 0.8 * size * tall, "can": length / 2}[shape]
    lift = float(rng.uniform(1.5, 1.9)) if motion in ("falls down", "bounces") else 0.0
    spot = camera.right * rng.uniform(-0.35, 0.35) + camera.away * rng.uniform(-0.35, 0.35)
    speed, turn = np.zeros(3), np.zeros(3)
    if motion in MOVES:
        ahead = {"moves to the left": -camera.right, "moves to the right": camera.right}.get(motion, camera.away)
        ahead = -camera.away if motion == "comes closer" else ahead
        drift = np.cross(ahead, [0, 1, 0]) * rng.uniform(-0.2, 0.2)
        speed = (ahead + drift) * rng.uniform(0.9, 1.5)
        spot = spot - speed * 0.6
    elif motion == "spins":
        turn = np.array([0, rng.choice([-1, 1]) * rng.uniform(2.5, 4.0), 0])
    elif motion == "topples over":
        ahead = camera.right * rng.choice([-1, 1])
        turn = np.cross([0, 1, 0], ahead) * rng.uniform(2.4, 3.0)
        speed = ahead * np.linalg.norm(turn) * height  # as if it turned about its lower edge
    facing = bullet.getQuaternionFromEuler([0, float(rng.uniform(-0.4, 0.4)) + (camera.yaw_rad if shape == "box" else 0), 0])
    if motion == "topples over":
        facing = bullet.getQuaternionFromEuler([0, camera.yaw_rad, 0])
    rotation = upright if shape == "can" else facing
    body = bullet.createMultiBody(
        1.0,
        bullet.createCollisionShape(kind, **solid),
        bullet.createVisualShape(kind, rgbaColor=[*shade, 1], specularColor=[0, 0, 0], **shown),
        (spot + np.array([0, height + lift, 0])).tolist(),
        rotation,
    )
    slippery = motion in MOVES or motion == "spins"
    bullet.changeDynamics(
        body,
        -1,
        lateralFriction=0.0 if slippery and shape != "ball" else 0.8,
        spinningFriction=0.0,
        rollingFriction=0.0,
        restitution=0.85 if motion == "bounces" else 0.0,
        linearDamping=0.0,
        angularDamping=0.0,
    )
    bullet.resetBaseVelocity(body, speed.tolist(), turn.tolist())
    return int(body)


def did(places: Float64, tilts: Float64, turned_rad: float, camera: Camera) -> str:
    """What a path is called. places ``[8, 3]``; tilts: angle between its axis and up ``[8]``."""
    moved = places[-1] - places[0]
    across, along = float(moved @ camera.right), float(moved @ camera.away)
    heights = places[:, 1]
    falls = heights[0] - heights.min() > 0.8
    if falls:
        low = int(heights.argmin())
        return "bounces" if heights[low:].max() - heights.min() > 0.35 else "falls down"
    if tilts[-1] > 1.2 and tilts[0] < 0.3:
        return "topples over"
    if abs(across) > max(0.6, 2 * abs(along)):
        return "moves to the right" if across > 0 else "moves to the left"
    if abs(along) > max(0.6, 2 * abs(across)):
        return "moves away" if along > 0 else "comes closer"
    if np.abs(moved).max() < 0.1:
        return "spins" if abs(turned_rad) > 1.5 else "stands still"
    return "something else"


def film_thing(stage: Stage, shape: str, colour: str, motion: str, number: int) -> bytes:
    """A clip in which the thing does what is asked; drawn again until the simulator agrees."""
    bullet = stage.bullet
    for attempt in range(20):
        rng = np.random.default_rng(hash_int("thing", shape, colour, motion, str(number), str(attempt)))
        camera = look_from(rng, (0.0, 0.7, 0.0), float(rng.uniform(-math.pi, math.pi)), float(rng.uniform(4.4, 5.0)))
        stage.clear(GROUNDS[int(rng.integers(len(GROUNDS)))])
        body = place_thing(stage, camera, shape, colour, motion, rng)
        frames, places, tilts, turned = [], [], [], 0.0
        sway_m = float(rng.uniform(0.03, 0.05))
        for frame in range(NUM_FRAMES):
            place, rotation = bullet.getBasePositionAndOrientation(body)
            axes = np.array(bullet.getMatrixFromQuaternion(rotation)).reshape(3, 3)
            axis = axes[:, 2] if shape == "can" else axes[:, 1]
            frames.append(stage.picture(camera.shaken(sway_m, frame)))
            places.append(place)
            tilts.append(0.0 if shape == "ball" else math.acos(min(1.0, abs(float(axis[1])))))
            for _ in range(40):
                bullet.stepSimulation()
                turned += bullet.getBaseVelocity(body)[1][1] / 240
        if did(np.array(places), np.array(tilts), turned, camera) == motion:
            return encode_clip(frames, 167)
    raise SystemExit(f"the simulator never lets a {colour} {shape} do this: {motion}")


def film_things(stage: Stage) -> Iterator[dict[str, object]]:
    """All combinations of shape, colour and motion, by hash: two of nine are for test, one is for valid."""
    combinations = [(shape, colour, motion) for shape, motions in MOTIONS.items() for motion in motions for colour in COLOURS]
    combinations.sort(key=lambda parts: hash_int("combination", *parts))
    for rank, (shape, colour, motion) in enumerate(combinations):
        split = {3: "test", 6: "valid", 8: "test"}.get(rank % 9, "train")
        for number in range(CLIPS_OF_A_COMBINATION[split]):
            yield {
                "video": film_thing(stage, shape, colour, motion, number),
                "label": motion,
                "cap": f"a {colour} {shape} {motion}",
                "kind": "thing",
                "view": f"{shape} {colour} {motion}",
                "split": split,
            }


# --------------------------------------------------------------------------------------------------------- people


@contextmanager
def silence() -> Iterator[None]:
    """Nothing of what a library writes to the terminal by itself: thousands of warnings about one file."""
    sys.stdout.flush()
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


def load_person(stage: Stage, folder: Path, rng: np.random.Generator) -> tuple[int, dict[str, int]]:
    """The humanoid in a colour by chance, and its joints' numbers by name."""
    bullet = stage.bullet
    with silence():
        body = bullet.loadURDF(
            str(folder / "humanoid/humanoid.urdf"), globalScaling=METRES, flags=bullet.URDF_MAINTAIN_LINK_ORDER
        )
    colour = [*(rng.permutation([0.05, rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.8)])).tolist(), 1]
    names = {}
    for joint in range(bullet.getNumJoints(body)):
        names[bullet.getJointInfo(body, joint)[1].decode()] = joint
    for link in range(-1, bullet.getNumJoints(body)):
        bullet.changeVisualShape(body, link, rgbaColor=colour)
    return body, names


def pose(stage: Stage, body: int, joints: dict[str, int], rotations: Float64, position: Float64) -> None:
    """Set the humanoid to one frame: quaternions (w, x, y, z) ``[J, 4]``, the root's place."""
    bullet = stage.bullet
    bullet.resetBasePositionAndOrientation(body, position.tolist(), np.roll(rotations[0], -1).tolist())
    for number, name in enumerate(JOINTS):
        if name in HINGES:
            angle = 2 * math.atan2(rotations[number, 3], rotations[number, 0])
            bullet.resetJointState(body, joints[name], angle)
        elif name != "root" and not name.endswith("wrist"):
            bullet.resetJointStateMultiDof(body, joints[name], np.roll(rotations[number], -1).tolist())


def film_person(stage: Stage, folder: Path, clip: str, direction: int, number: int) -> bytes:
    """Eight frames of a window of the clip."""
    rng = np.random.default_rng(hash_int("person", clip, str(direction), str(number)))
    told = json.loads((folder / f"data/motions/humanoid3d_{clip}.txt").read_text())
    numbers = np.array(told["Frames"], np.float64)
    rotations, places = rotations_of(numbers), numbers[:, 1:4]
    duration = len(numbers) * numbers[0, 0]
    window = min(WINDOW_S, duration)
    start = float(rng.uniform(0, duration - window))
    picks = np.minimum((start + np.arange(NUM_FRAMES) * window / NUM_FRAMES) / numbers[0, 0], len(numbers) - 1).astype(int)
    middle = places[picks].mean(0)
    yaw = 2 * math.pi * (direction + float(rng.uniform(-0.4, 0.4))) / NUM_DIRECTIONS
    camera = look_from(rng, (float(middle[0]), 0.8, float(middle[2])), yaw, float(rng.uniform(2.5, 2.9)))
    stage.clear(GROUNDS[int(rng.integers(len(GROUNDS)))])
    body, joints = load_person(stage, folder, rng)
    frames = []
    for pick in picks:
        pose(stage, body, joints, rotations[pick], places[pick])
        frames.append(stage.picture(camera))
    return encode_clip(frames, round(1000 * window / NUM_FRAMES))


def film_people(stage: Stage, folder: Path) -> Iterator[dict[str, object]]:
    """All clips from all directions."""
    for clip, action in ACTIONS.items():
        ranked = sorted(range(NUM_DIRECTIONS), key=lambda direction: hash_int("direction", clip, str(direction)))
        for rank, direction in enumerate(ranked):
            split = ("test", "test", "valid")[rank] if rank < 3 else "train"
            for number in range(CLIPS_OF_A_DIRECTION[split]):
                yield {
                    "video": film_person(stage, folder, clip, direction, number),
                    "label": action,
                    "cap": f"a person {action}",
                    "kind": "person",
                    "view": f"{clip} {direction}",
                    "split": split,
                }


def build_video(cache: Path) -> pa.Table:
    """Things and people, in the order of a hash."""
    folder = fetch_wheel(PYBULLET, cache)
    sys.path.insert(0, str(folder))
    stage = Stage(importlib.import_module("pybullet"))
    rows = [*film_things(stage), *film_people(stage, folder / "pybullet_data")]
    order = sorted(range(len(rows)), key=lambda number: hash_int("clip", str(rows[number]["view"]), str(number)))
    return pa.Table.from_pylist([rows[number] for number in order])
