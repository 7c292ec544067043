"""Encoding on one core: rows a second and peak memory of each modality, and what is decoded of files that hold more.

Each modality is measured in a fresh process on its rows of the starter pack, read beforehand, so that only encoding counts.
Decoding is counted, not timed: frames and samples that were decoded beside those that were needed and those that there are.
The share of a step that waits for rows is measured on the demo over all modalities with two loader workers.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from memory import peak_mb
from numpy.typing import NDArray
from report import Value, parser, show

LINES: Mapping[str, tuple[str, str, str]] = {
    "TEXT": ("summary", "src", "[TEXT:src] -> [TEXT:tgt]"),
    "IMAGE": ("classify", "img", "[IMAGE:img] -> [TEXT:label]"),
    "BOX": ("ground", "region", "[IMAGE:img] -> [BOX:region]"),
    "CATEGORY": ("classify", "label", "-> [CATEGORY:label]"),
    "AUDIO": ("speech", "audio", "[AUDIO:audio,sample_rate=8000,num_mels=40] -> [TEXT:text]"),
    "PHONE": ("phones", "phones", "[TEXT:word] -> [PHONE:phones]"),
    "VIDEO": ("clip", "video", "[VIDEO:video] -> [TEXT:label]"),
    "MOTION": ("move", "motion", "[TEXT:cap] -> [MOTION:motion]"),
    "STRUCT": ("table_qa", "table", "[STRUCT:table] -> [TEXT:answer]"),
}
"""By modality: task of the starter pack, column, instruction."""
NUM_ROWS = 256
FIT_ROWS = 64
SECONDS = 1.5
"""Least time that one round encodes for."""


def measure(modality: str) -> dict[str, float]:
    """Encode rows of one modality in this process, on one thread."""
    import torch
    from ofa_instruction import default_catalog
    from ofa_modalities import SampleError
    from ofa_models.plans import ModelPlan
    from ofa_trainer import Task
    from ofa_trainer.mixture import row_rng
    from ofa_trainer.plans import TrainerOptions
    from ofa_trainer.preparing import prepare
    from ofa_trainer.starter import starter_source

    torch.set_num_threads(1)
    name, _, line = LINES[modality]
    source = starter_source(name, "train")
    task = Task(name, line, train=source, valid=False)
    options = TrainerOptions(tokenizer_size=600, fit_rows=FIT_ROWS, max_row_tokens=8192)
    prepared = prepare([task], ModelPlan.of_size("nano"), options, default_catalog())
    rows = [source.read(index, 0) for index in range(NUM_ROWS)]
    before = peak_mb()
    rates: list[float] = []
    tokens = bad = 0
    for _ in range(3):
        count, started = 0, time.perf_counter()
        tokens = bad = 0
        while time.perf_counter() - started < SECONDS or count < NUM_ROWS:
            try:
                example = prepared.encoder.encode(name, rows[count % NUM_ROWS], split="train", rng=row_rng(0, name, 0, count))
                tokens += example.num_tokens
            except SampleError:
                bad += 1
            count += 1
        rates.append(count / (time.perf_counter() - started))
        tokens //= count
    return {"rate": sorted(rates)[1], "tokens": tokens, "before": before, "peak": peak_mb(), "bad": bad}


def decoded() -> list[dict[str, Value]]:
    """Frames of a long film and samples of a long recording, decoded for a few of them."""
    import soundfile
    from ofa_modalities.audio.decoding import DecodeCount
    from ofa_modalities.audio.reading import read_audio
    from ofa_modalities.video.output import Video
    from ofa_modalities.video.reading import read_video

    rows: list[dict[str, Value]] = []
    frames = np.random.default_rng(0).integers(0, 255, (600, 32, 32, 3), np.uint8)
    content = _film(Video(frames=frames, fps=25))
    for count in (1, 8, 32):
        clip = read_video(content, times=partial(_evenly, count), shrink=lambda width, height: (16, 16))
        rows.append(
            {"file": "film, a key frame a second", "needed": count, "decoded": clip.num_decoded, "in the file": len(frames)}
        )
    sound = io.BytesIO()
    soundfile.write(sound, np.zeros(8000 * 60, np.float32), 8000, format="FLAC")
    counted = DecodeCount()
    part = {"bytes": sound.getvalue(), "path": None, "start_s": 30.0, "stop_s": 32.0}
    read_audio(part, sample_rate=8000, max_duration_s=30, count=counted)
    rows.append(
        {"file": "a minute of sound, two seconds of it", "needed": 16_000, "decoded": counted.samples, "in the file": 480_000}
    )
    return rows


def _evenly(count: int, duration_s: float) -> NDArray[np.float64]:
    from ofa_modalities.video.sampling import uniform_times

    return uniform_times(duration_s, count)


def _film(video: object) -> bytes:
    """An H.264 film with a key frame every second."""
    import av
    from ofa_modalities.video.output import Video

    assert isinstance(video, Video)
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "25", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = video.frames.shape[2], video.frames.shape[1], "yuv420p"
        for frame in video.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return content.getvalue()


def waiting(steps: int, workers: int) -> dict[str, Value]:
    """Share of the time that training waits for rows, in the demo over all modalities."""
    from ofa_models.zoo import GeneralistModel
    from ofa_trainer.demo.plan import EVERYTHING
    from ofa_trainer.demo.run import demo_tasks
    from ofa_trainer.reporting import Event, StepDone
    from ofa_trainer.trainer import Trainer

    class Waited:
        def __init__(self) -> None:
            self.shares: list[float] = []
            self.speeds: list[float] = []

        def report(self, event: Event) -> None:
            if isinstance(event, StepDone):
                self.shares.append(event.waited)
                self.speeds.append(event.tokens_per_s)

        def close(self) -> None:
            pass

    told = Waited()
    options = EVERYTHING.options(minutes=None, steps=steps, seed=0).model_copy(update={"workers": workers, "fit_rows": FIT_ROWS})
    tasks = demo_tasks(0, EVERYTHING)
    Trainer(options, reporters=(told,)).fit(GeneralistModel(EVERYTHING.size, **EVERYTHING.overrides), tasks)
    shares, speeds = told.shares[1:], told.speeds[1:]  # the first steps fill the pipes
    return {
        "loader workers": workers,
        "steps": steps,
        "share of a step waiting": round(sum(shares) / len(shares), 3),
        "tokens a second": round(sum(speeds) / len(speeds)),
    }


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--measure", choices=sorted(LINES), help="encode one modality here and print its figures")
    made.add_argument("--steps", type=int, default=80, help="training steps in which waiting is measured")
    options = made.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    rows: list[dict[str, Value]] = []
    for modality in LINES:
        command = [sys.executable, __file__, "--measure", modality]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        rows.append(
            {
                "modality": modality,
                "column": f"{LINES[modality][0]}/{LINES[modality][1]}",
                "rows a second": round(found["rate"]),
                "tokens a row": int(found["tokens"]),
                "peak MB": round(found["peak"]),
                "of it while encoding": round(found["peak"] - found["before"], 1),
            }
        )
    _show(rows, decoded(), [waiting(options.steps, workers) for workers in (0, 2)], as_json=options.json)


def _show(
    encoding: Sequence[dict[str, Value]], counts: Sequence[dict[str, Value]], waits: Sequence[dict[str, Value]], *, as_json: bool
) -> None:
    show("encoding on one core", encoding, as_json=as_json)
    show("what is decoded", counts, as_json=as_json)
    note = "the demo over all modalities; with two workers less than 0.1 is asked"
    show("waiting for rows", waits, as_json=as_json, notes=[note])


if __name__ == "__main__":
    main()
