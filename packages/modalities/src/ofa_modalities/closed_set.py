"""Closed sets: the answers that a slot may give, and the file they lie in beside a checkpoint.

A file is a JSON list with one candidate a line, in order; a ``.txt`` file with one candidate a line is read too.
Which texts are one candidate says :mod:`ofa_modalities.text.equality`: blanks and composed characters do not count, case does.
Candidates that a slot cannot tell apart (``Dog`` and ``dog`` under ``uncased``) are one, spelled as the first of them. A label is
the candidate that it equals, and where none does, the only one that differs in nothing but case.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import string
from collections.abc import Iterable, Sequence
from pathlib import Path

from ofa_instruction.documents import DocumentError, parse_json
from ofa_instruction.plans import ClosedSetPlan
from ofa_instruction.telling import named, shown

from ofa_modalities.lines import read_text_file, split_lines
from ofa_modalities.processor import SampleError
from ofa_modalities.text.equality import EqualTexts, canonical, folded
from ofa_modalities.text.reading import normalise, read_text

_WHOLE_BYTES = 1 << 20
"""Of a file that is read as one JSON document."""


def collect_candidates(values: Iterable[object]) -> tuple[str, ...]:
    """The distinct texts among ``values``, stripped and sorted; values that are no text (None, "") are left out.

    Of several spellings of one text the composed one with plain blanks is kept, where it is among them.

    >>> collect_candidates(["dog", " cat", "dog", "", None, 3])
    ('3', 'cat', 'dog')
    """
    found: set[str] = set()
    for value in values:
        try:
            found.add(read_text(value, "candidates"))
        except SampleError:
            continue
    spellings: dict[str, str] = {}
    for text in sorted(found):
        key = canonical(text)
        if key in found:
            text = key
        spellings.setdefault(key, text)
    return tuple(sorted(spellings.values()))


def check_candidates(candidates: Iterable[object], name: str) -> tuple[str, ...]:
    """Candidates as a user lists them: stripped, in their order, equal ones dropped.

    Raises ValueError for an empty list and for a candidate that is no text.
    """
    if isinstance(candidates, str):
        raise ValueError(f"closed set `{name}`: give a list of candidates, not one text")
    found: dict[str, str] = {}
    for number, value in enumerate(candidates):
        try:
            text = read_text(value, name)
            found.setdefault(canonical(text), text)
        except SampleError as error:
            raise ValueError(f"closed set `{name}`, candidate {number}: {error.message}") from error
    if not found:
        raise ValueError(f"closed set `{name}` has no candidates")
    return tuple(found.values())


def closed_set_digest(candidates: Sequence[str]) -> str:
    """SHA-256 (64 hex digits) of the candidates in order."""
    return hashlib.sha256(json.dumps(list(candidates), ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def closed_set_plan(name: str, candidates: Sequence[str]) -> ClosedSetPlan:
    """What a task's plan says of a closed set."""
    return ClosedSetPlan(name=name, size=len(candidates), digest=closed_set_digest(candidates))


def write_closed_set(path: str | Path, candidates: Sequence[str]) -> None:
    """Write candidates as a JSON list, one a line."""
    lines = ",\n".join(json.dumps(candidate, ensure_ascii=False) for candidate in candidates)
    Path(path).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def read_closed_set(path: str | Path, plan: ClosedSetPlan | None = None) -> tuple[str, ...]:
    """Read candidates from ``.json`` or, one a line, from any other text file.

    Raises ValueError where the file is not a list of texts, or not the one that ``plan`` names.
    """
    path = Path(path)
    text = read_text_file(path)
    try:
        values = parse_json(text) if path.suffix == ".json" else [line for line in split_lines(text) if line.strip()]
    except DocumentError as error:
        raise ValueError(f"`{path}` {error}") from error
    if not isinstance(values, list):
        raise ValueError(f"`{path}` is not a list of candidates")
    if plan is None:
        return check_candidates(values, path.stem)
    try:
        return closed_set_of(values, plan)
    except ValueError as error:
        raise ValueError(f"`{path}`: {error}") from error


def closed_set_of(values: object, plan: ClosedSetPlan) -> tuple[str, ...]:
    """The candidates that a plan names, out of what its file holds. Raises ValueError where they are others."""
    if not isinstance(values, list):
        raise ValueError(f"{shown(values)} is no list of candidates")
    candidates = check_candidates(values, plan.name)
    if len(candidates) != plan.size:
        raise ValueError(f"the closed set {named(plan.name)} of the plan has {plan.size:,} candidates, not {len(candidates):,}")
    if closed_set_digest(candidates) != plan.digest:
        raise ValueError(f"it is not the closed set {named(plan.name)} of the plan: its digest differs")
    return candidates


def parse_closed_set(data: bytes, plan: ClosedSetPlan) -> tuple[str, ...]:
    """The candidates of a plan out of the bytes of its file; a large one has one candidate a line, as it was written.

    Line by line, no more is made of the file than it holds. Raises ValueError where it is another set, or none.
    """
    if len(data) <= _WHOLE_BYTES:
        return closed_set_of(parse_json(data, most_levels=1), plan)
    lines = str(data, "utf-8").strip().split("\n", plan.size + 2)
    if lines[0] != "[" or lines[-1] != "]" or len(lines) != plan.size + 2:
        raise ValueError(f"it is no list of {plan.size:,} candidates, one a line")
    values = []
    for number, line in enumerate(lines[1:-1], 2):
        text = line.removesuffix(",") if number <= plan.size else line
        value = parse_json(text) if text.startswith('"') else None
        if not isinstance(value, str):
            raise ValueError(f"line {number:,}: {shown(line)} is no text in quotes")
        values.append(value)
    return closed_set_of(values, plan)


_LONGEST_COMPARED = 200
"""Characters of a label that near ones are looked for; it takes a time that grows with their square."""


class LabelIndex:
    """Finds the candidate that a label means, under the same spelling rules for both.

    >>> index = LabelIndex("label", ("Dog", "dog", "cat"), uncased=True, no_punctuation=False)
    >>> index.answers, index.find("DOG")
    (('Dog', 'cat'), 0)
    """

    def __init__(self, column: str, candidates: Sequence[str], *, uncased: bool, no_punctuation: bool) -> None:
        self.column = column
        self.uncased = uncased
        self.no_punctuation = no_punctuation
        key = folded if uncased else canonical
        spellings: dict[str, str] = {}
        for candidate in candidates:
            spellings.setdefault(key(self._normal(candidate)), candidate)
        self.answers = tuple(spellings.values())
        """Candidates as they were spelled first."""
        self.normal = tuple(map(self._normal, self.answers))
        """The same as they are encoded."""
        self._equal = EqualTexts(self.normal)
        self._longest = 100 * max(map(len, candidates), default=0) + 10_000

    def _normal(self, label: str) -> str:
        normal = normalise(label.strip(), uncased=self.uncased, no_punctuation=self.no_punctuation)
        return normal or label.strip(string.whitespace)

    def get(self, label: str) -> int | None:
        """Number of the candidate, or None, which is all that is said of a text far longer than any."""
        if len(label) > self._longest:
            return None
        return self._equal.get(self._normal(label))

    def find(self, label: str) -> int:
        """Number of the candidate. Raises SampleError with the nearest ones."""
        number = self.get(label)
        if number is None:
            near: list[str] = []
            if len(label) <= _LONGEST_COMPARED:
                near = difflib.get_close_matches(self._normal(label), self.normal[:10_000], n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(repr(word) for word in near)}?" if near else ""
            raise SampleError(self.column, f"{_short(label)} is not among the {len(self.answers)} candidates{hint}")
        return number


def _short(label: str) -> str:
    return repr(label if len(label) <= 60 else label[:57] + "...")
