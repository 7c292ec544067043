"""speech.parquet: prompts that a person recorded, and phrases of few words that flite speaks in several voices.

    prompts    asterisk-core-sounds-en-wav, up to 4 s, with the transcripts that come with them
    phrases    a closed vocabulary of 42 words (8 colours, 24 things, 10 numbers), as `bear`, `red bear`, `bear five` and
               `red bear five`; three voices are trained, a fourth one is heard in test only

All are 8 kHz, one channel, in Ogg Opus. Splits go by a hash of the sentence, whoever says it; single words always train.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import soundfile
import soxr
from numpy.typing import NDArray
from starter_pack.fetching import fetch_deb, hash_int

ASTERISK = ("asterisk-core-sounds-en-wav=1.6.1-1", "asterisk-core-sounds-en=1.6.1-1")
FLITE = ("flite=2.2-5", "libflite1=2.2-5")

SAMPLE_RATE = 8000
BIT_RATE = 9000
MAX_PROMPT_S = 4.0
MARGIN_S = 0.04
"""Of silence that is kept before and after a phrase."""

COLOURS = ("red", "green", "blue", "yellow", "black", "white", "brown", "purple")
THINGS = (
    *("bear", "frog", "penguin", "turtle", "octopus", "butterfly", "snail", "elephant", "rose", "cactus", "mushroom", "banana"),
    *("lemon", "pizza", "carrot", "tomato", "rocket", "tractor", "rainbow", "umbrella", "anchor", "guitar", "camera", "robot"),
)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

TRAINED_VOICES = {"slt": 560, "awb": 330, "kal16": 330}
"""Phrases of training by voice; `slt` is also the voice that is learnt."""
UNSEEN_VOICE = "rms"
NUM_VALID = 40
NUM_TEST = 60
"""Phrases of each voice; the unseen voice speaks in test alone."""

Float32 = NDArray[np.float32]


def normalise(text: str) -> str:
    """Lower case, words of letters, digits and apostrophes alone."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def split_of(sentence: str) -> str:
    """Split of a normalised sentence: single words train, two of ten of the others are held out."""
    if " " not in sentence:
        return "train"
    return {8: "valid", 9: "test"}.get(hash_int("speech", sentence) % 10, "train")


def encode(samples: Float32) -> bytes:
    """Ogg Opus whose bytes depend on the samples alone."""
    buffer = io.BytesIO()
    options = {"application": "voip", "vbr": "on", "frame_duration": "60", "compression_level": "10"}
    with av.open(buffer, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono", options=options)
        stream.bit_rate = BIT_RATE
        whole = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return buffer.getvalue()


def trim(samples: Float32) -> Float32:
    """Without the silence at both ends, peaks at 0.7."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    margin = round(MARGIN_S * SAMPLE_RATE)
    kept = samples[max(0, loud[0] - margin) : loud[-1] + margin]
    return kept * np.float32(0.7 / np.abs(kept).max())


def read_prompts(cache: Path) -> list[dict[str, object]]:
    """The prompts of up to ``MAX_PROMPT_S`` with speech in them, each sentence once."""
    sounds, texts = (fetch_deb(package, cache) for package in ASTERISK)
    told = (texts / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz").read_bytes()
    folder = sounds / "usr/share/asterisk/sounds/en_US_f_Allison"
    rows, seen = [], set()
    for line in gzip.decompress(told).decode().splitlines():
        key, colon, text = line.partition(": ")
        path = folder / f"{key}.wav"
        sentence = normalise(text)
        if not colon or text.startswith(("[", "<", "(")) or not path.exists() or not sentence or sentence in seen:
            continue
        samples, rate = soundfile.read(path, dtype="float32")
        if rate != SAMPLE_RATE or len(samples) > MAX_PROMPT_S * rate:
            continue
        seen.add(sentence)
        rows.append(row(samples, sentence, kind="prompt", voice="allison", split=split_of(sentence)))
    return rows


def row(samples: Float32, text: str, *, kind: str, voice: str, split: str) -> dict[str, object]:
    """One utterance as it is stored."""
    seconds = round(len(samples) / SAMPLE_RATE, 3)
    return {"audio": encode(samples), "text": text, "kind": kind, "voice": voice, "seconds": seconds, "split": split}


class Flite:
    """flite out of its packages, without installing it."""

    def __init__(self, cache: Path) -> None:
        program, library = (fetch_deb(package, cache) / "usr" for package in FLITE)
        self._program = program / "bin/flite"
        self._libraries = library / "lib/x86_64-linux-gnu"
        self._wav = cache / "flite.wav"

    def speak(self, text: str, voice: str, stretch: float) -> Float32:
        """The text at 8 kHz, ``stretch`` times as long as the voice says it."""
        command = [self._program, "-voice", voice, "--setf", f"duration_stretch={stretch:.2f}", "-t", text, "-o", self._wav]
        environment = {**os.environ, "LD_LIBRARY_PATH": str(self._libraries)}
        subprocess.run(command, check=True, env=environment)
        samples, rate = soundfile.read(self._wav, dtype="float32")
        self._wav.unlink()
        return trim(np.asarray(soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ"), np.float32))


def phrases() -> list[str]:
    """All phrases but single words, in the order of a hash: two of five of those that are drawn first have two words."""
    pairs = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
    pairs += [f"{thing} {number}" for thing in THINGS for number in NUMBERS]
    triples = [f"{colour} {thing} {number}" for colour in COLOURS for thing in THINGS for number in NUMBERS]
    return sorted(pairs + triples, key=lambda phrase: hash_int("phrase", phrase) / (3.5 if phrase in pairs else 1.0))


def speak_phrases(cache: Path) -> list[dict[str, object]]:
    """Single words and phrases in every voice; each voice takes its own phrases of the list."""
    flite = Flite(cache)
    by_split: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for phrase in phrases():
        by_split[split_of(phrase)].append(phrase)
    rows = []
    for voice in (*TRAINED_VOICES, UNSEEN_VOICE):
        for split, texts in by_split.items():
            wanted = {"train": TRAINED_VOICES.get(voice, 0), "valid": NUM_VALID * (voice in TRAINED_VOICES), "test": NUM_TEST}[
                split
            ]
            singles = [*COLOURS, *THINGS, *NUMBERS] if split == "train" and wanted else []
            ranked = sorted(texts[: 2 * max(TRAINED_VOICES.values())], key=lambda text: hash_int("voice", voice, text))
            for text in [*singles, *ranked[: wanted - len(singles)]]:
                stretch = 1.0 if voice == "slt" else 0.85 + 0.3 * (hash_int("stretch", voice, text) % 1000) / 1000
                rows.append(row(flite.speak(text, voice, stretch), text, kind="phrase", voice=voice, split=split))
    return rows


def build_speech(cache: Path) -> pa.Table:
    """Prompts and phrases, in the order of a hash."""
    rows = read_prompts(cache) + speak_phrases(cache)
    rows.sort(key=lambda item: hash_int("utterance", str(item["text"]), str(item["voice"])))
    return pa.Table.from_pylist(rows)
