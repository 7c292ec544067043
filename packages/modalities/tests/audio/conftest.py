"""Short real speech, and the means to write sound in any format."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

FIXTURES = Path(__file__).parent.parent / "fixtures" / "audio"


@pytest.fixture(scope="session")
def speech() -> dict[str, Path]:
    """8 kHz, 16 bits, one channel; by name."""
    return {path.stem: path for path in sorted(FIXTURES.glob("*.wav"))}


@pytest.fixture(scope="session")
def waveform(speech: dict[str, Path]) -> NDArray[np.float32]:
    """The samples of ``hello-world``."""
    import soundfile

    samples, rate = soundfile.read(speech["hello-world"], dtype="float32")
    assert rate == 8000
    return samples


def write_sound(samples: NDArray, rate: int, form: str, subtype: str | None = None) -> bytes:
    """A file that soundfile writes."""
    import soundfile

    content = io.BytesIO()
    soundfile.write(content, samples, rate, format=form, subtype=subtype)
    return content.getvalue()


def write_with_av(samples: NDArray, rate: int, form: str, codec: str) -> bytes:
    """A file that av writes."""
    import av

    content = io.BytesIO()
    with av.open(content, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return content.getvalue()


@pytest.fixture(scope="session")
def sound() -> Callable[..., bytes]:
    """:func:`write_sound`."""
    return write_sound


@pytest.fixture(scope="session")
def sound_by_av() -> Callable[..., bytes]:
    """:func:`write_with_av`."""
    return write_with_av
