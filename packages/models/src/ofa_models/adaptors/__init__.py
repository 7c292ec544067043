"""Adaptors: units of a stream ⇄ tokens of the model."""

from ofa_models.adaptors.base import Adaptor, FrameAdaptor

__all__ = ["Adaptor", "FrameAdaptor"]
