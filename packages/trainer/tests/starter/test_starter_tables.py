"""Questions about tables: each is settled by its rows, and its SQL gives its answer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ofa_trainer.starter import starter_source
from ofa_trainer.starter._pack import SPLITS
from ofa_trainer.starter._tables import ANSWERED, TABLE_KINDS, ask_table, run_sql, tables_of


@pytest.mark.parametrize("split", SPLITS)
def test_the_query_run_on_the_table_gives_the_answer(split: str) -> None:
    source = starter_source("sql", split)
    for index in range(150):
        row = source.read(index)
        found = run_sql(row["table"], row["sql"])
        assert found
        spelled = [f"{cell:.6g}" if isinstance(cell, float) else str(cell) for (cell,) in found]
        assert row["answer"] == ", ".join(spelled)


@pytest.mark.parametrize("split", SPLITS)
def test_excerpts_are_rows_of_the_table_with_different_keys(split: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        asked = ask_table(rng, split, TABLE_KINDS)
        table, record = asked.table, asked.record
        assert record in tables_of(split)
        assert 4 <= len(table["rows"]) <= 5
        assert len({row[0] for row in table["rows"]}) == len(table["rows"])
        assert len(set(table["columns"])) == len(table["columns"]) == min(3, len(record.columns))
        assert all(any(set(row) <= set(whole) for whole in record.rows) for row in table["rows"])
        assert f" FROM {table['name']}" in asked.sql


def test_names_are_changed_in_training_alone() -> None:
    rng = np.random.default_rng(2)
    for split in SPLITS:
        kept = [asked.table["name"] == asked.record.name for asked in (ask_table(rng, split, ANSWERED) for _ in range(100))]
        assert (0.3 < np.mean(kept) < 0.7) if split == "train" else all(kept)


def test_answers_of_table_qa_stand_in_the_table_or_are_counts() -> None:
    source = starter_source("table_qa", "test")
    kinds: Counter[str] = Counter()
    for index in range(300):
        row = source.read(index)
        cells = {str(cell) for cells in row["table"]["rows"] for cell in cells}
        kinds[row["kind"]] += 1
        if row["kind"] in ("count", "group"):
            assert 0 <= int(row["answer"]) <= 5
        else:
            assert row["answer"] in cells
    assert set(kinds) == set(ANSWERED)
    assert min(kinds.values()) >= 15


def test_no_kind_of_question_about_unseen_tables_is_missing_from_sql() -> None:
    rng = np.random.default_rng(3)
    assert {ask_table(rng, "test", TABLE_KINDS).kind for _ in range(200)} == set(TABLE_KINDS)
