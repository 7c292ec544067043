"""A task: a name, an instruction, and rows.

>>> from ofa_trainer import Task
>>> rows = [{"text": "good", "label": "yes"}, {"text": "bad", "label": "no"}]
>>> task = Task("sentiment", "[TEXT:text] is it good? -> [TEXT:label,closed_set]", train=rows)
>>> len(task.source("train"))
2
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from ofa_instruction import Catalog, CriterionChoice, PluginChoice, default_catalog
from ofa_instruction import compile as compile_instruction
from ofa_instruction.plans import ContrastPlan, NodePlan, RepeatPlan, SlotPlan, TextPlan
from pydantic import TypeAdapter, ValidationError

from ofa_trainer.plans import PATH_OPTIONS, NamedOptions
from ofa_trainer.row_transforms.plans import Crop, Mirror, RowTransformPlan
from ofa_trainer.source import Source
from ofa_trainer.sources.common import DataError
from ofa_trainer.sources.opening import is_path, open_source, parts_of

if TYPE_CHECKING:
    from ofa_instruction import BackendSpec, TaskPlan
    from ofa_models.plans import DataReading

    from ofa_trainer.sources.splitting import KeyColumn, Shared, Split
    from ofa_trainer.workers import RowTransform

TransformChoice = Crop | Mirror | str | Mapping[str, Mapping[str, object]]
"""A row transform: its plan, its name, or ``{name: options}``."""

LoneCriterion = str | Mapping[str, Mapping[str, object]] | PluginChoice
"""One loss outside of a list."""

DataSplit = Literal["train", "valid", "test"]


class Task:
    """What is learnt: one instruction (or several that say the same), the rows it is learnt from, and how it is judged.

    instruction: one instruction, alternatives joined by ``|||``, or a list of alternatives; one is drawn per training row.
    train, valid, test: whatever :func:`ofa_trainer.open_source` opens. ``valid=None`` splits off 5 % of the training rows, at
        most 500; a number is a share of them, exactly; ``False`` or 0: there is no validation. Rows of one picture, sound, clip
        or motion, or of one text where nothing else is read, are split off together.
    closed_sets: candidates by set name or column; a set not given is read from the training rows.
    metrics: each by name, or ``{name: options}``; None: what the target's modality is usually judged by.
    weight: its part in the mixture; None: by rows. All tasks of a run have one or none has.
    loss_weight: λ of its losses relative to the other tasks; None: its share of the mixture. All have one or none has.
    transform: changes a training row before it is encoded: ``(row, rng) -> row``.
    transforms: :class:`Crop` and :class:`Mirror`, or ``"crop"`` and ``{"mirror": {"sides": "none"}}`` as a run file says them, in
        order, behind ``transform``: a picture of a training row changes together with its boxes and texts.
    criteria: by target column, losses in place of the modality's own, each by name, or ``{name: options}``.
    columns: column of the instruction → column of the data, where they differ.
    delimiter: of its CSV files; by itself it is recognised. root: folder that media paths in the rows start from and stay in;
        by itself that of their file.
    base: where relative paths start.

    ``train`` may be a folder that is split already, into train, valid and test: these are its rows where no others are given.
    """

    def __init__(
        self,
        name: str,
        instruction: str | Sequence[str],
        *,
        train: object = None,
        valid: object = None,
        test: object = None,
        closed_sets: Mapping[str, Sequence[str]] | None = None,
        metrics: Sequence[NamedOptions] | NamedOptions | None = None,
        weight: float | None = None,
        loss_weight: float | None = None,
        transform: RowTransform | None = None,
        transforms: Iterable[TransformChoice] | TransformChoice = (),
        criteria: Mapping[str, Sequence[CriterionChoice] | LoneCriterion] | None = None,
        columns: Mapping[str, str] | None = None,
        delimiter: str | None = None,
        root: str | Path | None = None,
        base: str | Path | None = None,
    ) -> None:
        if not name or not name.replace("-", "_").replace(".", "_").isidentifier():
            raise ValueError(f"a task's name is a word of letters, digits, `_`, `-` and `.`, not `{name}`")
        for given in (weight, loss_weight):
            if given is not None and not given > 0:
                raise ValueError(f"task `{name}`: a weight is a positive number, not {given}")
        if valid is not False and isinstance(valid, Real) and not 0 <= float(valid) < 1:
            raise ValueError(f"task `{name}`: `valid` is a share of the training rows, 0 to below 1, or rows, not {valid}")
        if delimiter is not None and not any(map(is_path, (train, valid, test))):
            raise ValueError(f"task `{name}`: a delimiter is that of a file, and no rows come from one")
        self.name = name
        self.instruction = instruction if isinstance(instruction, str) else " ||| ".join(instruction)
        self.closed_sets = {key: tuple(values) for key, values in (closed_sets or {}).items()}
        self.metrics = None if metrics is None else (metrics,) if isinstance(metrics, str | Mapping) else tuple(metrics)
        self.weight, self.loss_weight, self.transform = weight, loss_weight, transform
        self.transforms = _row_transforms(name, transforms)
        self.criteria: dict[str, Sequence[CriterionChoice]] = {
            column: [given] if isinstance(given, str | Mapping | PluginChoice) else given
            for column, given in (criteria or {}).items()
        }
        self.columns = dict(columns or {})
        self.delimiter, self.root = delimiter, root
        self.base = Path(base) if base is not None else None
        self._stated: dict[str, object] = {"train": train, "valid": valid, "test": test}

    def __repr__(self) -> str:
        return f"Task({self.name!r}, {self.instruction!r})"

    def compile(self, profile: BackendSpec, catalog: Catalog | None = None) -> TaskPlan:
        """The task's plan under a backend's profile, its folders absolute where there is a ``base``. Raises InstructionError."""
        plan = compile_instruction(
            self.instruction, catalog or default_catalog(), profile, name=self.name, criteria=self.criteria or None
        )
        return plan if self.base is None else with_folders_from(self.base, plan)

    @functools.cached_property
    def _given(self) -> dict[str, object]:
        """Where the rows of each split come from: what is stated, else the part of a folder that is split already."""
        parts = parts_of(self._stated["train"], self.base)
        kept = {split: value for split, value in self._stated.items() if value is not None}
        return self._stated | parts | kept | ({"train": parts["train"]} if parts else {})

    def source(self, split: DataSplit) -> Source | None:
        """The rows of a split, opened once; None where there are none. Raises DataError."""
        if split == "test":
            return None if self._given["test"] is None else self._open("test")
        return self._split.train if split == "train" else self._split.valid

    @property
    def has_training_rows(self) -> bool:
        """Whether it was given any; one that is only judged needs none."""
        return self._given["train"] is not None

    def reading(self) -> DataReading | None:
        """How the files of its training rows are read, for a checkpoint; None: as they stand."""
        from ofa_models.plans import DataReading

        from ofa_trainer.sources.views import Picked, Renamed

        source: Any = self._split.train
        while isinstance(source, Renamed | Picked):
            source = source.source
        delimiter, encoding = getattr(source, "delimiter", None), getattr(source, "encoding", None)
        if not self.columns and delimiter in (None, ",") and encoding is None:
            return None
        return DataReading(columns=self.columns, delimiter=delimiter, encoding=encoding)

    def shared_rows(self) -> tuple[Shared, ...]:
        """What validation rows have in common with training rows, by column: media, and texts of rows that were split off."""
        split = self._split
        if self._splits_off or split.valid is None:
            return split.shared
        from ofa_trainer.sources.splitting import shared_media

        return shared_media(split.train, split.valid, self._key_columns())

    @property
    def _splits_off(self) -> bool:
        """Whether validation rows are a share of the training rows."""
        valid = self._given["valid"]
        return valid is None or (isinstance(valid, Real) and not isinstance(valid, bool))

    def _key_columns(self) -> tuple[KeyColumn, ...]:
        from ofa_trainer.sources.splitting import key_columns

        return key_columns(self.instruction, default_catalog())

    @functools.cached_property
    def _split(self) -> Split:
        from ofa_trainer.sources.splitting import Split, split_off

        if not self.has_training_rows:
            raise DataError(f"task `{self.name}` has no training rows: give `train=`")
        train, valid = self._open("train"), self._given["valid"]
        if len(train) == 0:
            raise DataError(f"task `{self.name}`: the training data holds no rows; they stand below the header, one a line")
        if valid is False:
            return Split(train=train, valid=None)
        if self._splits_off:
            return split_off(train, self._key_columns(), None if valid is None else float(cast("float", valid)))
        return Split(train=train, valid=self._open("valid"))

    def _open(self, split: str) -> Source:
        try:
            source = open_source(
                self._given[split],
                name=f"{self.name}/{split}",
                base=self.base,
                delimiter=self.delimiter if is_path(self._given[split]) else None,
                root=self.root,
                instruction=self.instruction,
            )
        except DataError as error:
            raise DataError(f"task `{self.name}`, {split}: {error}") from error
        if not self.columns:
            return source
        from ofa_trainer.sources.views import Renamed

        return Renamed(source, self.columns)


def with_folders_from(base: Path, plan: TaskPlan) -> TaskPlan:
    """The plan with the folders that its slots name (:data:`PATH_OPTIONS`) as absolute paths, relative ones from ``base``."""

    def moved_all(nodes: tuple[NodePlan, ...]) -> tuple[NodePlan, ...]:
        return tuple(moved(node) for node in nodes)

    def moved(node: NodePlan) -> NodePlan:
        match node:
            case SlotPlan():
                return moved_slot(node)
            case RepeatPlan():
                return node.model_copy(update={"body": moved_all(node.body)})
            case ContrastPlan():
                return node.model_copy(update={"members": tuple(moved_slot(member) for member in node.members)})
            case TextPlan():
                return node

    def moved_slot(slot: SlotPlan) -> SlotPlan:
        found = folder_of(slot)
        if found is None:
            return slot
        option, folder = found
        options = slot.processor.options | {option: str((base / folder).resolve())}
        return slot.model_copy(update={"processor": slot.processor.model_copy(update={"options": options})})

    instructions = tuple(
        one.model_copy(update={"source": moved_all(one.source), "target": moved_all(one.target)}) for one in plan.instructions
    )
    return plan.model_copy(update={"instructions": instructions})


def folder_of(slot: SlotPlan) -> tuple[str, Path] | None:
    """The option of a slot that names a folder, with the folder; None: it names none."""
    option = PATH_OPTIONS.get(slot.processor.name)
    folder = None if option is None else slot.processor.options.get(option)
    return (option, Path(folder).expanduser()) if option is not None and isinstance(folder, str) else None


def _row_transforms(task: str, given: Iterable[TransformChoice] | TransformChoice) -> tuple[Crop | Mirror, ...]:
    """The plans of row transforms, read as those of a run file are. Raises ValueError."""
    listed = (given,) if isinstance(given, str | Mapping | Crop | Mirror) else given
    try:
        return TypeAdapter(tuple[RowTransformPlan, ...]).validate_python(listed)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(("transforms", *map(str, first["loc"])))
        raise ValueError(f"task `{task}`: `{place}`: {first['msg'].removeprefix('Value error, ')}") from error
