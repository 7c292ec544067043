"""What a processor fits to the rows of a run: once for all slots that share it, and there when rows are encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ofa_instruction import Catalog, SlotPlan, compile
from ofa_instruction.specs import AdaptorSpec, BackendSpec, CriterionSpec, ModalitySpec, ProcessorSpec
from ofa_modalities import (
    BaseProcessor,
    EncodeContext,
    FitContext,
    Item,
    TaskEncoder,
    Vocabulary,
    fit_assets,
    fit_vocabulary,
    train_tokenizer,
)
from ofa_modalities import specs as own

GENERALIST = BackendSpec(name="generalist")


class CentredProcessor(BaseProcessor):
    """Floats less the mean of the training rows."""

    unit_features = 1

    @classmethod
    def asset(cls, slot: SlotPlan, options: Any) -> str | None:
        return "centre"

    @classmethod
    def fit(
        cls, slot: SlotPlan, options: Any, values: Iterable[tuple[object, Path | None]], context: FitContext
    ) -> Mapping[str, NDArray[Any]]:
        found = np.concatenate([np.asarray(value, np.float32) for value, _ in values])
        context.progress(len(found), len(found))
        return {"mean": found.mean(keepdims=True), "count": np.array([len(found)])}

    def encode(self, value: object, context: EncodeContext) -> Item:
        assert self.resources.asset is not None
        units = np.asarray(value, np.float32)[:, None] - self.resources.asset["mean"]
        return Item(units=units, shape=(len(units),))


class CentredSpec(ProcessorSpec):
    def load(self) -> Any:
        return CentredProcessor


CATALOG = Catalog.from_specs(
    own.TEXT,
    own.TEXT_PROCESSOR,
    ModalitySpec(name="LEVEL", processor="centred", adaptor="frames", criteria=("frames",), generator="frames"),
    CentredSpec(name="centred", modalities=("LEVEL",)),
    AdaptorSpec(name="text", units="ids"),
    AdaptorSpec(name="frames", units="floats"),
    CriterionSpec(name="frames"),
    CriterionSpec(name="cross_entropy"),
    GENERALIST,
)
TASKS = (
    compile("[LEVEL:a] -> [TEXT:t]", CATALOG, GENERALIST, name="one"),
    compile("([LEVEL:b])* -> [LEVEL:a]", CATALOG, GENERALIST, name="two"),
)
ROWS = {("one", "a"): [[1.0, 3.0]], ("two", "b"): [[[4.0], [4.0]]], ("two", "a"): [[8.0]]}


def values(task: str, column: str) -> Iterable[tuple[object, Path | None]]:
    return [(value, None) for value in ROWS[task, column]]


def encoder(assets: Mapping[str, Any]) -> TaskEncoder:
    tokenizer = train_tokenizer(["some words"], 300)
    vocabulary = Vocabulary(fit_vocabulary(TASKS, CATALOG, None, tokenizer), tokenizer)
    return TaskEncoder(TASKS, CATALOG, vocabulary, assets=assets)


def test_slots_of_one_asset_share_the_rows_of_all_of_them_and_each_item_of_a_repeat() -> None:
    told: list[tuple[str, int, int]] = []
    assets = fit_assets(TASKS, CATALOG, values, progress=lambda *report: told.append(report))
    assert assets["centre"]["count"].tolist() == [5]
    assert assets["centre"]["mean"].tolist() == [4.0]
    assert told == [("centre", 5, 5)]


def test_a_processor_is_built_with_its_asset() -> None:
    example = encoder(fit_assets(TASKS, CATALOG, values)).encode(
        "one", {"a": [5.0, 4.0], "t": "x"}, split="train", rng=np.random.default_rng(0)
    )
    assert example.source[0].units.tolist() == [[1.0], [0.0]]


def test_a_known_asset_is_taken_as_it_is() -> None:
    known = {"centre": {"mean": np.zeros(1, np.float32)}}
    assert fit_assets(TASKS, CATALOG, values, known=known) == known


def test_an_asset_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"task `one`, column `a`: the processor `centred` needs `centre`.*fitted here: none"):
        encoder({})
