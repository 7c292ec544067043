"""The catalog: which plugins there are, read from entry points on first use.

A plugin is a spec under one of the groups of :mod:`ofa_instruction.specs`. Built-ins and third parties come through the
same door. A plugin that fails to load is recorded, not raised: :meth:`Catalog.problems` lists it, and using it says why.
``OFA_PLUGINS=off`` in the environment leaves only the packages of this project.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast, get_args

from pydantic import ValidationError

from ofa_instruction.errors import CatalogError, known_hint, quote
from ofa_instruction.plans import PluginChoice, TaskPlan
from ofa_instruction.specs import (
    AdaptorSpec,
    BackendSpec,
    CriterionSpec,
    MetricSpec,
    ModalitySpec,
    Options,
    PluginSpec,
    ProcessorSpec,
    SourceSpec,
)
from ofa_instruction.telling import complaint

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Group = Literal["ofa.modalities", "ofa.processors", "ofa.adaptors", "ofa.backends", "ofa.criteria", "ofa.metrics", "ofa.sources"]
SpecT_co = TypeVar("SpecT_co", bound=PluginSpec, covariant=True)

GROUPS: tuple[Group, ...] = get_args(Group)

PACKAGES: Mapping[Group, str] = {
    "ofa.modalities": "ofa-modalities",
    "ofa.processors": "ofa-modalities",
    "ofa.adaptors": "ofa-models",
    "ofa.backends": "ofa-models",
    "ofa.criteria": "ofa-trainer",
    "ofa.metrics": "ofa-trainer",
    "ofa.sources": "ofa-trainer",
}
"""The package of this project that provides the built-in plugins of a group."""

_KINDS: Mapping[Group, tuple[str, type[PluginSpec]]] = {
    "ofa.modalities": ("modality", ModalitySpec),
    "ofa.processors": ("processor", ProcessorSpec),
    "ofa.adaptors": ("adaptor", AdaptorSpec),
    "ofa.backends": ("backend", BackendSpec),
    "ofa.criteria": ("criterion", CriterionSpec),
    "ofa.metrics": ("metric", MetricSpec),
    "ofa.sources": ("source", SourceSpec),
}
_OWN = frozenset({"ofa-instruction", "ofa-modalities", "ofa-models", "ofa-trainer", "ofa-cli"})


@dataclass(frozen=True, slots=True)
class Plugin(Generic[SpecT_co]):
    """A spec and the distribution that provides it."""

    spec: SpecT_co
    distribution: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A plugin that cannot be used, and why."""

    group: str
    name: str
    distribution: str
    message: str


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The plugins of one group, by name and alias; more than one under a name is a conflict."""

    plugins: tuple[Plugin[PluginSpec], ...]
    named: Mapping[str, tuple[Plugin[PluginSpec], ...]]
    broken: tuple[Problem, ...]


def kind_of(group: Group) -> str:
    """What one plugin of a group is called: ``processor``."""
    return _KINDS[group][0]


class Catalog:
    """All plugins, by group and name.

    >>> from ofa_instruction import Catalog, CriterionSpec
    >>> catalog = Catalog.from_specs(CriterionSpec(name="cross_entropy", aliases=("ce",)))
    >>> catalog.criterion("ce").spec.name
    'cross_entropy'
    """

    def __init__(
        self, plugins: Iterable[Plugin[PluginSpec]] = (), *, entry_points: bool = False, third_party: bool | None = None
    ) -> None:
        """Prefer :meth:`from_specs`, :meth:`from_entry_points` or :func:`default_catalog`."""
        self._plugins = tuple(plugins)
        self._entry_points = entry_points
        self._third_party = third_party
        self._shelves: dict[str, _Shelf] = {}

    @classmethod
    def from_specs(cls, *specs: PluginSpec | Plugin[PluginSpec], distribution: str = "local") -> Catalog:
        """A catalog of just these; ``distribution`` is said to provide the bare specs."""
        return cls(spec if isinstance(spec, Plugin) else Plugin(spec, distribution) for spec in specs)

    @classmethod
    def from_entry_points(cls, *, third_party: bool | None = None) -> Catalog:
        """A catalog of what is installed, read on first use.

        ``third_party`` False leaves only this project's packages; None asks the environment (``OFA_PLUGINS=off``).
        """
        return cls(entry_points=True, third_party=third_party)

    def with_specs(self, *specs: PluginSpec | Plugin[PluginSpec], distribution: str = "local") -> Catalog:
        """A new catalog that holds these as well."""
        more = self.from_specs(*specs, distribution=distribution)._plugins
        return Catalog((*self._plugins, *more), entry_points=self._entry_points, third_party=self._third_party)

    # Lookups

    def modality(self, name: str) -> Plugin[ModalitySpec]:
        """The modality of that name or alias. Raises :class:`CatalogError`."""
        return cast("Plugin[ModalitySpec]", self.plugin("ofa.modalities", name))

    def processor(self, name: str) -> Plugin[ProcessorSpec]:
        """The processor of that name or alias. Raises :class:`CatalogError`."""
        return cast("Plugin[ProcessorSpec]", self.plugin("ofa.processors", name))

    def adaptor(self, name: str) -> Plugin[AdaptorSpec]:
        """The adaptor of that name or alias. Raises :class:`CatalogError`."""
        return cast("Plugin[AdaptorSpec]", self.plugin("ofa.adaptors", name))

    def backend(self, name: str) -> Plugin[BackendSpec]:
        """The backend of that name or alias. Raises :class:`CatalogError`."""
        return cast("Plugin[BackendSpec]", self.plugin("ofa.backends", name))

    def criterion(self, name: str) -> Plugin[CriterionSpec]:
        """The criterion of that name or alias. Raises :class:`CatalogError`."""
        return cast("Plugin[CriterionSpec]", self.plugin("ofa.criteria", name))

    def metric(self, name: str) -> Plugin[MetricSpec]:
        """The metric of that name or alias. Raises :class:`CatalogError`."""
        return cast("Plugin[MetricSpec]", self.plugin("ofa.metrics", name))

    def source(self, name: str) -> Plugin[SourceSpec]:
        """The source of that name or alias. Raises :class:`CatalogError`."""
        return cast("Plugin[SourceSpec]", self.plugin("ofa.sources", name))

    def plugin(self, group: Group, name: str) -> Plugin[PluginSpec]:
        """The plugin of a group by name or alias. Raises :class:`CatalogError`."""
        shelf = self._shelf(group)
        kind, package = kind_of(group), PACKAGES[group]
        found = shelf.named.get(name, ())
        broken = [problem for problem in shelf.broken if problem.name == name]
        if len(found) + len(broken) > 1:
            providers = sorted([plugin.distribution for plugin in found] + [problem.distribution for problem in broken])
            message = f"{kind} {quote(name)} is provided by {' and by '.join(map(quote, providers))}"
            hint = "Uninstall one of them, or set OFA_PLUGINS=off to use this project's own."
            raise CatalogError(message, reason="conflict", group=group, name=name, hint=hint)
        if broken:
            message = f"{kind} {quote(name)} of {quote(broken[0].distribution)} cannot be loaded: {broken[0].message}"
            raise CatalogError(message, reason="broken", group=group, name=name)
        if not found:
            hint = known_hint(name, (plugin.spec.name for plugin in shelf.plugins))
            hint = hint or f"No {kind} is installed at all; the built-in ones come with {quote(package)}."
            raise CatalogError(f"unknown {kind} {quote(name)}", reason="unknown", group=group, name=name, hint=hint)
        return found[0]

    def plugins(self, group: Group) -> tuple[Plugin[PluginSpec], ...]:
        """All plugins of a group that load: this project's first, then by distribution, in declared order."""
        return self._shelf(group).plugins

    def modality_names(self) -> dict[str, str]:
        """Every name and alias of an installed modality, with the modality's own name.

        One that fails to load is among them: that it is broken is said when it is used.
        """
        shelf = self._shelf("ofa.modalities")
        names = {problem.name: problem.name for problem in shelf.broken}
        return names | {name: plugins[0].spec.name for name, plugins in shelf.named.items()}

    def validate(self, choice: PluginChoice, group: Group) -> Options:
        """The typed options of a choice that a plan holds.

        Raises :class:`CatalogError` where the plugin is missing, comes from another distribution than the plan says, or
        does not accept the options.
        """
        kind = kind_of(group)
        try:
            plugin = self.plugin(group, choice.name)
        except CatalogError as error:
            if error.reason == "unknown":
                error.hint = (
                    f"The plan takes it from {quote(choice.distribution)}, which is not installed or has none of that name."
                )
            raise
        if choice.distribution != plugin.distribution:
            message = (
                f"{kind} {quote(choice.name)} of the plan comes from {quote(choice.distribution)}, "
                f"the installed one from {quote(plugin.distribution)}"
            )
            raise CatalogError(message, reason="conflict", group=group, name=choice.name)
        return self.options_of(plugin, group, choice.options)

    def options_of(self, plugin: Plugin[PluginSpec], group: Group, options: Mapping[str, object]) -> Options:
        """The plugin's typed options from plain values. Raises :class:`CatalogError`."""
        try:
            return plugin.spec.options.model_validate(dict(options))
        except ValidationError as error:
            message = f"options of {kind_of(group)} {quote(plugin.spec.name)}: {complaint(error, options)}"
            hint = f"known: {' '.join(sorted(plugin.spec.options.model_fields)) or 'none'}"
            raise CatalogError(message, reason="options", group=group, name=plugin.spec.name, hint=hint) from error

    def validate_plan(self, plan: TaskPlan, *, with_criteria: bool = True) -> None:
        """Check every choice of a loaded plan; ``with_criteria=False`` leaves the losses out (inference).

        Raises :class:`CatalogError` at the first that cannot be used.
        """
        for instruction in plan.instructions:
            for slot in instruction.slots:
                self.modality(slot.modality)
                self.validate(slot.processor, "ofa.processors")
                self.validate(slot.adaptor, "ofa.adaptors")
                for choice in slot.criteria if with_criteria else ():
                    self.validate(choice, "ofa.criteria")

    def problems(self) -> tuple[Problem, ...]:
        """Every plugin that cannot be used: those that fail to load, and names that two distributions provide."""
        found: list[Problem] = []
        for group in GROUPS:
            shelf = self._shelf(group)
            found.extend(shelf.broken)
            for name, plugins in shelf.named.items():
                if len(plugins) > 1:
                    providers = " and by ".join(quote(plugin.distribution) for plugin in plugins)
                    found.append(Problem(group, name, plugins[0].distribution, f"{quote(name)} is provided by {providers}"))
        return tuple(found)

    # Reading

    def _shelf(self, group: Group) -> _Shelf:
        if group not in self._shelves:
            plugins = [plugin for plugin in self._plugins if plugin.spec.group == group]
            broken: list[Problem] = []
            if self._entry_points:
                for distribution, entry_point in _installed(group, self._third_party):
                    loaded = _load(group, distribution, entry_point)
                    (plugins if isinstance(loaded, Plugin) else broken).append(loaded)  # type: ignore[arg-type]
            named: dict[str, tuple[Plugin[PluginSpec], ...]] = {}
            for plugin in (plugin for number, plugin in enumerate(plugins) if plugin not in plugins[:number]):
                for name in dict.fromkeys((plugin.spec.name, *plugin.spec.aliases)):
                    named[name] = (*named.get(name, ()), plugin)
            self._shelves[group] = _Shelf(tuple(plugins), named, tuple(broken))
        return self._shelves[group]


def _installed(group: Group, third_party: bool | None) -> list[tuple[str, EntryPoint]]:
    """Entry points of a group with their distributions, this project's own first."""
    from importlib.metadata import entry_points

    if third_party is None:
        third_party = os.environ.get("OFA_PLUGINS", "").strip().lower() not in ("off", "0", "false", "no")
    found = [(entry_point.dist.name if entry_point.dist else "unknown", entry_point) for entry_point in entry_points(group=group)]
    ranked = [(re.sub(r"[-_.]+", "-", distribution).lower(), distribution, entry_point) for distribution, entry_point in found]
    kept = [item for item in ranked if third_party or item[0] in _OWN]
    return [
        (distribution, entry_point)
        for _, distribution, entry_point in sorted(kept, key=lambda item: (item[0] not in _OWN, item[0]))
    ]


def _load(group: Group, distribution: str, entry_point: EntryPoint) -> Plugin[PluginSpec] | Problem:
    kind, spec_type = _KINDS[group]
    try:
        spec = entry_point.load()
    except Exception as error:  # noqa: BLE001 - what a plugin's module raises is its own; it must not take the others down
        return Problem(group, entry_point.name, distribution, f"{type(error).__name__}: {error}")
    if not isinstance(spec, spec_type):
        message = f"{quote(entry_point.value)} is not a {spec_type.__name__}"
    elif spec.name != entry_point.name:
        message = f"{quote(entry_point.value)} names itself {quote(spec.name)}"
    elif kind == "modality" and not (spec.name.isidentifier() and spec.name.isupper()):
        message = "a modality's name is an identifier in upper case"
    else:
        return Plugin(spec, distribution)
    return Problem(group, entry_point.name, distribution, message)


@functools.cache
def default_catalog() -> Catalog:
    """The catalog of what is installed, made once. ``default_catalog.cache_clear()`` forgets it."""
    return Catalog.from_entry_points()
