"""Crops of photographs, which scenes are composed on; the split is the photograph's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from PIL import Image

from starter_pack.fetching import SPLIT_SALT, fetch_deb, fetch_wheel, hash_int
from starter_pack.pictures import encode_webp

SCIKIT_IMAGE = "scikit-image==0.26.0"
OPENCV_DOC = "opencv-doc=4.6.0+dfsg-12"
BACKGROUND_PX = 96

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
