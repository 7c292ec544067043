"""Which device a name means, and whether this machine has it. No torch at import: a run file is checked without it.

>>> check_device("cpu")
"""

from __future__ import annotations

import ctypes
import difflib
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_NAME = re.compile(r"(auto|cpu|mps|(?:cuda|xpu)(?::(?P<number>\d+))?)")
_USUAL = ("auto", "cpu", "cuda")


def check_device(name: str) -> None:
    """Find out without torch whether a device of this name can be there. Raises ValueError that says what to write instead."""
    match = _NAME.fullmatch(name)
    if match is None:
        near = difflib.get_close_matches({"gpu": "cuda"}.get(name.lower(), name), _USUAL, n=1, cutoff=0.4)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {' '.join(_USUAL)}, and one of several as `cuda:1`"
        raise ValueError(f"there is no device `{name}`; {hint}")
    if name.startswith("cuda") and (reason := _no_cuda(int(match["number"] or 0))):
        raise ValueError(f"the device `{name}` cannot be used: {reason}; use `auto` or `cpu`")


def resolve_device(name: str | torch.device) -> torch.device:
    """The device of a name; ``auto``: CUDA where there is some, else the CPU. Raises ValueError for one that is not there."""
    import torch

    if isinstance(name, str):
        if name == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        check_device(name)
    device = torch.device(name)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise ValueError(f"the device `{name}` cannot be used: {reason}; use `auto` or `cpu`") from error
    return device


def _no_cuda(number: int) -> str:
    """Why there is no GPU of this number; empty where there is one, or torch alone can tell."""
    try:
        build = version("torch").partition("+")[2]
    except PackageNotFoundError:
        build = ""
    if build == "cpu":
        return "this PyTorch is built for the CPU alone"
    if build.startswith("rocm"):
        return ""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "there is no driver of an NVIDIA GPU on this machine"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "there is no NVIDIA GPU on this machine"
    return "" if number < count.value else f"there are {count.value} GPUs, counted from 0"
