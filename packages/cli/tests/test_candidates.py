"""The file of ``--candidates``: what it may hold, and what is said of any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from ofa_cli.asking import read_candidates
from ofa_cli.errors import UserError


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.txt", " yes \n\nno", ["yes", "no"]),
        ("a.json", '["yes", "no"]', ["yes", "no"]),
        ("a.JSON", '{"label": ["yes"]}', {"label": ["yes"]}),
    ],
)
def test_a_line_each_a_list_or_lists_by_column(tmp_path: Path, name: str, text: str, found: object) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_candidates(tmp_path / name) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 100_000, "is JSON of more than 64 levels"),
        ("[1" + "0" * 5000 + "]", "holds a number of very many digits"),
        ('["yes"', "is not JSON"),
        ("", "is empty"),
        ('["yes", 1]', "expected a list of texts, or a mapping of such lists by column"),
    ],
)
def test_any_other_json_is_told_with_its_file(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "set.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_candidates(path)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)
