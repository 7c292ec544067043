"""The constant baseline: the one answer that, given to every row, is judged best on the training rows.

    training rows ─references─▶ candidates: the most frequent answer, the mean, the most frequent words …
                                ─judge each on training rows─▶ one constant a metric

A model that does no better has learnt nothing of its input, whatever the figure looks like.
"""

from __future__ import annotations

import logging
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from ofa_instruction.plans import SlotPlan
from ofa_instruction.specs import MetricSpec
from ofa_modalities.box.forms import BoxForm
from ofa_modalities.processor import Item, SampleError
from ofa_modalities.references import ReferenceReader
from ofa_modalities.suffixes import MEDIA
from ofa_modalities.text.equality import EqualTexts, canonical

from ofa_trainer.metrics.infilling import MASK
from ofa_trainer.metrics.metric import Judged, Scores
from ofa_trainer.metrics.text import normalise, words
from ofa_trainer.preparing import training_rows
from ofa_trainer.sources.choosing import spread_indices
from ofa_trainer.task import Task

if TYPE_CHECKING:
    from ofa_models._resolving import Resolved

logger = logging.getLogger(__name__)

FITTED_ROWS = 400
JUDGED_ROWS = 100
MEDIA_ROWS = 16
"""Where answers are pictures, clips, sounds or motions, which take long to read and to compare."""
MEDIA_CANDIDATES = 4
_WORD_COUNTS = (1, 2, 4, 8, 12)
_SHOWN_CHARACTERS = 30

Judge = Callable[[Sequence[Judged]], Scores]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """An answer that is given always. word: it fills every mask of the text that is shown instead."""

    answer: object = None
    word: str | None = None

    @property
    def name(self) -> str:
        """For people: ``always `red```."""
        if self.word is not None:
            return f"`{self.word}` for every mask"
        if isinstance(self.answer, str | int | float | list | tuple):
            text = str(_rounded(self.answer))
            shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
            return f"always `{shown}`" if shown else "always nothing"
        return "always one training answer"

    def to(self, row: Judged) -> Judged:
        """A row with this answer."""
        return replace(row, answer=self.answer if self.word is None else (row.shown or "").replace(MASK, self.word))


@dataclass(slots=True)
class ConstantAnswers:
    """Constants by task, column and metric, each found when it is first asked for."""

    references: dict[str, dict[str, list[object]]] = field(default_factory=dict)
    found: dict[tuple[str, str, str], Constant | None] = field(default_factory=dict)

    def constant(
        self, task: Task, resolved: Resolved, column: str, metric: MetricSpec, judge: Judge, judged: Sequence[Judged]
    ) -> Constant | None:
        """The constant of one figure; None: there is none that this metric can judge.

        judged: the rows that it will be judged on; of a task without training rows it is the best on these.
        """
        candidates = judged[0].candidates if judged else None
        if not task.has_training_rows:
            return _best([row.reference for row in judged], metric, judge, candidates)
        key = (task.name, column, metric.name)
        if key not in self.found:
            if task.name not in self.references:
                self.references[task.name] = _training_references(task, resolved)
            self.found[key] = _best(self.references[task.name].get(column, []), metric, judge, candidates)
        return self.found[key]


def _training_references(task: Task, resolved: Resolved) -> dict[str, list[object]]:
    """What should be answered to a spread part of the training rows, by column."""
    source, slots = training_rows(task), [slot for slot in resolved.plan.slots if slot.generator is not None]
    most = MEDIA_ROWS if any(slot.modality in MEDIA for slot in slots) else FITTED_ROWS
    encoder, measured = resolved.encoder, any(map(_is_measured, slots))
    if measured:  # pictures take long to read
        most = min(most, JUDGED_ROWS)
    program = encoder.program(resolved.task, resolved.alternative)
    found: dict[str, list[object]] = {slot.column: [] for slot in slots}
    for index in spread_indices(len(source), most):
        try:
            row, root = source.read(index, 0), getattr(source, "root", None)
            referred: Mapping[int, tuple[Item, ...]] = {}
            if measured:
                example = encoder.encode(
                    resolved.task,
                    row,
                    split="valid",
                    rng=np.random.default_rng(0),
                    address=source.address(index),
                    with_targets=False,
                    alternative=resolved.alternative,
                    root=root,
                )
                referred = example.referred
            references = ReferenceReader(program, row, referred, split="valid", root=root, hosts=encoder.hosts).read()
        except SampleError:
            continue  # training reports it
        for column, value in references.items():
            found[column].append(value)
    return found


def _is_measured(slot: SlotPlan) -> bool:
    """Whether an answer is read in shares of what it refers to, so that only that tells the pixels in which it is judged."""
    return slot.refers_to is not None and BoxForm.of_options(slot.processor.options).unit != "px"


def _best(references: Sequence[object], metric: MetricSpec, judge: Judge, closed: EqualTexts | None = None) -> Constant | None:
    """Of the candidates the one that is judged best on training rows themselves. closed: the set that answers are from."""
    if not references:
        return None
    if metric.needs_shown:
        counts = Counter(word for text in references for word in words(text))
        return Constant(word=counts.most_common(1)[0][0]) if counts else None
    candidates = [Constant(answer=answer) for answer in _candidates(references, normalise if closed is None else canonical)]
    if len(candidates) < 2 or metric.reads(metric.options()):
        return candidates[0] if candidates else None
    rows = [
        Judged(answer=None, reference=references[index], candidates=closed)
        for index in spread_indices(len(references), JUDGED_ROWS)
    ]
    sign = 1 if metric.higher_is_better else -1
    try:
        values = [sign * judge([one.to(row) for row in rows]).value for one in candidates]
    except Exception as error:  # noqa: BLE001  (metrics are anybody's; a baseline is worth no run)
        logger.info("no constant baseline for the metric `%s`: %s", metric.name, error)
        return None
    return candidates[max(range(len(values)), key=values.__getitem__)]


def _candidates(references: Sequence[object], key: Callable[[str], str]) -> list[object]:
    """Constant answers worth trying, the most frequent answer first. key: what equal texts have in common."""
    if all(isinstance(one, str | int | float) for one in references):
        texts = [str(one) for one in references]
        return [_most_frequent(texts, key), *_numbers(texts), *_frequent_words(texts)]
    if all(isinstance(one, list | tuple) for one in references):
        return _list_candidates([list(cast("Iterable[object]", one)) for one in references], key)
    return list(references[:MEDIA_CANDIDATES])


def _list_candidates(lists: Sequence[list[object]], key: Callable[[str], str]) -> list[object]:
    """Of boxes the mean and the median; of the lists of a repeat the most frequent one, none, and one item of each kind."""
    if all(len(one) == 4 and all(isinstance(edge, int | float) for edge in one) for one in lists):
        edges_R4 = np.asarray(lists, np.float64)
        return [edges_R4.mean(axis=0).tolist(), np.median(edges_R4, axis=0).tolist()]
    items = [item for one in lists for item in one]
    alone = [[item] for item in (_candidates(items, key) if items else []) if not _is_media(item)]
    plain = [one for one in lists if not any(map(_is_media, one))]
    frequent: list[object] = [_most_frequent(plain, key)] if plain else []
    return [*frequent, [], *alone]


def _is_media(value: object) -> bool:
    return not isinstance(value, str | int | float | list | tuple)


def _most_frequent(values: Sequence[Any], key: Callable[[str], str]) -> Any:
    """The most frequent value, equal texts together; of several the first of the alphabet."""
    spelled: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    for value in values:
        text = key(str(value))
        spelled.setdefault(text, value)
        counts[text] += 1
    return spelled[min(counts, key=lambda text: (-counts[text], text))]


def _numbers(texts: Sequence[str]) -> list[str]:
    """Mean and median, where nearly all texts are numbers."""
    numbers = []
    for text in texts:
        try:
            number = float(text)
        except ValueError:
            continue
        if math.isfinite(number):
            numbers.append(number)
    if len(numbers) < 0.9 * len(texts):
        return []
    return [f"{value:.6g}" for value in (statistics.fmean(numbers), statistics.median(numbers))]


def _frequent_words(texts: Sequence[str]) -> list[str]:
    """The most frequent words, the most frequent first, in several numbers."""
    counts = Counter(word for text in texts for word in words(text))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[: _WORD_COUNTS[-1]]
    return [" ".join(ranked[:count]) for count in _WORD_COUNTS if count <= len(ranked)]


def _rounded(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return round(value, 1) if isinstance(value, float) else value
