"""Emoji of nine sets by six designers, one row a drawing; see the splits in ``build_starter_pack.py``."""

from __future__ import annotations

import io
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import resvg_py
from PIL import Image

from starter_pack.fetching import SPLIT_SALT, fetch_npm, hash_int
from starter_pack.pictures import encode_webp

# set -> npm package; a concept must be drawn in all of the core sets, and scenes use their drawings only
EMOJI_SETS = {
    "twemoji": "@iconify-json/twemoji@1.2.5",
    "noto": "@iconify-json/noto@1.2.9",
    "noto-v1": "@iconify-json/noto-v1@1.2.5",
    "fluent-flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "fluent-colour": "@iconify-json/fluent-emoji@1.2.7",
    "emojitwo": "@iconify-json/emojione@1.2.3",
    "emojione-v1": "@iconify-json/emojione-v1@1.2.3",
    "firefox": "@iconify-json/fxemoji@1.2.2",
    "streamline": "@iconify-json/streamline-emojis@1.2.4",
}
CORE_SETS = ("twemoji", "noto", "fluent-flat")
# set -> style, which is its designer, where several sets are of one
STYLES = {
    "noto-v1": "noto",
    "fluent-flat": "fluent",
    "fluent-colour": "fluent",
    "emojitwo": "emojione",
    "emojione-v1": "emojione",
}

# noto's category -> (label, most concepts). People and flags are left out: variants of one drawing, which no small
# model tells apart at 32 px.
CATEGORIES = {
    "Activities": ("activities", 66),
    "Animals & Nature": ("nature", 105),
    "Food & Drink": ("food", 95),
    "Objects": ("objects", 115),
    "Smileys & Emotion": ("smileys", 72),
    "Symbols": ("symbols", 60),
    "Travel & Places": ("travel", 100),
}
# one drawing in many variants, letters and digits in boxes, coloured plain shapes
SKIPPED_NAMES = re.compile(
    r"keycap|oclock|thirty|button|^(mans|womans|mens|womens)-|-arrow$|^input-|-(circle|square)$|^circled|"
    r"transgender|middle-finger|^(plus|minus|divide|multiply|trade-mark|copyright|registered)$|tone"
)
# the things of composed scenes: one word, distinct in shape and colour at 16 px
SPRITES = frozenset(
    {
        "bear",
        "frog",
        "penguin",
        "turtle",
        "octopus",
        "butterfly",
        "snail",
        "pig",
        "chicken",
        "elephant",
        "rose",
        "sunflower",
        "cactus",
        "mushroom",
        "tulip",
        "banana",
        "cherries",
        "grapes",
        "lemon",
        "strawberry",
        "watermelon",
        "pizza",
        "hamburger",
        "doughnut",
        "carrot",
        "pineapple",
        "tomato",
        "bread",
        "airplane",
        "bicycle",
        "rocket",
        "ambulance",
        "tractor",
        "sailboat",
        "rainbow",
        "cloud",
        "umbrella",
        "anchor",
        "fire",
        "star",
        "snowman",
        "house",
        "key",
        "hammer",
        "guitar",
        "bell",
        "camera",
        "crown",
        "bomb",
        "candle",
        "envelope",
        "books",
        "scissors",
        "microscope",
        "trumpet",
        "television",
        "basketball",
        "balloon",
        "trophy",
        "ghost",
        "skull",
        "alien",
        "robot",
    }
)

DRAWING_PX = 32
TWIN_DISTANCE = 0.045  # mean absolute difference of two drawings on white, of 0..1, blurred against small shifts


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One concept in one set, rendered."""

    concept: str
    name: str
    category: str
    set: str
    image: Image.Image

    @property
    def style(self) -> str:
        """Whose hand it is by."""
        return STYLES.get(self.set, self.set)


def load_icons(cache: Path) -> dict[str, dict[str, str]]:
    """SVG text by set, then by name without hyphens (the sets spell ``water-buffalo`` in their own ways)."""
    icons: dict[str, dict[str, str]] = {}
    for emoji_set, package in EMOJI_SETS.items():
        table = json.loads((fetch_npm(package, cache) / "icons.json").read_text())
        width, height = table.get("width", 16), table.get("height", 16)
        icons[emoji_set] = {}
        for name, icon in sorted(table["icons"].items()):
            box = f"{icon.get('left', 0)} {icon.get('top', 0)} {icon.get('width', width)} {icon.get('height', height)}"
            svg = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}">'
            icons[emoji_set][name.replace("-", "")] = svg + icon["body"] + "</svg>"
    return icons


def choose_concepts(icons: dict[str, dict[str, str]], cache: Path) -> list[tuple[str, str]]:
    """Pairs of name and category label: sprites first, then concepts drawn in more sets, then by hash."""
    metadata = json.loads((fetch_npm(EMOJI_SETS["noto"], cache) / "metadata.json").read_text())
    chosen = []
    for noto_name, (label, most) in CATEGORIES.items():
        ranked = []
        for name in metadata["categories"][noto_name]:
            sets = [emoji_set for emoji_set in icons if name.replace("-", "") in icons[emoji_set]]
            if len(name.split("-")) > 2 or SKIPPED_NAMES.search(name) or not re.fullmatch("[a-z-]+", name):
                continue
            if set(CORE_SETS) <= set(sets):
                ranked.append((name not in SPRITES, -len(sets), hash_int("concept", name), name))
        chosen += [(name, label) for *_, name in sorted(ranked)[:most]]
    return sorted(chosen)


def render(svg: str) -> Image.Image:
    """The drawing on a square transparent ground, its longer side filling the square but one pixel."""
    large = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=256)))).convert("RGBA")
    alpha = large.getchannel("A").point(lambda value: 255 if value >= 16 else 0)
    drawing = large.crop(alpha.getbbox())
    scale = (DRAWING_PX - 1) / max(drawing.size)
    size = (max(1, round(drawing.width * scale)), max(1, round(drawing.height * scale)))
    drawing = drawing.resize(size, Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (DRAWING_PX, DRAWING_PX), (255, 255, 255, 0))
    square.paste(drawing, ((DRAWING_PX - size[0]) // 2, (DRAWING_PX - size[1]) // 2))
    return square


def twin_distances(drawings: list[Drawing]) -> np.ndarray:
    """Distance of each drawing to the nearest other one, float32 [drawings]."""
    grounds = []
    for drawing in drawings:
        ground = Image.new("RGBA", drawing.image.size, "white")
        ground.alpha_composite(drawing.image)
        grounds.append(np.asarray(ground.convert("RGB").resize((12, 12), Image.Resampling.BOX), np.float32).reshape(-1) / 255)
    features = np.stack(grounds)
    nearest = np.empty(len(features), np.float32)
    for row, feature in enumerate(features):
        distance = np.abs(features - feature).mean(1)
        distance[row] = np.inf
        nearest[row] = distance.min()
    return nearest


def split_drawings(drawings: list[Drawing], distances: np.ndarray) -> list[str | None]:
    """Split of each drawing: one concept of five loses a style for test, one for valid. None: the drawing is left out.

    The style is one with the most drawings that stand alone, by hash where several have as many.
    """
    by_concept: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, drawing in enumerate(drawings):
        by_concept[drawing.concept][drawing.style].append(row)
    splits: list[str | None] = ["train"] * len(drawings)
    ranked = sorted(by_concept, key=lambda concept: hash_int("held-out", SPLIT_SALT, concept))
    for rank, concept in enumerate(ranked):
        split = ("test", "train", "valid", "train", "train")[rank % 5]
        if split == "train":
            continue
        lone = {style: [row for row in rows if distances[row] > TWIN_DISTANCE] for style, rows in by_concept[concept].items()}
        style = min(lone, key=lambda style: (-len(lone[style]), hash_int("held-out style", SPLIT_SALT, concept, style)))
        if lone[style]:
            for row in by_concept[concept][style]:
                splits[row] = split if row in lone[style] else None
    return splits


def build_drawings(cache: Path) -> pa.Table:
    """One row a drawing, in the order of a hash, so that any head of a split is a fair sample."""
    icons = load_icons(cache)
    drawings = [
        Drawing(concept=name, name=name.replace("-", " "), category=category, set=emoji_set, image=render(icons[emoji_set][key]))
        for name, category in choose_concepts(icons, cache)
        for key in [name.replace("-", "")]
        for emoji_set in EMOJI_SETS
        if key in icons[emoji_set]
    ]
    missing = set(SPRITES) - {drawing.concept for drawing in drawings}
    if missing:
        raise SystemExit(f"no drawing of the sprites {sorted(missing)}")
    splits = split_drawings(drawings, twin_distances(drawings))
    order = sorted(range(len(drawings)), key=lambda row: hash_int("drawing", drawings[row].concept, drawings[row].set))
    return pa.Table.from_pylist([drawing_row(drawings[row], split) for row in order if (split := splits[row])])


def drawing_row(drawing: Drawing, split: str) -> dict[str, object]:
    """A row of drawings.parquet."""
    return {
        "image": encode_webp(drawing.image),
        "concept": drawing.concept,
        "name": drawing.name,
        "category": drawing.category,
        "set": drawing.set,
        "style": drawing.style,
        "split": split,
        "sprite": drawing.concept in SPRITES and split == "train" and drawing.set in CORE_SETS,
    }
