"""Float frames ⇄ tokens."""

from ofa_models.adaptors import FrameAdaptor


class SeriesAdaptor(FrameAdaptor):
    """One linear map a frame, a begin vector, and heads for the next frame and the stop: all of it from the base."""
