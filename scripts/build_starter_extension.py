"""Build the starter pack's extension: speech, motion, video, tables and phones, real, small and permissively licensed.

    python -m pip install av numpy pillow pyarrow resvg-py==0.5.0 soundfile soxr
    python scripts/build_starter_extension.py --cache build/starter-cache

Needs `pip`, `apt-get` and `dpkg-deb` (Debian 12, amd64). Like ``build_starter_pack.py``, whose fetching it shares, it fetches
every part once into the cache folder at a pinned version, and chooses and splits by hashes of names, so the same inputs give
the same files byte for byte. What a part holds and how it is split stands at the top of its module:

    starter_extension/speech.py    recorded prompts, and phrases in four synthetic voices    -> speech.parquet
    starter_extension/motion.py    named human clips                                         -> motion.parquet
    starter_extension/video.py     rolling, bouncing, falling things, people that move       -> video.parquet
    starter_extension/tables.py    real tables                                               -> tables.parquet
    starter_extension/phones.py    frequent words with their pronunciation                   -> phones.parquet
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from build_starter_pack import DATA
from starter_extension.motion import build_motion
from starter_extension.phones import build_phones
from starter_extension.speech import build_speech
from starter_extension.tables import build_tables
from starter_extension.video import build_video

PARTS = {
    "speech": build_speech,
    "motion": build_motion,
    "video": build_video,
    "tables": build_tables,
    "phones": build_phones,
}


def main() -> None:
    """Build the files and print their sizes and the rows of each split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("build/starter-cache"), help="folder for what is fetched")
    parser.add_argument("--out", type=Path, default=DATA / "extension", help="folder of the files")
    parser.add_argument("--part", choices=PARTS, action="append", help="build these only")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.part or PARTS:
        table = PARTS[name](options.cache.resolve())
        path = options.out / f"{name}.parquet"
        pq.write_table(table, path, compression="zstd", compression_level=19)
        splits = dict(sorted(Counter(table["split"].to_pylist()).items())) if "split" in table.column_names else table.num_rows
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {splits}")


if __name__ == "__main__":
    main()
