"""What the demo shows: rows for the terminal's table, and a folder with a page that opens from the disk.

demo/
  index.html      figures, training curves, held-out rows with what the model answered
  results.json    the same as data
  pictures/       the rows' pictures, boxes drawn
  media/          sound, clips and moving skeletons, shown and answered (written by showing.py)
  checkpoint/     the model that answered (written by run.py)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from ofa_modalities.text.words import spaced
from PIL import Image, ImageDraw

from ofa_trainer.demo.results import LEAST_ROWS, Answer, Box, CurvePoint, DemoResult, TaskFigures
from ofa_trainer.demo.showing import as_html
from ofa_trainer.metrics.infilling import MASK, masked_words
from ofa_trainer.reporting.intervals import has_interval

TABLE_HEADER = ("task", "metric", "rows", "model [95 %]", "baseline", "learnt")

_PICTURE_PX = 256
"""Least side of an enlarged picture."""
_PREDICTED_COLOUR = (255, 122, 26)
_TRUE_COLOUR = (22, 163, 74)
_OUTLINE = (0, 0, 0)
_DASH_PX = 8
_INSTRUCTION_SLOT = re.compile(r"\[[A-Z_]+[^\[\]]*\]")
_CURVE_SIZE = (200, 90)
_MOST_CHARACTERS = 240


def table_rows(result: DemoResult) -> list[tuple[str, ...]]:
    """One line a task under :data:`TABLE_HEADER`."""
    return [
        (
            task.task,
            task.metric,
            str(task.num_rows),
            f"{task.value:.3f} {task.interval()}",
            f"{task.baseline:.3f}",
            task.verdict,
        )
        for task in result.tasks
    ]


def more_figures(task: TaskFigures) -> str:
    """Other metrics and baselines of a task, on one line; a baseline stands in parentheses."""
    baselines = [f" ({figure.baseline:.3f})" if figure.baseline is not None else "" for figure in task.more]
    return " · ".join(f"{figure.name} {figure.value:.3f}{base}" for figure, base in zip(task.more, baselines, strict=True))


def write_report(result: DemoResult, pictures: Mapping[str, Image.Image], folder: Path) -> Path:
    """Write the folder and return the page's path.

    ``pictures``: by :attr:`Answer.picture`, as the row had them; boxes are drawn here.
    """
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for answers in result.answers.values():
        for answer in answers:
            if answer.picture is not None:
                path = folder / answer.picture
                path.parent.mkdir(parents=True, exist_ok=True)
                draw_answer(pictures[answer.picture], answer).save(path, optimize=True)
    (folder / "results.json").write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    page = folder / "index.html"
    page.write_text(render_page(result), encoding="utf-8")
    return page


def draw_answer(picture: Image.Image, answer: Answer) -> Image.Image:
    """The picture enlarged by a whole factor, pixels kept square; the answered box solid, the true one dashed."""
    factor = max(1, -(-_PICTURE_PX // max(picture.size)))
    large = picture.convert("RGB").resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(large)
    width_px, height_px = answer.picture_px or picture.size
    scale = (large.width / width_px, large.height / height_px)
    if answer.true_box is not None:
        _draw_box(draw, answer.true_box, scale, _TRUE_COLOUR, dashed=True)
    if answer.box is not None:
        _draw_box(draw, answer.box, scale, _PREDICTED_COLOUR, dashed=False)
    return large


def _draw_box(
    draw: ImageDraw.ImageDraw, box: Box, scale: tuple[float, float], colour: tuple[int, int, int], *, dashed: bool
) -> None:
    x1, y1, x2, y2 = (value * scale[place % 2] for place, value in enumerate(box))
    for line_colour, width in ((_OUTLINE, 5), (colour, 3)):
        for start, stop in (((x1, y1), (x2, y1)), ((x2, y1), (x2, y2)), ((x2, y2), (x1, y2)), ((x1, y2), (x1, y1))):
            for piece in _dashes(start, stop) if dashed else [(start, stop)]:
                draw.line(piece, fill=line_colour, width=width)


def _dashes(start: tuple[float, float], stop: tuple[float, float]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    (x1, y1), (x2, y2) = start, stop
    count = max(1, round(max(abs(x2 - x1), abs(y2 - y1)) / _DASH_PX))

    def at(step: float) -> tuple[float, float]:
        return (x1 + (x2 - x1) * step / count, y1 + (y2 - y1) * step / count)

    return [(at(step), at(min(step + 1, count))) for step in range(0, count, 2)]


def render_page(result: DemoResult) -> str:
    """The page's HTML."""
    template = Template(files("ofa_trainer.demo").joinpath("page.html").read_text(encoding="utf-8"))
    number_words = {1: "One task", 6: "Six tasks", 15: "Fifteen tasks"}
    tasks = number_words.get(len(result.tasks), f"{len(result.tasks)} tasks")
    judged = [task.learnt for task in result.tasks if task.learnt is not None]
    opening = (
        f"<p>A {escape(result.model)} generalist ({result.num_parameters / 1e6:.2f} M parameters) learnt "
        f"{len(result.tasks)} tasks at once in {_duration(result.training_s)}: {result.steps:,} steps, "
        f"{result.tokens_per_s:,.0f} tokens a second. Judging took {_duration(result.evaluation_s)}. "
        f"{sum(judged)} of {len(judged)} tasks that were judged on {LEAST_ROWS} rows or more are better than their baseline "
        "with their whole interval.</p>"
    )
    closing = (
        f"<p>Rows shown are the first of the {escape(result.split)} split, not chosen by their answers. Seed {result.seed}; "
        f"checkpoint in <code>{escape(result.checkpoint)}</code>; the figures as data in <code>results.json</code>.</p>"
    )
    return template.substitute(
        title=f"{tasks}, one line of text each, one model",
        opening=opening,
        table=_table(result.tasks),
        curves=_curves(result),
        tasks="\n".join(_task_section(task, result.answers.get(task.task, ())) for task in result.tasks),
        closing=closing,
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _table(tasks: Sequence[TaskFigures]) -> str:
    lines = [
        "<table><thead><tr><th>task</th><th>metric</th><th class=number>rows</th><th class=number>model</th>"
        "<th><span class=soft>from 0, | is the baseline</span></th><th class=number>baseline</th><th>learnt</th></tr></thead>"
        "<tbody>"
    ]
    for task in tasks:
        more = f"<br><span class='soft small'>{escape(more_figures(task))}</span>" if task.more else ""
        kind = "soft" if task.learnt is None else task.verdict
        verdict = f"<span class={kind}>{task.verdict}</span>"
        direction = "" if task.higher_is_better else " <span class=soft>less is better</span>"
        lines.append(
            f"<tr><td><a href='#{escape(task.task)}' style='color:inherit'>{escape(task.title)}</a>{more}</td>"
            f"<td>{escape(task.metric.replace('_', ' '))}{direction}</td>"
            f"<td class=number>{task.num_rows}</td><td class=number><strong>{task.value:.3f}</strong><br>"
            f"<span class='soft small'>{task.interval('{low:.3f} to {high:.3f}')}</span></td><td>{_bar(task)}</td>"
            f"<td class=number>{task.baseline:.3f}<br><span class='soft small'>{escape(task.baseline_name)}</span></td>"
            f"<td>{verdict}</td></tr>"
        )
    return "\n".join([*lines, "</tbody></table>"])


def _bar(task: TaskFigures) -> str:
    """The interval and the baseline on a line from 0 to 1, or to what holds them."""
    most = max(1.0, 1.1 * max(task.high, task.baseline))

    def at(value: float) -> float:
        return 2 + 140 * min(max(value / most, 0.0), 1.0)

    label = f"{task.value:.3f}, {task.interval('interval {low:.3f} to {high:.3f}')}, baseline {task.baseline:.3f}"
    band = (
        f"<rect class=band x={at(task.low):.1f} y=4 width={max(at(task.high) - at(task.low), 1):.1f} height=10 rx=3 />"
        if has_interval(task.num_rows)
        else ""
    )
    return (
        f"<svg viewBox='0 0 144 18' role='img' aria-label='{label}'><rect class=track x=2 y=7 width=140 height=4 rx=2 />"
        f"{band}<circle class=point cx={at(task.value):.1f} cy=9 r=4 />"
        f"<line class=tick x1={at(task.baseline):.1f} x2={at(task.baseline):.1f} y1=2 y2=16 /></svg>"
    )


def _curves(result: DemoResult) -> str:
    titles = {task.task: task.title for task in result.tasks}
    figures = [
        f"<figure>{_curve(points)}<figcaption>{escape(titles.get(task, task))}: "
        f"{points[0].loss:.2f} to {points[-1].loss:.2f}</figcaption></figure>"
        for task, points in result.curves.items()
        if len(points) > 1
    ]
    if not figures:
        return ""
    return f"<h2>Training loss</h2><p class='soft small'>Per task, over steps.</p><div class=curves>{''.join(figures)}</div>"


def _curve(points: Sequence[CurvePoint]) -> str:
    width, height = _CURVE_SIZE
    left, bottom = 4, height - 12
    first, last = points[0].step, points[-1].step
    low, high = min(point.loss for point in points), max(point.loss for point in points)
    span_x, span_y = max(last - first, 1), max(high - low, 1e-9)
    right, top = width - left, 12

    def at(point: CurvePoint) -> str:
        x = left + (point.step - first) / span_x * (right - left)
        y = bottom - (point.loss - low) / span_y * (bottom - top)
        return f"{x:.1f} {y:.1f}"

    path = " L".join(at(point) for point in points)
    return (
        f"<svg viewBox='0 0 {width} {height}' role='img' aria-label='loss {points[0].loss:.2f} to {points[-1].loss:.2f}'>"
        f"<line class=axis x1={left} x2={right} y1={bottom} y2={bottom} /><path d='M{path}' />"
        f"<text x={left} y={height - 2}>step {first}</text>"
        f"<text x={right} y={height - 2} text-anchor=end>{last}</text></svg>"
    )


def _task_section(task: TaskFigures, answers: Sequence[Answer]) -> str:
    line = _INSTRUCTION_SLOT.sub(lambda match: f"<b>{match.group()}</b>", escape(task.instruction, quote=False))
    boxes = any(answer.true_box is not None for answer in answers)
    key = "<p class='soft small'><span class='key said'></span>answered<span class='key true'></span>true</p>" if boxes else ""
    kind = "rows" if any(answer.picture for answer in answers) else "rows texts"
    if any(answer.said is not None or answer.shown for answer in answers):
        kind = "rows media"
    cards = "\n".join(_card(answer) for answer in answers)
    return (
        f"<section id='{escape(task.task)}'><h2>{escape(task.title)}</h2><code class=line>{line}</code>{key}"
        f"<div class='{kind}'>\n{cards}\n</div></section>"
    )


def _card(answer: Answer) -> str:
    parts = []
    if answer.picture is not None:
        parts.append(f"<img src='{escape(answer.picture)}' alt='{escape(answer.question or answer.truth)}' loading=lazy>")
    parts += [as_html(shown, answer.question or answer.truth) for shown in answer.shown]
    asked = f"<div><dt>shown</dt><dd>{_question(answer.question)}</dd></div>" if answer.question else ""
    state = {True: "note yes", False: "note no", None: "note"}[answer.right]
    note = answer.note or {True: "right", False: "wrong", None: ""}[answer.right]
    said, truth = escape(_clipped(answer.answer)) or "–", escape(answer.truth)
    if answer.question and MASK in answer.question:
        said, truth = _restored(answer)
    if answer.said is not None and answer.true is not None:
        said, truth = as_html(answer.said, f"answer: {answer.answer}"), as_html(answer.true, f"truth: {answer.truth}")
    parts.append(
        f"<div class=words><dl>{asked}<div><dt>answer <span class='{state}'>{escape(note)}</span></dt>"
        f"<dd class=said>{said}</dd></div><div><dt>truth</dt><dd>{truth}</dd></div></dl></div>"
    )
    return f"<article class=card>{''.join(parts)}</article>"


def _clipped(text: str) -> str:
    """A model that does not stop is shown up to where it repeats itself anyway."""
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS].rstrip() + " …"


def _question(text: str) -> str:
    """Masks as marks; a long text folded behind its first words."""
    shown = escape(text).replace(escape(MASK), "<mark>&nbsp;?&nbsp;</mark>")
    if len(text) <= _MOST_CHARACTERS or MASK in text:
        return shown
    cut = text.rfind(" ", 0, 180)
    return f"<details><summary>{escape(text[:cut])} …</summary>{shown}</details>"


def _restored(answer: Answer) -> tuple[str, str]:
    """Answer and truth of an infilled text, the words that were masked marked."""
    assert answer.question is not None
    hidden = set(masked_words(answer.question, answer.truth))

    def marked(text: str) -> str:
        return " ".join(
            f"<mark>{escape(word)}</mark>" if place in hidden else escape(word) for place, word in enumerate(spaced(text))
        )

    same_length = len(spaced(answer.answer)) == len(spaced(answer.truth))
    return marked(answer.answer) if same_length else escape(_clipped(answer.answer)), marked(answer.truth)
