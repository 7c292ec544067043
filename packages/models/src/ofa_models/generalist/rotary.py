"""Rotary positions in one frame of three coordinates.

    # T tokens, H head width

Channel pair p turns with coordinate p mod 3, so every coordinate has the whole range of speeds. Where all three are
equal (text) this is ordinary rotary embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotation(coordinates: Tensor, head_width: int, base: float, dtype: torch.dtype) -> Tensor:
    """int64 ``[..., 3]`` → complex ``[..., H/2]``: the turn of each channel pair, made once per side and shared by layers."""
    pairs = torch.arange(head_width // 2, device=coordinates.device)
    speeds = base ** (-2.0 * pairs.double() / head_width)
    angles = coordinates.double()[..., pairs % 3] * speeds
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    return torch.complex(angles.cos().to(wide), angles.sin().to(wide))
