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
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from starter_pack.backgrounds import build_backgrounds
from starter_pack.descriptions import build_descriptions
from starter_pack.drawings import build_drawings

DATA = Path(__file__).parent.parent / "packages/trainer/src/ofa_trainer/starter/data"


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
