"""A device that is not there is one line, with and without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from ofa_models import Session
from ofa_models.devices import check_device, resolve_device


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "did you mean `cuda`"),
        ("cud", "did you mean `cuda`"),
        ("cpu:0", "did you mean `cpu`"),
        ("x", "known: auto cpu cuda"),
    ],
)
def test_a_name_that_is_none_names_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:3"])
def test_a_gpu_that_is_not_there_is_one_line_everywhere(name: str) -> None:
    for action in (check_device, resolve_device, lambda one: Session.from_pretrained("nowhere", device=one)):
        with pytest.raises(ValueError, match=f"the device `{name}` cannot be used: .*; use `auto` or `cpu`") as caught:
            action(name)
        assert "\n" not in str(caught.value)
    assert resolve_device("auto") == torch.device("cpu")


def test_a_device_is_checked_without_torch() -> None:
    program = "import sys; from ofa_models.devices import check_device; check_device('cpu'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
