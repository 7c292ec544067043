"""Adaptors, the model zoo, attention kernels, generation, checkpoints and the Session.

Names are loaded on first use, so that :mod:`ofa_models.plans` and :mod:`ofa_models.specs` come without torch.
"""

from __future__ import annotations

import gc
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ofa_models.adaptors.base import Adaptor, FrameAdaptor
    from ofa_models.attention import PackedAttention, RowMask, make_attention
    from ofa_models.backend import DecoderState, FrameOutput, Memory, ModelBackend
    from ofa_models.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
    from ofa_models.cross_entropy import cross_entropy
    from ofa_models.plans import Architecture, GenerationOptions, InferPlan, ModelPlan, StreamPlan
    from ofa_models.precision import resolve_precision
    from ofa_models.session import Session
    from ofa_models.zoo import GeneralistModel, build_model, optimiser_groups

_HOMES = {
    "Adaptor": "adaptors.base",
    "Architecture": "plans",
    "Checkpoint": "checkpoint",
    "CheckpointError": "checkpoint",
    "DecoderState": "backend",
    "FrameAdaptor": "adaptors.base",
    "FrameOutput": "backend",
    "GeneralistModel": "zoo",
    "GenerationOptions": "plans",
    "InferPlan": "plans",
    "Memory": "backend",
    "ModelBackend": "backend",
    "ModelPlan": "plans",
    "PackedAttention": "attention",
    "RowMask": "attention",
    "Session": "session",
    "StreamPlan": "plans",
    "build_model": "zoo",
    "cross_entropy": "cross_entropy",
    "load_checkpoint": "checkpoint",
    "make_attention": "attention",
    "optimiser_groups": "zoo",
    "resolve_precision": "precision",
    "save_checkpoint": "checkpoint",
}

__all__ = [
    "Adaptor",
    "Architecture",
    "Checkpoint",
    "CheckpointError",
    "DecoderState",
    "FrameAdaptor",
    "FrameOutput",
    "GeneralistModel",
    "GenerationOptions",
    "InferPlan",
    "Memory",
    "ModelBackend",
    "ModelPlan",
    "PackedAttention",
    "RowMask",
    "Session",
    "StreamPlan",
    "build_model",
    "cross_entropy",
    "load_checkpoint",
    "make_attention",
    "optimiser_groups",
    "resolve_precision",
    "save_checkpoint",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    # Imports leave nothing to collect, and looking through all that torch has made takes longer than they do.
    collecting = gc.isenabled()
    gc.disable()
    try:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    finally:
        if collecting:
            gc.enable()
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
