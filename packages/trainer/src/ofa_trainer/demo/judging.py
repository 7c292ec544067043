"""Judging the demo: held-out rows and answers in, figures beside their baselines out.

# R held-out rows
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ofa_instruction.specs import MetricSpec
from PIL import Image

from ofa_trainer.demo import baselines, recipe
from ofa_trainer.demo.recipe import DemoTask
from ofa_trainer.demo.results import Box, Figure, TaskFigures
from ofa_trainer.metrics.choosing import split_named
from ofa_trainer.metrics.metric import Judged, Scores
from ofa_trainer.metrics.specs import EXACT_MATCH, IOU, METRICS
from ofa_trainer.plans import NamedOptions
from ofa_trainer.source import Source

_METRICS: Mapping[str, MetricSpec] = {spec.name: spec for spec in METRICS}
_METRIC_TITLES: Mapping[str, str] = {EXACT_MATCH.name: "exact match", IOU.name: "mean IoU"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRow:
    """A held-out row: where it lies, its raw values, what was answered and what was right."""

    address: str
    row: Mapping[str, object]
    judged: Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """answers: what it says to each of the R rows."""

    name: str
    answers: Sequence[object]


def score(metric: NamedOptions, rows: Sequence[Judged]) -> Scores:
    """A built-in metric."""
    name, options = split_named(metric)
    spec = _METRICS[name]
    scores: Scores = spec.load()(rows, spec.options.model_validate(options))
    return scores


def reads(metric: NamedOptions) -> tuple[str, ...]:
    """Columns of a row that a metric reads beside the answer's own."""
    name, options = split_named(metric)
    spec = _METRICS[name]
    return spec.reads(spec.options.model_validate(options))


Right = Callable[[Mapping[str, object]], object]
"""A training row → the right answer to it, in the form that answers have (a sound, a picture, a motion)."""


def judge(task: DemoTask, train: Source, rows: Sequence[AnsweredRow], split: str, right: Right | None = None) -> TaskFigures:
    """The task's metric with its interval, its baseline, and what else is worth a line.

    ``right`` makes baselines of answers that are no words.
    """
    judged = [row.judged for row in rows]
    baseline = _BASELINES.get(task.name)
    if baseline is not None:
        first, *others = baseline(train, rows)
    else:
        assert right is not None, f"the task `{task.name}` has no baseline"
        first, others = _best_training_answer(task, train, rows, right), []
    metric = task.metrics[0]
    scores, name = score(metric, judged), split_named(metric)[0]
    low, value, high = scores.interval()
    against = _answering(judged, first.answers)
    more = [
        Figure(name=title_of(other), value=score(other, judged).value, baseline=score(other, against).value)
        for other in task.metrics[1:]
    ]
    more += [Figure(name=other.name, value=score(metric, _answering(judged, other.answers)).value) for other in others]
    more += _by_kind(metric, rows, against)
    return TaskFigures(
        task=task.name,
        title=task.title,
        instruction=task.instruction,
        split=split,
        metric=name,
        num_rows=len(rows),
        value=value,
        low=low,
        high=high,
        baseline_name=first.name,
        baseline=score(metric, against).value,
        more=tuple(more),
        higher_is_better=_METRICS[name].higher_is_better,
    )


def title_of(metric: NamedOptions) -> str:
    """What a metric is called on the page."""
    name, _ = split_named(metric)
    return _METRIC_TITLES.get(name, name.replace("_", " "))


def _answering(judged: Sequence[Judged], answers: Sequence[object]) -> list[Judged]:
    return [replace(row, answer=answer) for row, answer in zip(judged, answers, strict=True)]


def _by_kind(metric: NamedOptions, rows: Sequence[AnsweredRow], against: Sequence[Judged]) -> list[Figure]:
    """The metric of each kind of question, where rows have a kind."""
    kinds = sorted({str(row.row["kind"]) for row in rows if "kind" in row.row})
    figures = []
    for kind in kinds:
        places = [place for place, row in enumerate(rows) if row.row["kind"] == kind]
        value = score(metric, [rows[place].judged for place in places]).value
        base = score(metric, [against[place] for place in places]).value
        figures.append(Figure(name=kind.replace("_", " "), value=value, baseline=base))
    return figures


# Baselines: the first is what must be beaten, the others are printed beside it.


def training_rows(train: Source, most: int = recipe.BASELINE_ROWS) -> list[Mapping[str, object]]:
    """Rows of the first epoch, evenly spread."""
    step = max(1, len(train) // most)
    return [train.read(index, 0) for index in range(0, len(train), step)][:most]


def _majority(column: str) -> Callable[[Source, Sequence[AnsweredRow]], list[Baseline]]:
    def baseline(train: Source, rows: Sequence[AnsweredRow]) -> list[Baseline]:
        answer = baselines.majority(str(row[column]) for row in training_rows(train, len(train)))
        return [Baseline(name="majority answer", answers=[answer] * len(rows))]

    return baseline


def _majority_by_kind(train: Source, rows: Sequence[AnsweredRow]) -> list[Baseline]:
    seen = [(str(row["kind"]), str(row["answer"])) for row in training_rows(train)]
    table, otherwise = baselines.majority_by_kind(seen), baselines.majority(answer for _, answer in seen)
    answers = baselines.answers_by_kind((str(row.row["kind"]) for row in rows), table, otherwise)
    return [Baseline(name="majority by kind of question", answers=answers)]


def _constant_box(train: Source, rows: Sequence[AnsweredRow]) -> list[Baseline]:
    seen = training_rows(train)
    boxes = [box for row in seen if (box := box_of(row["region"])) is not None]
    box = baselines.best_constant_box(boxes, size_px=picture_of(seen[0]).size)
    return [Baseline(name="best constant box", answers=[box] * len(rows))]


def _summaries(train: Source, rows: Sequence[AnsweredRow]) -> list[Baseline]:
    words = baselines.frequent_words([str(row["tgt"]) for row in training_rows(train, len(train))])
    copies = [baselines.lead_words(str(row.row["src"]), recipe.LEAD_WORDS) for row in rows]
    return [
        Baseline(name="most frequent words", answers=[words] * len(rows)),
        Baseline(name=f"first {recipe.LEAD_WORDS} words of the text", answers=copies),
    ]


def _best_training_answer(
    task: DemoTask, train: Source, rows: Sequence[AnsweredRow], right: Right, candidates: int = 8, judges: int = 24
) -> Baseline:
    """Of a few training rows, the one whose answer, given always, scores best on other training rows."""
    seen = training_rows(train, candidates + judges)
    references = [Judged(answer=None, reference=right(row)) for row in seen[candidates:]]
    sign = 1 if _METRICS[split_named(task.metrics[0])[0]].higher_is_better else -1
    answers = [right(row) for row in seen[:candidates]]
    best = max(
        answers, key=lambda answer: sign * score(task.metrics[0], _answering(references, [answer] * len(references))).value
    )
    return Baseline(name="best of eight training answers", answers=[best] * len(rows))


def _filled_masks(train: Source, rows: Sequence[AnsweredRow]) -> list[Baseline]:
    word = baselines.most_frequent_word(str(row["sentence"]) for row in training_rows(train, len(train)))
    answers = [baselines.fill_masks(row.judged.shown or "", word) for row in rows]
    return [Baseline(name=f"“{word}” for every mask", answers=answers)]


_BASELINES: Mapping[str, Callable[[Source, Sequence[AnsweredRow]], list[Baseline]]] = {
    "classify": _majority("label"),
    "caption": _majority("cap"),
    "vqa": _majority_by_kind,
    "ground": _constant_box,
    "summary": _summaries,
    "infill": _filled_masks,
    "speech": _majority("text"),
    "phones": _majority("phones"),
    "motion_caption": _majority("cap"),
    "clip": _majority("label"),
    "table_qa": _majority("answer"),
    "sql": _majority("sql"),
}


def picture_of(row: Mapping[str, object]) -> Image.Image:
    """The picture of a row of the starter pack."""
    picture = row["img"]
    assert isinstance(picture, Image.Image), "the starter pack's pictures are PIL images"
    return picture


def box_of(value: object) -> Box | None:
    """A box as four numbers; None where it is none."""
    if not isinstance(value, Sequence) or len(value) != 4:
        return None
    x1, y1, x2, y2 = (float(edge) for edge in value)
    return (x1, y1, x2, y2)
