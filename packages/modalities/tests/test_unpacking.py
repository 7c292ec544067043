from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ofa_modalities import unpack


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Any]) -> Any:
    return make_run(
        {
            "ground": "[IMAGE:img] where is [TEXT:cap] ? -> [BOX:box]",
            "frames": "say [TEXT:a] -> well [TEXT:b] [FRAMES:f]",
        }
    )


def test_a_batch_reads_back(run: Any, picture: Any) -> None:
    rows = [
        run.encode("frames", {"a": "the cat", "b": "dog", "f": np.zeros((3, 2))}, address="a:1"),
        run.encode("ground", {"img": picture, "cap": "the dog", "box": [0, 0, 64, 48]}, address="b:2"),
    ]
    first, second = unpack(run.encoder.pack(rows), run.encoder)
    assert (first.task, first.address, second.address) == ("frames", "a:1", "b:2")
    assert [segment.value for segment in first.source] == ["say", "the cat"]
    assert [segment.column for segment in first.target] == [None, "b", "f"]
    assert [label.position for label in first.target[1].labels] == list(range(first.target[1].num_tokens))
    assert first.target[1].labels[-1].token == "<end>"
    assert first.target[2].num_frame_labels == 3
    assert [segment.value for segment in second.source][1:] == ["where is", "the dog", "?"]
    assert np.array_equal(np.asarray(second.source[0].value), picture)
    assert [label.token for label in second.target[0].labels] == ["<bin_0>", "<bin_0>", "<bin_63>", "<bin_63>"]
    assert second.target[0].tokens[0] == "<begin:BOX>"
    assert second.target[0].refers == 0
