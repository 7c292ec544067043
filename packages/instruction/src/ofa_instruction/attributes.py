"""Attributes of a slot: strings from the text to the typed options of the slot's parts.

A few keys are reserved, they say which parts a slot has. Every other key belongs to the parts that declare it: the
slot's processor, adaptor, criteria and generator, each with a pydantic model of options. A key that several of them declare
goes to all of these (``max_length`` cuts a text and bounds an answer).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from pydantic import AliasChoices, BaseModel, JsonValue, ValidationError

from ofa_instruction.errors import ErrorCode, InstructionError, Span, known_hint, quote
from ofa_instruction.ofasys import ATTRIBUTES, INERT_ATTRIBUTES
from ofa_instruction.syntax import Attribute, Slot

RESERVED = ("no_loss", "required", "closed_set", "of", "processor", "adaptor", "criterion", "generator")
RESERVED_ALIASES = {"preprocess": "processor", "preprocessor": "processor"}
_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a slot that takes options: what it is, its options model, and options set elsewhere."""

    label: str
    options: type[BaseModel]
    preset: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Report:
    """Raises errors that point into the text of an instruction."""

    text: str

    def fail(self, code: ErrorCode, message: str, span: Span, hint: str = "") -> NoReturn:
        """Raise an :class:`InstructionError` at ``span``."""
        raise InstructionError(code, message, self.text, span, hint)

    def bad_value(self, attribute: Attribute, why: str, hint: str = "") -> NoReturn:
        """Raise what is wrong with an attribute's value."""
        if attribute.value is None:
            self.fail(ErrorCode.BAD_VALUE, f"{quote(attribute.key)} {why}", attribute.key_span, hint)
        message = f"bad value {quote(attribute.value)} for {quote(attribute.key)}: {why}"
        self.fail(ErrorCode.BAD_VALUE, message, attribute.value_span, hint)

    def flag(self, attribute: Attribute | None) -> bool:
        """The value of a reserved flag."""
        if attribute is None:
            return False
        if attribute.value is None:
            return True
        if attribute.value.lower() not in _FLAGS:
            self.bad_value(attribute, "a flag is true or false", f"Write `{attribute.key}` alone.")
        return _FLAGS[attribute.value.lower()]

    def word(self, attribute: Attribute) -> str:
        """The value of a reserved attribute that needs one."""
        if attribute.value is None:
            self.bad_value(attribute, "needs a value", f"Write `{attribute.key}=NAME`.")
        return attribute.value


def split_reserved(slot: Slot, report: Report) -> tuple[dict[str, Attribute], list[Attribute]]:
    """The reserved attributes by their own key, and the others."""
    reserved: dict[str, Attribute] = {}
    others: list[Attribute] = []
    for attribute in slot.attributes:
        key = RESERVED_ALIASES.get(attribute.key, attribute.key)
        if key not in RESERVED:
            others.append(attribute)
        elif key in reserved:
            message = f"{quote(attribute.key)} says again what {quote(reserved[key].key)} says"
            report.fail(ErrorCode.REPEATED_KEY, message, attribute.key_span)
        else:
            reserved[key] = attribute
    return reserved, others


def declared_names(model: type[BaseModel]) -> dict[str, str]:
    """Every attribute key that sets a field of ``model``, with the field's name. ``kind`` is a tag, not an option."""
    names: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if name == "kind":
            continue
        names[name] = name
        alias = field.validation_alias or field.alias
        aliases = alias.choices if isinstance(alias, AliasChoices) else [alias]
        names.update((choice, name) for choice in aliases if isinstance(choice, str))
    return names


def assign(
    slot: Slot,
    attributes: Sequence[Attribute],
    parts: Sequence[Part],
    report: Report,
    *,
    answer_keys: Collection[str] = (),
    lenient: bool = False,
) -> tuple[list[BaseModel], list[str]]:
    """The validated options of each part, and what to warn about.

    ``answer_keys`` are keys the slot would have if it were answered, for the error that says so.
    ``lenient`` drops an unknown key with a warning; used where a part that could declare it is not installed.
    """
    declared = [declared_names(part.options) for part in parts]
    warnings: list[str] = []
    for attribute in attributes:
        if any(attribute.key in names for names in declared):
            continue
        where = f"attribute {quote(attribute.key)} of {quote(slot.label)}"
        if attribute.key in INERT_ATTRIBUTES:
            warnings.append(f"{where} has no effect and is ignored: {INERT_ATTRIBUTES[attribute.key]}")
        elif lenient:
            warnings.append(f"{where} is ignored: nothing that is installed declares it")
        else:
            _fail_unknown(slot, attribute, parts, declared, answer_keys, report)
    options: list[BaseModel] = []
    for part, names in zip(parts, declared, strict=True):
        given = {names[attribute.key]: attribute for attribute in attributes if attribute.key in names}
        options.append(_validate(slot, part, given, names, report))
    return options, warnings


def _fail_unknown(
    slot: Slot,
    attribute: Attribute,
    parts: Sequence[Part],
    declared: Iterable[Mapping[str, str]],
    answer_keys: Collection[str],
    report: Report,
) -> NoReturn:
    known = {*RESERVED, *(name for names in declared for name in names)}
    labels = ", ".join(part.label for part in parts)
    tail = f"Keys come from this slot's {labels}."
    if attribute.key in answer_keys:
        tail = "It belongs to an answer: a slot of the target side, without `no_loss`, outside a contrast."
    elif attribute.key in ATTRIBUTES:
        tail = f"OFASys has this attribute; nothing this slot uses declares it ({labels})."
    message = f"unknown attribute {quote(attribute.key)} of {slot.modality}"
    report.fail(ErrorCode.UNKNOWN_ATTRIBUTE, message, attribute.key_span, known_hint(attribute.key, known, tail))


def _validate(slot: Slot, part: Part, given: Mapping[str, Attribute], names: Mapping[str, str], report: Report) -> BaseModel:
    values = dict(part.preset)
    for field, attribute in given.items():
        for spelling in [name for name, target in names.items() if target == field]:
            values.pop(spelling, None)
        values[field] = True if attribute.value is None else attribute.value
    try:
        options = part.options.model_validate(values)
    except ValidationError as error:
        _fail_validation(slot, part, given, names, error, report)
    for field, attribute in given.items():
        if attribute.value is None and getattr(options, field) is not True:
            report.bad_value(attribute, "needs a value", f"Write `{attribute.key}=VALUE`.")
    return options


def _fail_validation(
    slot: Slot, part: Part, given: Mapping[str, Attribute], names: Mapping[str, str], error: ValidationError, report: Report
) -> NoReturn:
    problems = error.errors(include_url=False)
    for problem in problems:
        key = str(problem["loc"][0]) if problem["loc"] else ""
        attribute = given.get(names.get(key, key))
        if attribute is not None:
            hint = f"It belongs to the {part.label} of this slot."
            if attribute.value is None:
                report.bad_value(attribute, "needs a value", f"Write `{attribute.key}=VALUE`. {hint}")
            report.bad_value(attribute, _sentence(problem["msg"]), hint)
    first = problems[0]
    where = ".".join(map(str, first["loc"]))
    message = f"{part.label}: {f'{where}: ' if where else ''}{_sentence(first['msg'])}"
    report.fail(ErrorCode.BAD_VALUE, message, slot.span)


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "should be")


def resolved(options: BaseModel) -> dict[str, JsonValue]:
    """Options as JSON, every default written out."""
    data: dict[str, JsonValue] = options.model_dump(mode="json")
    return data
