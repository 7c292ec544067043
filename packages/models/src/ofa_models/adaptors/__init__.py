"""Adaptors: units of a stream ⇄ tokens of the model."""

from ofa_models.adaptors.base import Adaptor, DiffusionAdaptor, FrameAdaptor

__all__ = ["Adaptor", "DiffusionAdaptor", "FrameAdaptor"]
