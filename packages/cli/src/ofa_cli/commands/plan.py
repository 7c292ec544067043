"""``ofa plan``: what an instruction means, every default resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from ofa_cli.console import print_json, stdout
from ofa_cli.options import AsJson

if TYPE_CHECKING:
    from ofa_instruction import NodePlan, PluginChoice, SlotPlan, TaskPlan
    from rich.tree import Tree


def plan(
    instruction: Annotated[str, typer.Argument(help="One instruction, or alternatives joined by |||.", show_default=False)],
    backend: Annotated[str, typer.Option(help="Compile under this backend's profile.")] = "generalist",
    as_json: AsJson = False,
) -> None:
    """Show the compiled plan of an instruction: how every slot is read, embedded, trained and answered.

    [bold]Example[/bold]  ofa plan '\\[IMAGE:img] what does the image describe? -> \\[TEXT:cap]'
    """
    from ofa_instruction import compile, default_catalog

    from ofa_cli.request import refuse_a_file

    refuse_a_file(instruction)
    catalog = default_catalog()
    task = compile(instruction, catalog, catalog.backend(backend).spec)
    if as_json:
        print_json(task.model_dump(mode="json"))
    else:
        stdout().print(tree_of(task))


def tree_of(task: TaskPlan) -> Tree:
    """The plan as a tree for a terminal."""
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(Text.assemble(("plan", "bold"), f"  backend {task.backend}, layout {task.segment_layout}"), guide_style="dim")
    for number, alternative in enumerate(task.instructions):
        branch = root
        if len(task.instructions) > 1:
            branch = root.add(Text(f"alternative {number}: {alternative.text}"))
        _add_nodes(branch.add(Text.assemble(("source", "bold"), "  what the encoder reads")), alternative.source)
        _add_nodes(branch.add(Text.assemble(("target", "bold"), "  what the decoder answers")), alternative.target)
    return root


def _add_nodes(branch: Tree, nodes: tuple[NodePlan, ...]) -> None:
    from rich.text import Text

    if not nodes:
        branch.add(Text("nothing", "dim"))
    for node in nodes:
        match node.kind:
            case "text":
                branch.add(Text.assemble(("text ", "dim"), f"“{node.text}”"))
            case "slot":
                _add_slot(branch, node)
            case "repeat":
                _add_nodes(branch.add(Text("repeat, zero or more of", "bold magenta")), node.body)
            case "contrast":
                _add_nodes(branch.add(Text("contrast between", "bold magenta")), node.members)


def _add_slot(branch: Tree, slot: SlotPlan) -> None:
    """A slot: its column, then one line a part."""
    from rich.text import Text

    label = branch.add(Text.assemble((slot.modality, "bold cyan"), "  column ", (slot.column, "bold")))
    parts = [("processor", _choice(slot.processor)), ("adaptor", _choice(slot.adaptor))]
    parts += [("criterion", _choice(criterion)) for criterion in slot.criteria]
    if slot.generator is not None:
        options = slot.generator.model_dump(exclude={"kind"})
        parts.append(("generator", f"{slot.generator.kind}{_options(options)}"))
    if slot.no_loss:
        parts.append(("loss", "none: given, never answered"))
    if slot.closed_set is not None:
        parts.append(("closed set", f"{slot.closed_set}: only its candidates can be answered"))
    if slot.refers_to is not None:
        parts.append(("belongs to", f"slot {slot.refers_to}"))
    for name, value in parts:
        label.add(Text.assemble((f"{name:<10} ", "dim"), value))


def _choice(choice: PluginChoice) -> str:
    return f"{choice.name}{_options(choice.options)}"


def _options(options: Mapping[str, object]) -> str:
    """Options in brackets, those that say nothing left out."""
    told = {key: value for key, value in options.items() if value not in (None, False, "", [], {})}
    return f" ({', '.join(f'{key} {_value(value)}' for key, value in told.items())})" if told else ""


def _value(value: object) -> str:
    if value is True:
        return "yes"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
