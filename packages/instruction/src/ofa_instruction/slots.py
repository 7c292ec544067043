"""Compiles one slot: its modality, parts and options.

modality ─▶ processor, adaptor      the attribute, else the profile (adaptor), else the modality's default
         ─▶ generator, criteria     on slots that are answered: target side, no `no_loss`, no contrast
parts    ─▶ options                 attributes by the parts that declare them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn, TypeAlias, cast

from pydantic import BaseModel

from ofa_instruction.attributes import Part, Report, assign, declared_names, resolved, split_reserved
from ofa_instruction.catalog import PACKAGES, Catalog, Group, Plugin, kind_of
from ofa_instruction.errors import CatalogError, ErrorCode, Span, known_hint, quote
from ofa_instruction.ofasys import PLUGINS
from ofa_instruction.plans import DiffusionGeneration, FrameGeneration, GeneratorPlan, PluginChoice, SlotPlan, TokenGeneration
from ofa_instruction.references import Place, find_reference
from ofa_instruction.specs import AdaptorSpec, BackendSpec, CriterionSpec, ModalitySpec, PluginSpec, ProcessorSpec
from ofa_instruction.syntax import MODALITIES, Attribute, Slot

CriterionChoice: TypeAlias = str | tuple[str, Mapping[str, object]] | Mapping[str, Mapping[str, object]] | PluginChoice
"""A loss: its name, its name with options as a pair or as ``{name: options}``, or a choice from another plan."""

Generator = Literal["tokens", "frames", "diffusion"]

_GENERATORS: Mapping[Generator, type[TokenGeneration] | type[FrameGeneration] | type[DiffusionGeneration]] = {
    "tokens": TokenGeneration,
    "frames": FrameGeneration,
    "diffusion": DiffusionGeneration,
}


@dataclass(frozen=True, slots=True)
class SlotCompiler:
    """What the slots of one instruction share."""

    places: Sequence[Place]
    report: Report
    catalog: Catalog
    profile: BackendSpec
    criteria: Mapping[str, Sequence[CriterionChoice]]
    with_criteria: bool
    warnings: list[str] = field(default_factory=list)

    def compile(self, place: Place) -> SlotPlan:
        """Decide everything about one slot."""
        slot, report = place.slot, self.report
        modality = self._modality(slot).spec
        reserved, others = split_reserved(slot, report)
        on_target = place.side == "target" and not place.in_contrast
        no_loss = report.flag(reserved.get("no_loss"))
        if no_loss and not on_target:
            self._ignore(slot, reserved["no_loss"], "only an answer has a loss")
        no_loss = no_loss and on_target
        required = report.flag(reserved.get("required"))
        if required and on_target:
            self._ignore(slot, reserved["required"], "an answer is never read from an empty value")
        answers = on_target and not no_loss
        processor = self._processor(slot, modality, reserved.get("processor"), on_target)
        adaptor = self._adaptor(slot, modality, reserved.get("adaptor"), on_target)
        generator = self._generator(slot, modality, adaptor.spec, reserved, answers)
        criteria, complete = self._criteria(slot, modality, reserved.get("criterion"), answers)
        parts = [
            Part(f"processor {quote(processor.spec.name)}", processor.spec.options, {}),
            Part(f"adaptor {quote(adaptor.spec.name)}", adaptor.spec.options, {}),
            *(Part(f"criterion {quote(plugin.spec.name)}", plugin.spec.options, preset) for plugin, preset in criteria),
            *([Part(f"generator {quote(generator)}", _GENERATORS[generator], {})] if generator else []),
        ]
        options, ignored = assign(
            slot, others, parts, report, answer_keys=() if answers else self._answer_keys(modality), lenient=not complete
        )
        self.warnings.extend(ignored)
        plugins: list[Plugin[PluginSpec]] = [processor, adaptor, *(plugin for plugin, _ in criteria)]
        chosen = [
            PluginChoice(name=plugin.spec.name, distribution=plugin.distribution, options=resolved(value))
            for plugin, value in zip(plugins, options[: len(plugins)], strict=True)
        ]
        return SlotPlan(
            index=place.index,
            column=slot.name,
            side=place.side,
            modality=modality.name,
            processor=chosen[0],
            adaptor=chosen[1],
            criteria=tuple(chosen[2:]) if self.with_criteria else (),
            generator=cast("GeneratorPlan", options[-1]) if generator else None,
            no_loss=no_loss,
            required=required and not on_target,
            closed_set=self._closed_set(slot, modality, reserved.get("closed_set"), generator),
            refers_to=find_reference(
                place, self.places, modality.refers_to, reserved.get("of"), report, optional=modality.refers_optionally
            ),
        )

    # Parts

    def _modality(self, slot: Slot) -> Plugin[ModalitySpec]:
        try:
            return self.catalog.modality(slot.modality)
        except CatalogError as error:
            if error.reason == "unknown" and slot.modality in MODALITIES:
                names = sorted(plugin.spec.name for plugin in self.catalog.plugins("ofa.modalities"))
                package = PACKAGES["ofa.modalities"]
                hint = f"installed: {' '.join(names) or 'none'}\nThe built-in modalities come with `{package}`."
                message = f"modality {quote(slot.modality)} is not installed: no plugin provides it"
                self.report.fail(ErrorCode.NOT_INSTALLED, message, slot.modality_span, hint)
            self._fail(error, slot.modality_span)

    def _processor(
        self, slot: Slot, modality: ModalitySpec, attribute: Attribute | None, on_target: bool
    ) -> Plugin[ProcessorSpec]:
        default = (modality.target_processor if on_target else None) or modality.processor
        found = cast("Plugin[ProcessorSpec]", self._find("ofa.processors", slot, attribute, default))
        if modality.name not in found.spec.modalities:
            fitting = [
                plugin.spec.name
                for plugin in self.catalog.plugins("ofa.processors")
                if modality.name in cast("ProcessorSpec", plugin.spec).modalities
            ]
            message = f"processor {quote(found.spec.name)} does not take {modality.name}"
            hint = f"processors of {modality.name}: {' '.join(sorted(fitting)) or 'none'}"
            self.report.fail(ErrorCode.MISFIT, message, attribute.value_span if attribute else slot.modality_span, hint)
        return found

    def _adaptor(self, slot: Slot, modality: ModalitySpec, attribute: Attribute | None, on_target: bool) -> Plugin[AdaptorSpec]:
        if on_target and (modality.target_adaptor or modality.name in self.profile.target_adaptors):
            default = self.profile.target_adaptors.get(modality.name) or cast(str, modality.target_adaptor)
        else:
            default = self.profile.adaptors.get(modality.name, modality.adaptor)
        return cast("Plugin[AdaptorSpec]", self._find("ofa.adaptors", slot, attribute, default))

    def _generator(
        self, slot: Slot, modality: ModalitySpec, adaptor: AdaptorSpec, reserved: Mapping[str, Attribute], answers: bool
    ) -> Generator | None:
        attribute = reserved.get("generator")
        generator: Generator = modality.generator
        if attribute is not None:
            word = self.report.word(attribute)
            if word not in _GENERATORS:
                self.report.bad_value(attribute, "no such generator", known_hint(word, _GENERATORS))
            generator = cast("Generator", word)
            if not answers:
                self._ignore(slot, attribute, "only an answer is generated")
        if not answers:
            return None
        units = "ids" if generator == "tokens" else "floats"
        if adaptor.units != units:
            where = attribute or reserved.get("adaptor")
            message = f"generator {quote(generator)} answers in {units}, adaptor {quote(adaptor.name)} reads {adaptor.units}"
            hint = f"Name a processor and an adaptor of {units}, or another generator; with `no_loss` it is not generated."
            self.report.fail(ErrorCode.MISFIT, message, where.value_span if where else slot.modality_span, hint)
        return generator

    def _criteria(
        self, slot: Slot, modality: ModalitySpec, attribute: Attribute | None, answers: bool
    ) -> tuple[list[tuple[Plugin[CriterionSpec], Mapping[str, object]]], bool]:
        """The criteria with the options set elsewhere, and whether all of them are installed."""
        if not answers:
            if attribute is not None:
                self._ignore(slot, attribute, "only an answer has a loss")
            return [], True
        wanted: object = self.criteria.get(slot.name, modality.criteria)
        if attribute is not None and slot.name not in self.criteria:
            wanted = (self.report.word(attribute),)
        else:
            attribute = None
        found: list[tuple[Plugin[CriterionSpec], Mapping[str, object]]] = []
        complete = True
        for choice in self._listed(slot, wanted):
            name, preset = self._named(slot, choice)
            if not self.with_criteria and not self._has("ofa.criteria", name):
                complete = False
                continue
            plugin = cast("Plugin[CriterionSpec]", self._find("ofa.criteria", slot, attribute, name))
            found.append((plugin, preset))
        return found, complete

    def _listed(self, slot: Slot, given: object) -> Sequence[object]:
        """The losses of a column; one that stands alone is a list of one."""
        if isinstance(given, str | Mapping | PluginChoice):
            return (given,)
        if not isinstance(given, Sequence):
            self._bad_choice(slot, given)
        return given

    def _named(self, slot: Slot, choice: object) -> tuple[str, Mapping[str, object]]:
        """(name, options) of a :data:`CriterionChoice`; callers without a type checker may give anything."""
        match next(iter(choice.items())) if isinstance(choice, Mapping) and len(choice) == 1 else choice:
            case PluginChoice(name=name, options=options):
                return name, options
            case str(name):
                return name, {}
            case (str(name), None):  # `{name: }` in YAML.
                return name, {}
            case (str(name), Mapping() as options):
                return name, options
            case _:
                return self._bad_choice(slot, choice)

    def _bad_choice(self, slot: Slot, given: object) -> NoReturn:
        message = f"criteria of column {quote(slot.name)}: a loss is a name or {{name: options}}, not {given!r}"
        self.report.fail(ErrorCode.BAD_VALUE, message, slot.span)

    def _closed_set(
        self, slot: Slot, modality: ModalitySpec, attribute: Attribute | None, generator: Generator | None
    ) -> str | None:
        if attribute is None:
            return slot.name if modality.always_closed else None
        if modality.never_closed:
            self.report.fail(ErrorCode.MISFIT, f"{modality.name} takes no closed set", attribute.key_span)
        if generator not in ("tokens", None):
            message = f"a closed set needs a token generator, not {quote(generator)}"
            self.report.fail(ErrorCode.MISFIT, message, attribute.key_span)
        if generator is None and not modality.always_closed:
            self._ignore(slot, attribute, "only an answer has a closed set")
            return None
        return attribute.value or slot.name

    def _answer_keys(self, modality: ModalitySpec) -> set[str]:
        """The attributes that only an answer of this modality takes."""
        models: list[type[BaseModel]] = [_GENERATORS[modality.generator]]
        models.extend(self.catalog.criterion(name).spec.options for name in modality.criteria if self._has("ofa.criteria", name))
        return {name for model in models for name in declared_names(model)}

    # Finding plugins

    def _has(self, group: Group, name: str) -> bool:
        try:
            self.catalog.plugin(group, name)
        except CatalogError:
            return False
        return True

    def _find(self, group: Group, slot: Slot, attribute: Attribute | None, default: str) -> Plugin[PluginSpec]:
        """The plugin that the attribute names, else the default one."""
        wanted = self.report.word(attribute) if attribute else default
        span = attribute.value_span if attribute else slot.modality_span
        try:
            return self.catalog.plugin(group, wanted)
        except CatalogError as error:
            if error.reason != "unknown":
                self._fail(error, span)
            kind, package = kind_of(group), PACKAGES[group]
            if attribute is None:
                message = f"{slot.modality} needs {kind} {quote(wanted)}, which is not installed"
                hint = "\n".join(part for part in (error.hint, f"The built-in ones come with `{package}`.") if part)
                self.report.fail(ErrorCode.NOT_INSTALLED, message, span, hint)
            if wanted in PLUGINS.get(group, ()):
                message = f"{kind} {quote(wanted)} of OFASys is not installed: no plugin provides it"
                self.report.fail(ErrorCode.NOT_INSTALLED, message, span, error.hint)
            self._fail(error, span)

    def _fail(self, error: CatalogError, span: Span) -> NoReturn:
        code = ErrorCode.UNKNOWN_PLUGIN if error.reason == "unknown" else ErrorCode.UNUSABLE_PLUGIN
        self.report.fail(code, str(error.args[0]), span, error.hint)

    def _ignore(self, slot: Slot, attribute: Attribute, why: str) -> None:
        self.warnings.append(f"attribute {quote(attribute.key)} of {quote(slot.label)} has no effect and is ignored: {why}")
