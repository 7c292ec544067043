"""How long answers may be, and how long answering may take, where more would say nothing of worth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ofa_instruction.plans import TokenGeneration
from ofa_models.generation.planning import answered_slots
from ofa_models.plans import GenerationOptions

if TYPE_CHECKING:
    from ofa_models._resolving import Resolved

_SLACK_TOKENS = 8
"""Beside the factor, for short references."""


def part_of(until: float | None, parts: int) -> float | None:
    """The end of the first of so many equal parts of the time that is left."""
    if until is None:
        return None
    now = time.perf_counter()
    return now + max(0.0, until - now) / parts


def limited(
    generation: GenerationOptions, resolved: Resolved, references: Sequence[Mapping[str, object]], slack: float
) -> GenerationOptions:
    """The options with answers that end at ``slack`` times the longest reference, where that is what bounds them."""
    lengths, items, limits, fixed = [0], [0], [], [0]
    for slot in answered_slots(resolved.plan):
        rule = resolved.program.slots[slot.index].rule
        values = [list(_flat(row[slot.column])) for row in references]
        if resolved.program.slots[slot.index].depth:
            items += map(len, values)
        if rule is not None and (rule.tree is not None or rule.length is not None):
            fixed.append(rule.length or 0)
            continue
        if slot.modality != "TEXT" or not isinstance(slot.generator, TokenGeneration):
            return generation  # a limit in units is one for all slots
        lengths += [len(resolved.encoder.vocabulary.tokenizer.encode(str(text))) for row in values for text in row]
        limits.append(generation.max_length or slot.generator.max_length)
    update: dict[str, int] = {}
    longest = int(slack * max(lengths)) + _SLACK_TOKENS
    if limits and max(fixed) <= longest < min(limits):
        update["max_length"] = longest
    if len(items) > 1:
        update["max_items"] = min(generation.max_items, int(slack * max(items)) + 1)
    return generation.model_copy(update=update)


def _flat(value: object) -> Iterator[object]:
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    else:
        yield value
