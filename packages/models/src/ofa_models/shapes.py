"""A module that is made for its shapes: on the meta device, with nothing drawn.

Tensors there have no memory, but their numbers are still asked for, and torch answers most of that in Python, behind imports that
take seconds. So what only fills or scales a new tensor is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_inside: ContextVar[bool] = ContextVar("shapes_alone", default=False)
_DRAWS = frozenset({torch.randn, torch.rand, torch.normal})
_FILLS = frozenset(
    f"{name}_"
    for name in ("add", "bernoulli", "clamp", "copy", "div", "erfinv", "fill", "mul", "normal", "sub", "uniform", "zero")
)
_SCALES = frozenset(("__add__", "__mul__", "__radd__", "__rmul__", "__sub__", "__truediv__", "add", "div", "mul", "sub"))


class _Unfilled(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if args and isinstance(args[0], Tensor):
            if name in _FILLS or getattr(func, "__module__", "") == "torch.nn.init":
                return args[0]
            if name in _SCALES and len(args) == 2 and isinstance(args[1], int | float):
                return args[0]
        if func in _DRAWS and args and not isinstance(args[0], Tensor):
            options.pop("generator", None)
            return torch.empty(*args, **options)
        return func(*args, **options)


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Inside, new tensors have shapes and no memory, and nothing is filled in."""
    inside = _inside.set(True)
    try:
        with torch.device("meta"), _Unfilled():
            yield
    finally:
        _inside.reset(inside)


def shapes_are_enough() -> bool:
    """Whether this runs inside :func:`shapes_alone`."""
    return _inside.get()
