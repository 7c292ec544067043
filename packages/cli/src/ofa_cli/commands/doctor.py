"""``ofa doctor``: what this installation can do, and what is wrong with it."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from typing import Any

import typer

from ofa_cli.console import print_json, stdout
from ofa_cli.options import AsJson
from ofa_cli.threads import thread_waiting

_OWN = ("ofa-instruction", "ofa-modalities", "ofa-models", "ofa-trainer", "ofa-cli")
_LIBRARIES = ("torch", "numpy", "transformers", "tokenizers", "safetensors", "pillow", "pydantic", "typer", "rich")
_EXTRAS = ("xformers", "pyarrow", "datasets", "tensorboard", "wandb")


def doctor(as_json: AsJson = False) -> None:
    """Report versions, devices, attention kernels and plugins. Exit code 2 where something is broken.

    [bold]Example[/bold]  ofa doctor --json
    """
    findings = {
        "python": f"{sys.version.split()[0]} on {platform.system()} {platform.machine()}",
        "packages": _versions(_OWN),
        "libraries": _versions(_LIBRARIES),
        "extras": _versions(_EXTRAS),
        "device": _device(),
        "plugins": _plugins(),
        "problems": _problems(),
    }
    if as_json:
        print_json(findings)
    else:
        _print(findings)
    if findings["problems"]:
        raise typer.Exit(2)


def _versions(names: tuple[str, ...]) -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _device() -> dict[str, Any]:
    """The CPU, the GPU if there is one, and the attention kernels that run here."""
    import torch
    from ofa_models.precision import resolve_precision

    kernels = ["reference", "sdpa"]
    has_gpu = torch.cuda.is_available()
    if has_gpu and importlib.util.find_spec("xformers") is not None:
        kernels.append("xformers")
    return {
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_natively": resolve_precision("auto", "cpu") == "bfloat16",
        "torch_threads": torch.get_num_threads(),
        "threads_wait": thread_waiting(),
        "gpu": torch.cuda.get_device_name(0) if has_gpu else None,
        "attention_kernels": kernels,
    }


def _plugins() -> dict[str, list[str]]:
    from ofa_instruction import GROUPS, default_catalog

    catalog = default_catalog()
    return {
        group: [
            plugin.spec.name if plugin.distribution in _OWN else f"{plugin.spec.name} ({plugin.distribution})"
            for plugin in catalog.plugins(group)
        ]
        for group in GROUPS
    }


def _problems() -> list[str]:
    """Plugins that fail to load, names provided twice, and implementations that cannot be imported."""
    from ofa_instruction import GROUPS, default_catalog

    catalog = default_catalog()
    found = [f"{problem.group} `{problem.name}` of `{problem.distribution}`: {problem.message}" for problem in catalog.problems()]
    for group in GROUPS:
        for plugin in catalog.plugins(group):
            if not plugin.spec.implementation:
                continue
            try:
                plugin.spec.load()
            except Exception as error:  # noqa: BLE001  What a plugin raises on import is its own; it is reported here.
                found.append(f"{group} `{plugin.spec.name}` of `{plugin.distribution}`: {type(error).__name__}: {error}")
    return found


def _print(findings: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", overflow="fold")
    table.add_column(overflow="fold")
    table.add_row("python", findings["python"])
    for title in ("packages", "libraries", "extras"):
        table.add_row(title, "  ".join(f"{name} {version or 'not installed'}" for name, version in findings[title].items()))
    for name, value in findings["device"].items():
        table.add_row(name.replace("_", " "), _shown(value))
    for group, names in findings["plugins"].items():
        table.add_row(group.removeprefix("ofa."), "  ".join(names) or "none")
    console.print(table)
    for problem in findings["problems"]:
        console.print(Text.assemble(("broken ", "bold red"), problem))
    if not findings["problems"]:
        console.print(Text("nothing is broken", "green"))


def _shown(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return "none"
        case list():
            return " ".join(map(str, value))
    return str(value)
