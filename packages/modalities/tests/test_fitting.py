from __future__ import annotations

from typing import Any

from ofa_instruction import Catalog, compile
from ofa_modalities import SampleError, collect_texts


def test_texts_of_rows_candidates_and_instructions_are_collected(catalog: Catalog) -> None:
    backend = catalog.backend("generalist").spec
    task = compile("what is [TEXT:q,uncased] ? -> ([TEXT:names])* so [TEXT:a,closed_set]", catalog, backend, name="t")
    rows: list[dict[str, Any]] = [{"q": "The CAT", "names": ["x", "y"], "a": "yes"}, {"q": None, "names": [""], "a": 3}]
    found = list(collect_texts([task], catalog, {"t": rows}, {"t": {"a": ("yes", "no")}}))
    assert sorted(found) == sorted(["what is", "?", "so", "yes", "no", "the cat", "x", "y", "yes", "3"])


def test_sample_errors_say_where() -> None:
    error = SampleError("img", "unreadable")
    assert str(error) == "column `img`: unreadable"
    error.address = "a.csv:row 3"
    assert str(error) == "a.csv:row 3:img: unreadable"
