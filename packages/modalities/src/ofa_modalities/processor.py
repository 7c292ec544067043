"""The processor seam: raw value → item of a stream, generated units → value.

A processor is built once per slot of a plan and then used for every row. It never sees a batch or the model.
Nothing is imported here, so that data sources can raise a SampleError without numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from ofa_instruction.plans import SlotPlan
    from ofa_instruction.specs import Options

    from ofa_modalities.prefix_tree import PrefixTree
    from ofa_modalities.vocabulary import Vocabulary

Split = Literal["train", "valid", "test", "infer"]


class SampleError(ValueError):
    """A raw value that cannot be used; the row is skipped and counted, or the user told.

    ``column`` names the column; ``address`` (source, shard, row) is added by whoever read the row.
    """

    def __init__(self, column: str, message: str, address: str = "") -> None:
        super().__init__(message)
        self.column = column
        self.message = message
        self.address = address

    def __str__(self) -> str:
        where = f"{self.address}:{self.column}" if self.address and self.column else self.address
        where = where or (f"column `{self.column}`" if self.column else "a row")
        return f"{where}: {self.message}"


class NoAnswerError(SampleError):
    """A row whose answer is empty: nothing is wrong with it, and nothing is learnt or judged of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One raw value, encoded: the units of one stream.

    units: int64 ``[U]`` vocabulary ids, or float32 ``[U, F]`` rows (patches, frames).
    shape: the item's shape in units, row-major, ``prod(shape) == U``: ``(n,)``, ``(rows, columns)``, ``(frames, rows, columns)``.
    weights: float32 ``[U]`` loss weight of each unit when it is a target; None: 1 everywhere.
    inputs: ``[U]`` or ``[U, F]`` the units as a decoder reads them where they differ from what it must answer (noise).
    size_px: ``(width, height)`` of the original picture, for what refers to it (boxes) and for the way back.
    view_px: ``(left, top, right, bottom)`` of what the item shows of the original picture, in its pixels; beyond its edges
        where ground was added. None: all of it. Boxes are normalised by the view.
    num_cut: units of the value behind these that were cut off; the end of a cut answer is not learnt.
    known: bool ``[U]`` units that are given, so that an answer that refers to this item keeps them; None: all of a source
        item, none of a target item.
    """

    units: NDArray[Any]
    shape: tuple[int, ...]
    weights: NDArray[np.float32] | None = None
    inputs: NDArray[Any] | None = None
    size_px: tuple[int, int] | None = None
    view_px: tuple[float, float, float, float] | None = None
    known: NDArray[np.bool_] | None = None
    num_cut: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether this is an empty value of a source slot: no units, and nothing to refer to."""
        return 0 in self.shape


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeContext:
    """What a processor may know beyond the value.

    rng: drawn from the row's address, so the same row of the same epoch is encoded the same everywhere.
    referred: the item of the slot that this slot refers to (the image of a box).
    root: paths in the row are relative to it and stay inside it; None: paths are the user's own.
    hosts: names of hosts that URLs in the row may be fetched from.
    row: the raw values of the whole row, for an option that names another column.
    """

    split: Split
    rng: np.random.Generator
    referred: Item | None = None
    root: Path | None = None
    hosts: frozenset[str] = frozenset()
    row: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeContext:
    """What the way back may know: the referred item (boxes come out in pixels of its original picture), and whether the answer
    met its longest length before it ended, so that its last unit may be half of something."""

    referred: Item | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRule:
    """What a target slot of ids may answer.

    blocks: names of the vocabulary blocks its units come from.
    length: exactly so many units and no end token; None: units until ``<end>``.
    shape: with a length, the grid in which the units stand: ``(rows, columns)`` or ``(frames, rows, columns)``; None: a line.
    tree: the closed set, its sequences complete (``<end>`` included where ``length`` is None).
    answers: the candidates' own spellings, in the tree's order.
    untied: the blocks have output weights of their own, as a classifier has; otherwise an id is answered with what embeds it.
    """

    blocks: tuple[str, ...]
    length: int | None = None
    shape: tuple[int, ...] | None = None
    tree: PrefixTree | None = None
    answers: tuple[str, ...] = ()
    untied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a processor is built with.

    also_target: the same column is also a target, so ``mask_ratio`` applies in every split.
    candidates: the closed set's candidates in order, where the slot has one.
    asset: the arrays that were fitted for it, by name, where :meth:`Processor.asset` asks for some.
    """

    vocabulary: Vocabulary
    candidates: tuple[str, ...] | None = None
    also_target: bool = False
    asset: Mapping[str, NDArray[Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitContext:
    """What fitting an asset may know.

    hosts: see :class:`EncodeContext`. progress: told ``(done, total)`` now and then, in units of the processor's choice.
    """

    seed: int = 0
    hosts: frozenset[str] = frozenset()
    progress: Callable[[int, int], None] = lambda done, total: None


class Processor(Protocol):
    """What a :class:`ofa_instruction.specs.ProcessorSpec` names; see :class:`BaseProcessor` for defaults."""

    unit_features: int | None
    """Width F of a float unit; None for ids."""

    def __init__(self, slot: SlotPlan, options: Any, resources: Resources) -> None: ...

    @classmethod
    def blocks(cls, slot: SlotPlan, options: Any, candidates: Sequence[str] | None) -> Mapping[str, int]:
        """Vocabulary blocks it needs, by name, with their sizes (the block ``text`` exists already)."""

    @classmethod
    def stream_features(cls, slot: SlotPlan, options: Any) -> int | None:
        """``unit_features`` where the options alone say it; None for ids, and where it depends on what is fitted."""

    @classmethod
    def corpus(cls, slot: SlotPlan, options: Any, value: object) -> Iterable[str]:
        """Texts that the tokenizer should be trained on, out of one raw value."""

    @classmethod
    def asset(cls, slot: SlotPlan, options: Any) -> str | None:
        """Name of what must be fitted to the run's rows before encoding (a code book, a mean and a spread), or None.

        Slots whose processors answer one name share it, and are fitted on the rows of all of them.
        """

    @classmethod
    def fit(
        cls, slot: SlotPlan, options: Any, values: Iterable[tuple[object, Path | None]], context: FitContext
    ) -> Mapping[str, NDArray[Any]]:
        """Fit the asset to raw values, each with the root of its paths; kept with the checkpoint as arrays by name.

        The same values and seed give the same arrays. Values that cannot be read are passed over; encoding reports them.
        Raises ValueError where none is left.
        """

    def encode(self, value: object, context: EncodeContext) -> Item:
        """Encode one raw value, which is not empty (:func:`ofa_instruction.binding.is_empty`). Raises SampleError."""

    def decode(self, units: NDArray[Any], context: DecodeContext) -> object:
        """Turn generated units (ids ``[U]`` without ``<end>``, or float32 ``[U, F]``) into a value."""

    def reference(self, value: object, context: EncodeContext) -> object:
        """A raw value in the form that answers have, which is what metrics compare answers with.

        It is read and normalised as :meth:`encode` does, but no text is cut; chance is not used. Raises SampleError.
        """

    def show(self, units: NDArray[Any], shape: tuple[int, ...]) -> object:
        """What units of an item of that shape show, for a person to look at."""

    def token_rule(self) -> TokenRule | None:
        """What a target slot may answer; None where units are floats."""

    def default_length(self) -> int | None:
        """Units of an answer of floats whose length nobody said; None: it must be said."""


class BaseProcessor:
    """Defaults that most processors keep."""

    unit_features: int | None = None

    def __init__(self, slot: SlotPlan, options: Options, resources: Resources) -> None:
        self.slot = slot
        self.resources = resources

    @classmethod
    def blocks(cls, slot: SlotPlan, options: Any, candidates: Sequence[str] | None) -> Mapping[str, int]:
        """None of its own."""
        return {}

    @classmethod
    def stream_features(cls, slot: SlotPlan, options: Any) -> int | None:
        """The class's own."""
        return cls.unit_features

    @classmethod
    def corpus(cls, slot: SlotPlan, options: Any, value: object) -> Iterable[str]:
        """No text."""
        return ()

    @classmethod
    def asset(cls, slot: SlotPlan, options: Any) -> str | None:
        """Nothing to fit."""
        return None

    @classmethod
    def fit(
        cls, slot: SlotPlan, options: Any, values: Iterable[tuple[object, Path | None]], context: FitContext
    ) -> Mapping[str, NDArray[Any]]:
        """Nothing to fit."""
        return {}

    def decode(self, units: NDArray[Any], context: DecodeContext) -> object:
        """The units themselves."""
        return units

    def reference(self, value: object, context: EncodeContext) -> object:
        """The raw value itself."""
        return value

    def show(self, units: NDArray[Any], shape: tuple[int, ...]) -> object:
        """The value they decode to."""
        return self.decode(units, DecodeContext())

    def token_rule(self) -> TokenRule | None:
        """Floats."""
        return None

    def default_length(self) -> int | None:
        """It must be said."""
        return None
