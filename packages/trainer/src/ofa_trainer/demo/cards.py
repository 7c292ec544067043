"""Held-out rows with their answers, as cards of the page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ofa_instruction import Slot, parse
from PIL import Image

from ofa_trainer.demo import recipe
from ofa_trainer.demo.judging import AnsweredRow, box_of, picture_of, score, title_of
from ofa_trainer.demo.recipe import DemoTask
from ofa_trainer.demo.results import Answer, Shown
from ofa_trainer.demo.showing import Showing
from ofa_trainer.metrics.boxes import matched_ious
from ofa_trainer.metrics.infilling import masked_words, restored_words
from ofa_trainer.metrics.specs import EXACT_MATCH, RougeOptions
from ofa_trainer.metrics.text import rouge_l

_WORDS = frozenset({"TEXT", "PHONE", "CATEGORY", "BOX"})
"""Modalities that are shown as words."""


def shown_rows(task: DemoTask, rows: Sequence[AnsweredRow], showing: Showing) -> tuple[list[Answer], dict[str, Image.Image]]:
    """Cards of the first rows, and their pictures by file name; sound, clips and the like are written by ``showing``."""
    cards, pictures = [], {}
    for number, row in enumerate(rows[: recipe.SHOWN_ROWS]):
        name = None
        if any(slot.modality == "IMAGE" for slot in _slots(task)[0]):
            name = f"pictures/{task.name}-{number}.png"
            pictures[name] = picture_of(row.row)
        cards.append(_card(task, row, name, showing, number))
    return cards, pictures


@lru_cache
def _parsed(instruction: str) -> tuple[tuple[Slot, ...], Slot]:
    parsed = parse(instruction)
    source = tuple(node for node in parsed.source if isinstance(node, Slot))
    return source, next(node for node in parsed.target if isinstance(node, Slot))


def _slots(task: DemoTask) -> tuple[tuple[Slot, ...], Slot]:
    """Slots that are read, and the one that is answered."""
    return _parsed(task.instruction)


def _card(task: DemoTask, row: AnsweredRow, picture: str | None, showing: Showing, number: int) -> Answer:
    judged = row.judged
    source, target = _slots(task)
    words = [str(row.row[slot.name]) for slot in source if slot.modality in _WORDS]
    said, true = None, None
    if target.modality not in _WORDS:
        said, true = (
            _shown(showing, target, value, f"{task.name}-{number}-{which}")
            for which, value in (("answer", judged.answer), ("truth", judged.reference))
        )
    common = Answer(
        address=row.address,
        picture=picture,
        picture_px=picture_of(row.row).size if picture else None,
        question=" · ".join(words) or None,
        answer=_text(judged.answer, said),
        truth=_text(judged.reference, true),
        shown=tuple(
            _shown(showing, slot, row.row[slot.name], f"{task.name}-{number}-{slot.name}")
            for slot in source
            if slot.modality not in _WORDS | {"IMAGE"}
        ),
        said=said,
        true=true,
    )
    return common.model_copy(update=_verdict(task, row, target))


def _shown(showing: Showing, slot: Slot, value: object, name: str) -> Shown:
    return showing.value(slot.modality, value, name)


def _text(value: object, shown: Shown | None) -> str:
    if shown is None:
        return str(value if value is not None else "")
    return shown.words if shown.kind == "words" else shown.file or shown.kind


def _verdict(task: DemoTask, row: AnsweredRow, target: Slot) -> dict[str, object]:
    """How good the answer is, and what a task shows in its own way."""
    judged = row.judged
    truth = str(judged.reference)
    match task.name:
        case "ground":
            box, true_box = box_of(judged.answer), box_of(judged.reference)
            iou = float(matched_ious(judged.answer, judged.reference)[0].sum())
            edges = [" ".join(f"{edge:.0f}" for edge in found or ()) for found in (box, true_box)]
            boxes = {"answer": edges[0], "truth": edges[1], "box": box, "true_box": true_box}
            return boxes | {"right": iou >= 0.5, "note": f"IoU {iou:.2f}"}
        case "summary":
            return {"note": f"ROUGE-L {rouge_l([judged], RougeOptions()).value:.2f}"}
        case "infill":
            assert judged.shown is not None
            hidden = masked_words(judged.shown, truth)
            found = len(restored_words(str(judged.answer), truth) & set(hidden))
            return {"question": judged.shown, "note": f"{found} of {len(hidden)} masked words"}
    if target.modality in _WORDS:
        return {"right": bool(score(EXACT_MATCH.name, [judged]).value)}
    value = score(task.metrics[0], [judged]).value
    return {"note": f"{title_of(task.metrics[0])} {value:.2f}"}
