"""How a benchmark says what it found: a table for a person, JSON for a program."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

Value = str | int | float | bool | None


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with ``--json``."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def show(title: str, rows: Sequence[Mapping[str, Value]], *, as_json: bool, notes: Sequence[str] = ()) -> None:
    """Print rows under the keys of the first."""
    if as_json:
        print(json.dumps({"benchmark": title, "rows": list(rows), "notes": list(notes)}, indent=2))
        return
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for key in rows[0]:
        table.add_column(key, justify="left" if isinstance(rows[0][key], str) else "right")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    console = Console(highlight=False, width=None if Console().is_terminal else 130)
    console.print(table)
    for note in notes:
        console.print(f"  {note}", style="dim")


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return ""
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
