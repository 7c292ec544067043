"""The adaptor of vocabulary ids: the shared embedding, as it is."""

from __future__ import annotations

from torch import Tensor

from ofa_models.adaptors.base import Adaptor


class TextAdaptor(Adaptor):
    """Has no parameters of its own."""

    def embed(self, units: Tensor, shapes: Tensor) -> Tensor:
        """The embedding's rows ``[U, D]``, one token a unit."""
        return units
