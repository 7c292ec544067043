"""The terminal's report of a run."""

from __future__ import annotations

import io

import pytest
from ofa_trainer.reporting import Figure, ProgressReporter, Validated
from rich.console import Console


def shown(metrics: dict[str, dict[str, Figure]], width: int) -> str:
    out = io.StringIO()
    reporter = ProgressReporter(Console(file=out, width=width))
    reporter.report(Validated(step=1200, loss=1.5, losses={"has": 1.5}, metrics=metrics, best=True, seconds=0.1))
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 80])
def test_a_validation_without_figures_has_no_column_for_them(width: int) -> None:
    text = shown({}, width)
    assert text.splitlines()[0].startswith("validation at")
    assert "1.500" in text
    assert "metrics" not in text


def test_a_validation_shows_its_figures() -> None:
    figure = Figure(value=0.5, low=0.4, high=0.6, rows=10, baseline=0.25, baseline_name="always `[no]`")
    text = shown({"has": {"has/accuracy": figure}}, 100)
    assert "has/accuracy" in text
    assert "0.500 [0.400, 0.600]" in text
    assert "0.250 always `[no]`" in text


@pytest.mark.parametrize(
    ("rows", "wanted"), [(1, "(1 row: too few"), (3, "(3 rows: too few"), (9, "(9 rows: too few"), (10, "[1.000, 1.000]")]
)
def test_a_figure_of_few_rows_has_no_interval(rows: int, wanted: str) -> None:
    figure = Figure(value=1.0, low=1.0, high=1.0, rows=rows)
    text = " ".join(shown({"has": {"has/accuracy": figure}}, 120).split())
    assert f"1.000 {wanted}" in text
    assert ("[" in text) == (rows >= 10)
    assert figure.as_json() == {
        "value": 1.0,
        "rows": rows,
        "low": 1.0 if rows >= 10 else None,
        "high": 1.0 if rows >= 10 else None,
    }
