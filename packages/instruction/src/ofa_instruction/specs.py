"""Specs: what a plugin says of itself, without importing what does the work.

A spec is a frozen pydantic model that an entry point hands out. It is cheap to import (pydantic only) and names
its implementation as a lazy ``module:attribute`` string. Built-ins come through the same door as third parties:

    ofa.modalities   ModalitySpec     ofa.backends   BackendSpec
    ofa.processors   ProcessorSpec    ofa.criteria   CriterionSpec
    ofa.adaptors     AdaptorSpec      ofa.metrics    MetricSpec
                                      ofa.sources    SourceSpec
"""

from __future__ import annotations

import importlib
import math
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    """Base of every typed options model: frozen, nothing unknown, finite numbers.

    A field's ``validation_alias`` is another spelling of the attribute that sets it.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=True, validate_by_alias=True, defer_build=True
    )


class TokenLayout(NamedTuple):
    """The tokens that one item becomes, and how they stand to each other.

    ``shape`` is ``(n,)`` for a line (text, audio), ``(rows, columns)`` for a picture and
    ``(frames, rows, columns)`` for a clip; tokens are in row-major order.
    """

    shape: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """The product of the shape."""
        return math.prod(self.shape)


class PluginSpec(BaseModel):
    """What all plugins share: a name, a summary, typed options and a lazy implementation."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    group: ClassVar[str]

    name: str
    summary: str = ""
    aliases: tuple[str, ...] = ()

    options: type[Options] = Options
    implementation: str = Field(default="", pattern=r"^$|^[\w.]+:[\w.]+$")

    def load(self) -> Any:
        """Import and return the implementation. Raises ImportError or AttributeError as they come."""
        module, _, attribute = self.implementation.partition(":")
        value: Any = importlib.import_module(module)
        for part in attribute.split("."):
            value = getattr(value, part)
        return value


class ModalitySpec(PluginSpec):
    """A modality: its upper-case name and the parts a slot of it uses unless told otherwise.

    ``options`` is unused here: a slot's attributes belong to its processor, adaptor, criteria and generator.
    """

    group: ClassVar[str] = "ofa.modalities"

    processor: str
    adaptor: str
    target_processor: str | None = None
    """Processor of the target side, where an answer is made otherwise than it is read; None: the same."""
    target_adaptor: str | None = None
    criteria: tuple[str, ...] = ()
    generator: Literal["tokens", "frames", "diffusion"] = "tokens"
    refers_to: tuple[str, ...] = ()
    """Modalities that an item of this one belongs to: a BOX belongs to an IMAGE."""
    refers_optionally: bool = False
    """Without such a slot, an item stands alone; else that is an error."""
    always_closed: bool = False
    """Every slot has a closed set, named or its column's (CATEGORY)."""
    never_closed: bool = False
    """No slot has one: there are no candidates for such answers (BOX)."""


class ProcessorSpec(PluginSpec):
    """Turns a raw value into an item of a stream, and generated units into a value."""

    group: ClassVar[str] = "ofa.processors"

    modalities: tuple[str, ...]
    """Modalities whose slots may name this processor."""


class AdaptorSpec(PluginSpec):
    """Embeds the units of a stream as tokens; on the target side also reads units out of hidden states."""

    group: ClassVar[str] = "ofa.adaptors"

    units: Literal["ids", "floats"]
    """``ids``: int64 vocabulary ids, all ids share one embedding; ``floats``: float32 rows."""

    def layout(self, options: Options, item_shape: tuple[int, ...]) -> TokenLayout:
        """The tokens of an item of ``item_shape`` units. One token a unit, unless a subclass says otherwise."""
        return TokenLayout(item_shape)


class CriterionSpec(PluginSpec):
    """A loss on a target slot."""

    group: ClassVar[str] = "ofa.criteria"


class MetricSpec(PluginSpec):
    """A figure of merit computed from answers and references."""

    group: ClassVar[str] = "ofa.metrics"

    modalities: tuple[str, ...] = ()
    """Modalities it can judge; the first metric that lists a modality is its default."""
    higher_is_better: bool = True
    scale: float = 1.0
    """A difference that weighs as much as a share of one: 100 for a figure in hundredths. Means over tasks divide by it."""
    lists: Literal["items", "whole", "refused"] = "items"
    """How it judges the lists that a repeat is answered by: ``items`` one by one and by place (one that was not answered has None
    as its answer, one too many None as its reference), each list as a ``whole``, or not at all."""
    needs_shown: bool = False
    """It compares with the answer's column as it was read, so the column must stand before the arrow too."""

    def reads(self, options: Options) -> tuple[str, ...]:
        """Columns of the row, beside the answer's own, that judging needs."""
        return ()


class SourceSpec(PluginSpec):
    """Reads rows from somewhere; chosen by file suffix or by name."""

    group: ClassVar[str] = "ofa.sources"

    suffixes: tuple[str, ...] = ()


class BackendSpec(PluginSpec):
    """A model backend and its profile: which adaptor embeds which modality, in which layout."""

    group: ClassVar[str] = "ofa.backends"

    segment_layout: Literal["per_slot", "ofa_groups"] = "per_slot"
    adaptors: dict[str, str] = Field(default_factory=dict)
    """Adaptor by modality where it differs from the modality's own default."""
    target_adaptors: dict[str, str] = Field(default_factory=dict)
    """The same for the target side; a modality that is not here has its own default there."""
