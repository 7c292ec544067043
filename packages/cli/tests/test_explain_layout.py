"""What `ofa explain` prints of a row keeps names and numbers apart."""

from __future__ import annotations

from io import StringIO

from ofa_cli.explaining import SeenRow, SeenSegment, print_rows
from rich.console import Console


def test_a_long_column_does_not_run_into_its_length() -> None:
    segment = SeenSegment(side="source", kind="TEXT", column="petal_length", num_tokens=4, units="ids", shape=(4,))
    out = StringIO()
    print_rows([SeenRow(task="t", address="my.csv:row 1", row=1, segments=(segment,))], Console(file=out, width=100))
    assert "petal_length 4 tokens" in out.getvalue()
