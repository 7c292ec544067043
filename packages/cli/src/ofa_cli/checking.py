"""What ``ofa check`` looks at, part by part, so that one mistake does not hide the next. No torch here."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ofa_modalities.lines import read_text_file
from ofa_trainer.problems import Problem
from ofa_trainer.run_file import RunFileError, RunText, parse_run, read_run_text
from pydantic import ValidationError

from ofa_cli.checking_lengths import long_texts
from ofa_cli.errors import UserError, nearest
from ofa_cli.hints import train_command
from ofa_cli.request import check_run_path

if TYPE_CHECKING:
    from ofa_instruction import BackendSpec, TaskPlan
    from ofa_trainer.plans import NamedOptions, TaskFilePlan
    from ofa_trainer.source import Source
    from rich.console import Console

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTask:
    """A task that can be trained: its instruction and its rows by split."""

    name: str
    instruction: str
    rows: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {"name": self.name, "instruction": self.instruction, "rows": dict(self.rows)}


@dataclass(slots=True)
class CheckReport:
    """What was found. settings: laid over the file. warnings: what the file asks for that will be ignored."""

    text: RunText
    settings: Sequence[str] = ()
    mistakes: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tasks: list[CheckedTask] = field(default_factory=list)

    def add(self, path: tuple[str | int, ...], message: str) -> None:
        """A mistake at a path of the file."""
        if not any(mistake.path == path and mistake.message == message for mistake in self.mistakes):
            self.mistakes.append(Problem(path, message, line=self.text.line(path)))

    def attempt(self, path: tuple[str | int, ...], action: Callable[[], ResultT]) -> ResultT | None:
        """The action's result; None and a mistake at ``path`` where it raises what a user causes."""
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                result = action()
        except (ValueError, OSError, ImportError) as error:
            self.add(path, str(error))
            return None
        self.warnings += [f"{self.place(self.text.line(path))}: {item.message}" for item in caught]
        return result

    def place(self, line: int | None) -> str:
        """``run.yaml:12``."""
        return self.text.name if line is None else f"{self.text.name}:{line}"

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        mistakes = [
            {"place": self.place(one.line), "key": one.place, "message": one.message, "hint": one.hint or None}
            for one in self.mistakes
        ]
        return {
            "ok": not mistakes,
            "mistakes": mistakes,
            "warnings": self.warnings,
            "tasks": [one.as_json() for one in self.tasks],
        }

    def print(self, console: Console) -> None:
        """For a person."""
        from rich.text import Text

        for mistake in self.mistakes:
            place = self.place(mistake.line) + (f": {mistake.place}" if mistake.path else "")
            first, *rest = mistake.message.split("\n")
            hint = f"; {mistake.hint}" if mistake.hint else ""
            console.print(Text.assemble(("✗ ", "bold red"), (f"{place}: ", "bold"), first, hint), soft_wrap=True)
            for line in rest:
                console.print(Text(f"    {line}"), soft_wrap=True)
        for warning in self.warnings:
            console.print(Text.assemble(("! ", "bold yellow"), warning), soft_wrap=True)
        for task in self.tasks:
            rows = ", ".join(f"{count:,} {split}" for split, count in task.rows.items())
            console.print(Text.assemble(("✓ ", "bold green"), (task.name, "bold"), f"  {rows} rows"), soft_wrap=True)
            console.print(Text(f"    {task.instruction}", "dim"), soft_wrap=True)
        name = self.text.name
        if self.mistakes:
            count = len(self.mistakes)
            console.print(Text(f"{count} mistake{'s' if count > 1 else ''} in {name}", "bold red"), soft_wrap=True)
        else:
            console.print(Text(f"{name} is ready: {train_command(name, self.settings)}", "green"), soft_wrap=True)


def check_run_file(path: Path, settings: Sequence[str] = ()) -> CheckReport:
    """Look at everything in a run file. Raises UserError or RunFileError only where there is no YAML to look at."""
    check_run_path(path)
    try:
        text = read_text_file(path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start})") from error
    report = CheckReport(read_run_text(text, str(path), settings), settings)
    try:
        parse_run(text, str(path), settings)
    except RunFileError as error:
        report.mistakes += error.problems
    profile = _check_model(report)
    _check_device(report)
    _check_trainer(report, path)
    tasks = report.text.data.get("tasks")
    plans = [
        plan
        for name, values in (tasks if isinstance(tasks, dict) else {}).items()
        if (plan := _check_task(report, str(name), values, profile, path.parent)) is not None
    ]
    _check_agreement(report, plans)
    _tell_unused(report)
    report.mistakes.sort(key=lambda mistake: mistake.line or 0)
    return report


def _tell_unused(report: CheckReport) -> None:
    """Options that have no effect; nothing where their section is not sound."""
    from ofa_models.plans import GenerationOptions
    from ofa_trainer.plans import TrainerOptions
    from ofa_trainer.unused import unused_generation_options, unused_trainer_options

    data, tasks = report.text.data, report.text.data.get("tasks")
    listed = [task for task in (tasks if isinstance(tasks, dict) else {}).values() if isinstance(task, Mapping)]
    messages: list[str] = []
    with contextlib.suppress(ValidationError):
        options = TrainerOptions.model_validate(data.get("trainer") or {})
        weighted = any(task.get("weight") is not None for task in listed)
        validates = any(task.get("valid") is not False for task in listed)
        messages += unused_trainer_options(options, weighted=weighted, validates=validates)
    with contextlib.suppress(ValidationError):
        messages += unused_generation_options(GenerationOptions.model_validate(data.get("generation") or {}))
    for message in messages:
        key = message.split("`")[1].partition(":")[0]
        report.warnings.append(f"{report.place(report.text.line(tuple(key.split('.'))))}: {message}")


def _check_model(report: CheckReport) -> BackendSpec | None:
    """The profile that the tasks are compiled under."""
    from ofa_instruction import default_catalog
    from ofa_trainer.plans import ModelFilePlan

    given = report.text.data.get("model", {})
    try:
        model = ModelFilePlan.model_validate({"size": given} if isinstance(given, str) else given)
    except ValidationError:
        model = ModelFilePlan()  # Reported already; the tasks are looked at all the same.
    report.attempt(("model",), model.plan)
    backend = report.attempt(("model", "backend"), lambda: default_catalog().backend(model.backend))
    return backend.spec if backend is not None else None


def _check_device(report: CheckReport) -> None:
    from ofa_models.devices import check_device

    trainer = report.text.data.get("trainer")
    device = trainer.get("device") if isinstance(trainer, dict) else None
    if isinstance(device, str):
        report.attempt(("trainer", "device"), lambda: check_device(device))


def _check_trainer(report: CheckReport, path: Path) -> None:
    """What the options of the trainer name, and whether the run's folder is free."""
    from ofa_trainer.plans import TrainerOptions
    from ofa_trainer.readiness import missing_parts, newest_step

    data = report.text.data
    with contextlib.suppress(ValidationError):  # reported already
        options = TrainerOptions.model_validate(data.get("trainer") or {})
        for option, message in missing_parts(options, path.parent).items():
            report.add(("trainer", option), message)
    named = data.get("output")
    output = path.parent / named if isinstance(named, str) else Path("runs") / path.stem
    step = newest_step(output)
    if step is not None:
        report.warnings.append(
            f"{report.place(report.text.line(('output',)))}: `{output}` holds a run at step {step}: `--resume` goes on with it,"
            " and without that training asks for another `output`"
        )


def _check_agreement(report: CheckReport, plans: Sequence[TaskPlan]) -> None:
    """Whether the tasks go together in one run, each told where it joins those before it."""
    from ofa_instruction import default_catalog
    from ofa_modalities.agreeing import check_agreement

    catalog = default_catalog()
    for number, plan in enumerate(plans, 1):
        before = len(report.mistakes)
        report.attempt(("tasks", plan.name, "instruction"), lambda number=number: check_agreement(plans[:number], catalog))  # type: ignore[misc]
        if len(report.mistakes) > before:
            return


def _check_task(report: CheckReport, name: str, values: object, profile: BackendSpec | None, base: Path) -> TaskPlan | None:
    """Look at a task; its plan, where its instruction is sound."""
    path = ("tasks", name)
    before = len(report.mistakes)
    if not isinstance(values, Mapping):
        return None
    task, bad = _sound_part(values)
    if task is None:
        return None
    text = report.attempt((*path, "preset"), lambda: _instruction(task))
    plan = report.attempt((*path, "instruction"), lambda: _compile(name, text, task, profile, base)) if text and profile else None
    _check_metrics(report, path, task.metrics or (), plan)
    _check_transforms(report, path, task, plan)
    rows: dict[str, int] = {}
    parts = _parts(task, base)
    for split in ("train", "valid", "test"):
        value = parts.get(split, getattr(task, split))
        if split not in bad and (source := _open(report, path, split, task, text, value, base)) is not None:
            rows[split] = len(source)
            if plan is not None:
                known = len(report.mistakes)
                _check_columns(report, path, split, plan, task, source)
                if len(report.mistakes) == known:
                    _look_at_rows(report, path, split, plan, task, source)
            if plan is not None and split == "train":
                place = report.place(report.text.line((*path, "instruction")))
                report.warnings += [f"{place}: {message}" for message in long_texts(plan, task.columns, source)]
    if plan is not None:
        _check_names(report, path, plan, task)
        _check_folders(report, path, plan, task)
        if len(report.mistakes) == before and not bad:
            report.tasks.append(CheckedTask(name=name, instruction=str(text), rows=rows))
    return plan


def _sound_part(values: Mapping[str, object]) -> tuple[TaskFilePlan | None, set[str]]:
    """A task of the keys that are sound by themselves, and the names of the others; those are reported already."""
    from ofa_trainer.plans import TaskFilePlan

    try:
        return TaskFilePlan.model_validate(values), set()
    except ValidationError as error:
        bad = {str(detail["loc"][0]) for detail in error.errors() if detail["loc"]}
    sound = {key: value for key, value in values.items() if key not in bad}
    if "train" in bad:
        sound["train"] = {"path": ""}  # Never opened.
    try:
        return TaskFilePlan.model_validate(sound), bad
    except ValidationError:
        return None, bad


def _instruction(task: TaskFilePlan) -> str:
    from ofa_trainer.presets import find_preset

    if task.instruction is None:
        assert task.preset is not None
        return find_preset(task.preset).instruction
    return task.instruction if isinstance(task.instruction, str) else " ||| ".join(task.instruction)


def _compile(name: str, text: str, task: TaskFilePlan, profile: BackendSpec, base: Path) -> TaskPlan:
    from ofa_instruction import compile, default_catalog
    from ofa_trainer.readiness import check_trainable
    from ofa_trainer.task import with_folders_from

    plan = compile(text, default_catalog(), profile, name=name, criteria=task.criteria)
    check_trainable(plan)
    return with_folders_from(base, plan)


def _check_folders(report: CheckReport, path: tuple[str, ...], plan: TaskPlan, task: TaskFilePlan) -> None:
    """Whether the folders that slots name are there, each told at the alternative that names it."""
    from ofa_trainer.task import folder_of

    for number, instruction in enumerate(plan.instructions):
        listed = isinstance(task.instruction, tuple) and len(task.instruction) == len(plan.instructions)
        for slot in instruction.slots:
            found = folder_of(slot)
            if found is not None and not found[1].is_dir():
                place: tuple[str | int, ...] = (*path, "instruction", *([number] if listed else []))
                report.add(place, f"`{found[0]}` of [{slot.modality}:{slot.column}]: there is no folder `{found[1]}`")


def _check_metrics(report: CheckReport, path: tuple[str, ...], named: Sequence[NamedOptions], plan: TaskPlan | None) -> None:
    """Names of metrics, the options given to them, and whether they judge what the task answers."""
    from ofa_instruction import default_catalog
    from ofa_trainer.metrics.choosing import check_metric, split_named

    catalog = default_catalog()

    def look_up(item: NamedOptions) -> None:
        name, options = split_named(item)
        catalog.options_of(catalog.metric(name), "ofa.metrics", options)
        if plan is not None:
            check_metric(item, plan, catalog)

    for number, item in enumerate(named):
        report.attempt((*path, "metrics", number), lambda item=item: look_up(item))  # type: ignore[misc]


def _check_transforms(report: CheckReport, path: tuple[str, ...], task: TaskFilePlan, plan: TaskPlan | None) -> None:
    """Whether each transform reaches the columns it must."""
    from ofa_trainer.row_transforms.columns import reach_of

    if plan is None:
        return
    for number, transform in enumerate(task.transforms):
        report.attempt((*path, "transforms", number), lambda transform=transform: reach_of(transform, plan))  # type: ignore[misc]


def _parts(task: TaskFilePlan, base: Path) -> dict[str, object]:
    """Where rows come from that the file does not name: the parts of a folder that is split already."""
    from ofa_trainer.sources.opening import parts_of

    parts = parts_of(task.train, base)
    return {split: part for split, part in parts.items() if split == "train" or getattr(task, split) is None}


def _open(
    report: CheckReport, path: tuple[str, ...], split: str, task: TaskFilePlan, text: str | None, value: object, base: Path
) -> Source | None:
    """The rows of a split; None where it names no source of its own or cannot be opened."""
    from ofa_trainer.plans import SourcePlan
    from ofa_trainer.sources.opening import open_source

    if not isinstance(value, SourcePlan):
        return None
    source = report.attempt(
        (*path, split),
        lambda: open_source(value, base=base, delimiter=task.delimiter, root=task.root, instruction=text),
    )
    if source is not None and len(source) == 0:
        report.add((*path, split), "the data holds no rows")
        return None
    return source


def _check_columns(
    report: CheckReport, path: tuple[str, ...], split: str, plan: TaskPlan, task: TaskFilePlan, source: Source
) -> None:
    """Whether some row has each column of the instruction."""
    from ofa_trainer.sources.choosing import unseen_columns

    stored = {task.columns.get(column, column): column for column in _columns(plan)}
    missing, seen = unseen_columns(source, stored)
    if not seen:
        report.attempt((*path, split), lambda: source.read(0, 0))
    for name in missing:
        column = stored[name]
        hint = f"map it: columns: {{{column}: …}}" if column not in task.columns else "see `columns`"
        message = f"the data has no column `{name}`{nearest(name, seen)}\nthere are: {' '.join(seen)}; {hint}"
        report.add((*path, split), message)
    if split != "train" and not report.mistakes:
        _check_metric_columns(report, (*path, split), plan, task, source)


def _check_metric_columns(
    report: CheckReport, place: tuple[str, ...], plan: TaskPlan, task: TaskFilePlan, source: Source
) -> None:
    """Whether some row has each column that a metric reads beside the answer."""
    from ofa_instruction import default_catalog
    from ofa_trainer.metrics.choosing import metric_columns
    from ofa_trainer.sources.choosing import unseen_columns

    for column in metric_columns(plan, task.metrics or (), default_catalog()):
        name = task.columns.get(column, column)
        missing, seen = unseen_columns(source, [name])
        if missing:
            report.add(place, f"a metric reads the column `{name}`{nearest(name, seen)}\nthere are: {' '.join(seen)}")


def _look_at_rows(
    report: CheckReport, path: tuple[str, ...], split: str, plan: TaskPlan, task: TaskFilePlan, source: Source
) -> None:
    """What the cells of some rows would be misread as, files that are not there, and cells that are empty."""
    from ofa_trainer.looking import look_at_boxes, look_for_empty, look_for_media
    from ofa_trainer.sources.views import Renamed

    place = (*path, split)
    rows = Renamed(source, task.columns) if task.columns else source
    told = report.attempt((*path, "instruction"), lambda: look_at_boxes(plan, rows)) or []
    for found in look_for_media(plan, rows):
        message = f"{found.rows:,} of {found.of:,} rows looked at name a `{found.column}` that cannot be opened, {found.first}"
        if found.share > _most_bad(report):
            report.add(place, message)
        else:
            told.append(message)
    inputs, answers = look_for_empty(plan, rows)
    for found in inputs:
        told.append(f"`{found.column}` is empty in {found.rows:,} of {found.of:,} rows looked at, and read as nothing")
    for found in answers:
        if found.rows == found.of:
            report.add(place, f"`{found.column}` is empty in all of {found.of:,} rows looked at: there is no answer to learn")
        else:
            told.append(f"`{found.column}` is empty in {found.rows:,} of {found.of:,} rows looked at, which are left out")
    if split == "train":
        _check_choice(report, path, plan, task, rows)
    report.warnings += [f"{report.place(report.text.line(place))}: {'.'.join(place)}: {one}" for one in told]


def _most_bad(report: CheckReport) -> float:
    """Share of bad rows that ends a run."""
    from ofa_trainer.plans import TrainerOptions

    trainer = report.text.data.get("trainer")
    given = trainer.get("max_bad_share") if isinstance(trainer, dict) else None
    default: float = TrainerOptions.model_fields["max_bad_share"].default
    return float(given) if isinstance(given, int | float) else default


def _check_choice(report: CheckReport, path: tuple[str, ...], plan: TaskPlan, task: TaskFilePlan, rows: Source) -> None:
    """Whether closed sets that are read from the rows leave anything to choose."""
    from ofa_trainer.looking import first_labels
    from ofa_trainer.readiness import learnt_slots, only_answer

    sets: dict[str, Sequence[str]] = {}
    for slot in learnt_slots(plan):
        if slot.closed_set is not None:
            given = task.closed_sets.get(slot.closed_set) or task.closed_sets.get(slot.column)
            sets[slot.closed_set] = given or first_labels(plan, slot.column, rows)
    if only := only_answer(plan, sets):
        report.add((*path, "train"), only)


def _columns(plan: TaskPlan) -> list[str]:
    return list(dict.fromkeys(slot.column for instruction in plan.instructions for slot in instruction.slots))


def _check_names(report: CheckReport, path: tuple[str, ...], plan: TaskPlan, task: TaskFilePlan) -> None:
    """What is given by column or by closed set belongs to one of the instruction, or to one that a metric reads."""
    from ofa_instruction import default_catalog
    from ofa_trainer.metrics.choosing import columns_read

    slots = [slot for instruction in plan.instructions for slot in instruction.slots]
    columns = {slot.column for slot in slots}
    with contextlib.suppress(ValueError):  # metrics that are none are reported already
        columns = columns_read(plan, task.metrics or (), default_catalog())
    sets = {name for slot in slots if slot.closed_set is not None for name in (slot.closed_set, slot.column)}
    for key, given, known in (("columns", task.columns, columns), ("closed_sets", task.closed_sets, sets)):
        for name in given:
            if key == "closed_sets" and name in columns - sets:
                report.add((*path, key, name), f"`{name}` is a column without a closed set; write `closed_set` into its slot")
            elif name not in known:
                what = "closed set" if key == "closed_sets" else "column"
                message = f"the instruction has no {what} `{name}`{nearest(name, columns | sets)}"
                report.add((*path, key, name), f"{message}\nknown: {' '.join(sorted(known)) or 'none'}")
