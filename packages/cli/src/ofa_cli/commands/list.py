"""``ofa list``: what is installed, by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ofa_cli.console import print_json, print_table, stdout
from ofa_cli.options import AsJson

if TYPE_CHECKING:
    from ofa_instruction import Group, PluginSpec


class Kind(StrEnum):
    """What can be listed."""

    TASKS = "tasks"
    MODALITIES = "modalities"
    MODELS = "models"
    CRITERIA = "criteria"
    METRICS = "metrics"
    SOURCES = "sources"


def list_plugins(
    kind: Annotated[Kind, typer.Argument(help="What to list.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """List task presets, modalities, models, criteria, metrics or data sources.

    [bold]Example[/bold]  ofa list metrics --json
    """
    rows = _presets() if kind is Kind.TASKS else _sizes() if kind is Kind.MODELS else _plugins(_group(kind))
    if as_json:
        print_json(rows)
        return
    if not rows:
        stdout().print(f"no {kind} are installed")
    elif kind is Kind.MODELS:
        print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        _print_entries(rows)


def _print_entries(rows: list[dict[str, str]]) -> None:
    """Name and summary, then what else is known of it, a line each."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold", style="bold cyan")
    table.add_column(overflow="fold")
    for row in rows:
        name, summary, *more = row
        table.add_row(row[name], row[summary])
        for key in more:
            if row[key]:
                table.add_row("", Text.assemble((f"{key} ", "dim"), row[key]))
    stdout().print(table)


def _group(kind: Kind) -> Group:
    match kind:
        case Kind.MODALITIES:
            return "ofa.modalities"
        case Kind.CRITERIA:
            return "ofa.criteria"
        case Kind.METRICS:
            return "ofa.metrics"
        case _:
            return "ofa.sources"


def _plugins(group: Group) -> list[dict[str, str]]:
    from ofa_instruction import default_catalog

    return [
        {"name": plugin.spec.name, "summary": plugin.spec.summary, "options": _options(plugin.spec), "from": plugin.distribution}
        for plugin in default_catalog().plugins(group)
    ]


def _options(spec: PluginSpec) -> str:
    """The keys of a plugin's options with their defaults; a modality's lie with its processor."""
    from ofa_instruction import ModalitySpec, default_catalog

    if isinstance(spec, ModalitySpec):
        processor = default_catalog().processor(spec.processor).spec
        return " ".join(processor.options.model_fields)
    return " ".join(spec.options.model_fields)


def _sizes() -> list[dict[str, str]]:
    """Every size of every backend; the backends of this project share the sizes."""
    from ofa_instruction import default_catalog
    from ofa_models.plans import SIZES

    backends = [plugin.spec.name for plugin in default_catalog().plugins("ofa.backends")]
    return [
        {
            "backend": backend,
            "size": name,
            "width": str(size.width),
            "layers": f"{size.encoder_layers}+{size.decoder_layers}",
            "heads": str(size.num_heads),
            "mlp": str(size.mlp_width),
        }
        for backend in backends
        for name, size in SIZES.items()
    ]


def _presets() -> list[dict[str, str]]:
    from ofa_trainer.presets import PRESETS

    return [
        {"name": name, "summary": preset.summary, "instruction": preset.instruction, "metrics": _names(preset.metrics)}
        for name, preset in PRESETS.items()
    ]


def _names(metrics: Sequence[str | Mapping[str, object]]) -> str:
    return " ".join(metric if isinstance(metric, str) else next(iter(metric)) for metric in metrics)
